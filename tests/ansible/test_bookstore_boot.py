"""What a clone of the golden image makes of what it is given, before anything is started."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from bookstore_boot import __main__ as program, given, steps, store
from moto import mock_aws

from tests.ansible.conftest import ROOT

FILES = ROOT / "roles" / "golden-image" / "files"
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/store-AbCdEf"
GOOD = {"secret_arn": ARN, "region": "eu-west-1", "database_host": "db.internal"}
SECRET = {"SECRET_KEY": "4f9c1d7e2ab84c3fa6d05e9b7c81f2d3", "DB_PASS": "correct $horse#1"}


@pytest.fixture
def metadata() -> Iterator[tuple[str, dict[str, Any]]]:
    """EC2's metadata service: it answers whoever fetched a token first. Its user data can be set."""
    state: dict[str, Any] = {"user_data": None}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.say(200, b"a-token")

        def do_GET(self) -> None:
            if self.headers["X-aws-ec2-metadata-token"] != "a-token":
                self.say(401, b"")
            elif state["user_data"] is None:
                self.say(404, b"")
            else:
                self.say(200, state["user_data"])

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", state
        server.shutdown()


def test_user_data_comes_from_the_metadata_service(metadata: tuple[str, dict[str, Any]]) -> None:
    url, state = metadata
    state["user_data"] = json.dumps(GOOD).encode()

    assert given.check_user_data(given.read_user_data(url)) == GOOD


def test_an_instance_without_user_data_is_told_what_it_lacks(metadata: tuple[str, dict[str, Any]]) -> None:
    with pytest.raises(steps.Refused, match="given none; the launch template must name the database"):
        given.read_user_data(metadata[0])


def test_a_metadata_service_that_is_away_may_come_back() -> None:
    with pytest.raises(steps.BootError, match=r"http://127.0.0.1:9 does not answer \(.*refused") as failure:
        given.read_user_data("http://127.0.0.1:9")

    assert not isinstance(failure.value, steps.Refused)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"#!/bin/sh\necho hello", "no JSON .*give one object"),
        (b"\xff\xfe", "no JSON"),
        (b'["db"]', "no JSON object"),
        ({**GOOD, "databse_host": "x"}, '"databse_host" is no key .*did you mean "database_host"'),
        ({**GOOD, "zzz": "x"}, "the keys are environment, region"),
        ({**GOOD, "database_port": "3306"}, '"database_port" must be number'),
        ({**GOOD, "database_port": True}, '"database_port" must be number'),
        ({**GOOD, "database_port": 0}, "from 1 to 65535"),
        ({"secret_arn": ARN}, '"database_host" is missing'),
        ({"database_host": "db"}, 'either "secret_arn" or "secret_file"'),
        ({**GOOD, "secret_file": "/x"}, 'either "secret_arn" or "secret_file"'),
        ({**GOOD, "secret_arn": "arn:aws:s3:::bucket"}, "no ARN of a secret"),
        ({**GOOD, "region": "us-east-1"}, "is of eu-west-1 and .* us-east-1"),
        ({**GOOD, "file_system_id": "efs-1"}, '"file_system_id" is efs-1.*fs-0123abcd'),
        ({**GOOD, "access_point_id": "fsap-0123abcd"}, '"access_point_id" needs "file_system_id"'),
        ({**GOOD, "settings": {"currency": "USD"}}, '"settings" has currency'),
        ({**GOOD, "settings": {"CURRENCY": "USD\nX=1"}}, "a text of one line"),
    ],
)
def test_bad_user_data_is_refused_in_one_line(raw: object, told: str) -> None:
    with pytest.raises(steps.Refused, match=told) as refusal:
        given.check_user_data(raw if isinstance(raw, bytes) else json.dumps(raw).encode())

    assert "\n" not in str(refusal.value)


def test_names_that_an_environment_left_empty_are_left_out() -> None:
    raw = json.dumps({**GOOD, "file_system_id": "", "access_point_id": ""}).encode()

    assert given.check_user_data(raw) == GOOD


@pytest.fixture
def secrets_manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="eu-west-1")


def test_a_secret_comes_from_secrets_manager(secrets_manager: Any) -> None:
    arn = secrets_manager.create_secret(Name="shop/store", SecretString=json.dumps(SECRET))["ARN"]

    assert given.fetch_secret({"secret_arn": arn}) == SECRET


def test_a_secret_that_does_not_exist_is_refused(secrets_manager: Any) -> None:
    with pytest.raises(steps.Refused, match=r"shop/store-AbCdEf does not exist or is being deleted"):
        given.fetch_secret({"secret_arn": ARN})


def test_an_image_without_boto3_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)

    with pytest.raises(steps.Refused, match=r"is in Secrets Manager, and this image was baked without boto3"):
        given.fetch_secret({"secret_arn": ARN})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("not json: hunter2", "no JSON object"),
        ('["hunter2"]', "no JSON object"),
        (json.dumps({"SECRET_KEY": SECRET["SECRET_KEY"]}), "has no DB_PASS"),
        (json.dumps({**SECRET, "SECRET_KEY": "hunter2"}), "SECRET_KEY of less than 32"),
        (json.dumps({**SECRET, "DB_PASS": "hunter2\nX=1"}), "has DB_PASS, which is no environment variable"),
    ],
)
def test_a_bad_secret_is_refused_and_not_shown(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "secret.json").write_text(content)

    with pytest.raises(steps.Refused, match=told) as refusal:
        given.fetch_secret({"secret_file": str(tmp_path / "secret.json")})

    assert "hunter2" not in str(refusal.value)


def test_the_environment_is_private_and_whole(tmp_path: Path) -> None:
    image = store.Image(
        "r1", "bookstore:r1", [], {"UPLOAD_FOLDER": "/srv", "CURRENCY": "COP"}, {}, tmp_path, [], "", 60, 3, 40
    )
    data = {**GOOD, "settings": {"CURRENCY": "USD"}}
    file = tmp_path / "environment"

    steps.write_private(file, store.environment_text(store.environment(image, data, SECRET)))

    assert file.stat().st_mode & 0o777 == 0o600
    lines = file.read_text().splitlines()
    assert "CURRENCY=USD" in lines
    assert "DB_HOST=db.internal" in lines
    assert "DB_PASS=correct $horse#1" in lines


def test_a_trial_needs_no_other_host_and_no_secret(tmp_path: Path) -> None:
    image = store.Image("r1", "bookstore:r1", [], {"DB_SSL_CA": "/ca"}, {}, tmp_path, [], "", 60, 3, 40)

    variables = store.environment(image, given.check_user_data(b'{"trial": true}'), {})

    assert variables["DATABASE_URL"].startswith("sqlite:")
    assert len(variables["SECRET_KEY"]) >= given.MIN_SECRET_LENGTH
    assert "DB_SSL_CA" not in variables


def test_what_may_mend_itself_is_tried_again_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(steps.time, "sleep", pauses.append)
    answers = iter([steps.BootError("away"), steps.BootError("away"), "there"])

    def attempt() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert steps.persist("database", attempt, 60) == "there"
    assert pauses == [1.0, 2.0]
    assert "database: away; trying again in 1 s" in capsys.readouterr().out


def test_what_cannot_mend_itself_is_not_tried_again() -> None:
    def attempt() -> None:
        raise steps.Refused("wrong")

    with pytest.raises(steps.Refused):
        steps.persist("secret", attempt, 60)


def test_a_database_that_does_not_answer_is_named() -> None:
    with pytest.raises(steps.BootError, match=r'127\.0\.0\.1:9 does not answer .*is "database_host" right'):
        store.reach("127.0.0.1", 9)
    with pytest.raises(steps.BootError, match=r'"database_host" is nowhere\.invalid, and the name leads nowhere'):
        store.reach("nowhere.invalid", 3306)


@pytest.mark.parametrize(
    ("status", "body", "understood"),
    [
        (200, b'{"status": "healthy"}', {"status": "healthy"}),
        (503, b'{"schema": "different"}', {"schema": "different"}),
        (500, b"<h1>Internal Server Error</h1>", {}),
        (200, b"[]", {}),
        (503, b"", {}),
    ],
)
def test_an_answer_that_says_nothing_is_asked_for_again(status: int, body: bytes, understood: dict[str, str]) -> None:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert store.ready(server.server_port) == understood
        server.shutdown()

    assert store.ready(9) == {}


def test_a_secret_that_vanished_is_named_by_its_step(tmp_path: Path) -> None:
    image = store.Image("r1", "bookstore:r1", [], {}, {}, tmp_path, [], "", 60, 3, 40)

    with pytest.raises(steps.Refused, match=r"^secret: .*none.json does not exist"):
        program.renew(image, {"database_host": "db", "secret_file": str(tmp_path / "none.json")})


@pytest.fixture
def run(tmp_path: Path) -> Callable[[dict[str, Any]], subprocess.CompletedProcess[str]]:
    """The program as the unit runs it, on some user data."""
    description = {
        "release": "r1",
        "image": "bookstore:r1",
        "arguments": [],
        "settings": {},
        "ports": {"blue": 8001, "green": 8002},
        "upstream_file": str(tmp_path / "upstream.conf"),
        "proxy_check": [],
        "proxy_service": "",
        "ready_timeout": 60,
        "drain_seconds": 3,
        "stop_timeout": 40,
    }
    (tmp_path / "container.json").write_text(json.dumps(description))

    def boot(user_data: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        (tmp_path / "user-data.json").write_text(json.dumps(user_data))
        options = [f"--user-data={tmp_path / 'user-data.json'}", f"--container={tmp_path / 'container.json'}"]
        return subprocess.run(
            [sys.executable, "-m", "bookstore_boot", *options], cwd=FILES, capture_output=True, text=True
        )

    return boot


def test_a_failed_boot_is_one_line_and_not_tried_again_for_nothing(
    run: Callable[[dict[str, Any]], subprocess.CompletedProcess[str]],
) -> None:
    ended = run({**GOOD, "release": "r2"})

    # EX_CONFIG, which the unit does not start again after.
    assert ended.returncode == 78
    assert ended.stdout.splitlines() == [
        'bookstore-boot: FAILED at user data: "release" is r2, and this image holds r1. '
        "This is not tried again until the cause is mended."
    ]
    assert ended.stderr == ""


def test_what_nobody_thought_of_is_one_line_too(
    run: Callable[[dict[str, Any]], subprocess.CompletedProcess[str]],
) -> None:
    # The boot's real folder, which only a clone has: what is tested is that it is missing.
    if Path("/run/bookstore").exists():
        pytest.skip("this machine is a clone of the golden image")

    ended = run({"trial": True})

    # Where the folder in memory is missing; EX_TEMPFAIL, so the unit is started again.
    assert ended.returncode == 75
    assert "FAILED: [Errno 2] No such file or directory: '/run/bookstore/environment.part'." in ended.stdout
    assert ended.stderr == ""
