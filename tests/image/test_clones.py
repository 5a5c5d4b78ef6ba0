"""What the Auto Scaling group relies on: clones that are alike in what they do and in nothing else."""

from __future__ import annotations

import io
import json
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from lab import image
from lab.baking import Frozen
from tests.image.conftest import Clone
from tests.system.customer import Customer

Boot = Callable[[dict[str, object]], dict[str, Clone]]
ROOTS = ("/boot", "/etc", "/home", "/opt", "/root", "/srv", "/usr", "/var")


def in_image(facts: dict[str, Any], *command: str, stdin: str = "") -> str:
    """Run a command on the frozen disk, before any boot."""
    volume = Frozen.of(facts["image"].partition(":")[2]).volume
    start = ("docker", "run", "--rm", "--interactive", "--network=none", f"--volume={volume}:/var/lib/docker")
    done = subprocess.run([*start, facts["image"], *command], input=stdin, capture_output=True, text=True)
    return done.stdout


def mysql(facts: dict[str, Any], statement: str) -> str:
    """Run a statement on the database host."""
    command = [
        "docker",
        "exec",
        facts["database"]["container"],
        "mysql",
        "--batch",
        "--skip-column-names",
        "-e",
        statement,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_image_holds_no_secret(facts: dict[str, Any]) -> None:
    secret = json.loads(Path(facts["database"]["secret_file"]).read_text())
    search = ("grep", "--recursive", "--files-with-matches", "--fixed-strings", "--file=-", "--devices=skip", *ROOTS)

    assert in_image(facts, *search, stdin="\n".join(secret.values())) == ""
    # The search finds what is there, also in the layers of the store's image.
    assert "/var/lib/docker/overlay2/" in in_image(facts, *search, stdin="GET_LOCK(:name, :wait)")


def test_the_image_holds_nothing_of_the_builders_own(facts: dict[str, Any]) -> None:
    def find(*arguments: str) -> str:
        return in_image(facts, "find", *arguments)

    assert find("/etc/ssh", "-name", "ssh_host_*") == ""
    assert in_image(facts, "cat", "/etc/machine-id") == ""
    assert (
        find("/root", "/home", "-name", "authorized_keys", "-o", "-name", ".*_history", "-o", "-name", ".ansible") == ""
    )
    assert find("/var/log", "/var/lib/apt/lists", "-type", "f") == ""
    assert find(*ROOTS, "-name", ".env", "-o", "-path", "/etc/bookstore/environment") == ""


def test_the_manifest_says_what_is_in_it(facts: dict[str, Any], clones: dict[str, Clone]) -> None:
    manifest = json.loads(Path(facts["manifest"]).read_text())

    assert clones["clone-1"].get("/health").json()["release"] == manifest["release"]
    image_id = ("docker", "images", "--no-trunc", "--quiet", f"bookstore:{manifest['release']}")
    assert clones["clone-1"].run(*image_id) == manifest["image"]
    assert manifest["packages"]["nginx"] == clones["clone-1"].run("dpkg-query", "-Wf", "${Version}", "nginx")
    assert manifest["variables"]["nginx_certbot_mode"] == "behind_load_balancer"
    assert not [name for name in manifest["variables"] if re.search("secret_key|password|forbidden", name)]


def test_two_clones_are_two_hosts(clones: dict[str, Clone]) -> None:
    for own in (
        ("cat", "/etc/machine-id"),
        ("cat", "/etc/ssh/ssh_host_ed25519_key.pub"),
        ("docker", "info", "-f", "{{.ID}}"),
    ):
        found = [clone.run(*own) for clone in clones.values()]
        assert all(found)
        assert len(set(found)) == len(found), own


def test_the_environment_is_in_memory_and_roots_alone(clones: dict[str, Clone]) -> None:
    clone = clones["clone-1"]

    assert clone.run("stat", "-c", "%a %U", "/run/bookstore/environment") == "600 root"
    assert clone.run("stat", "-f", "-c", "%T", "/run/bookstore") == "tmpfs"


def test_a_cover_that_came_through_one_is_served_by_all(facts: dict[str, Any], clones: dict[str, Clone]) -> None:
    seller = Customer(facts["url"], facts["ca_file"])
    seller.join()
    picture, title = io.BytesIO(), f"Rayuela {secrets.token_hex(4)}"
    Image.new("RGB", (200, 300), tuple(secrets.token_bytes(3))).save(picture, "PNG")
    fields = {"title": title, "author": "Julio", "description": "Usado", "price": "38000", "stock": "1"}

    listed = seller.submit("/book/add_book", files={"cover": ("cover.png", picture.getvalue())}, **fields)

    assert listed.status_code == 302, listed.text
    page = seller.get(f"/book/catalog?q={title.split()[1]}").text
    path = re.search(r"/covers/[0-9a-f]{64}-small\.webp", page)
    assert path
    for clone in clones.values():
        assert clone.get(path[0], Host="localhost").headers["Content-Type"] == "image/webp"


def test_a_killed_clone_costs_only_what_it_was_doing(facts: dict[str, Any], clones: dict[str, Clone]) -> None:
    visitors, until, agent = 8, time.monotonic() + 14, f"visit-{secrets.token_hex(4)}"
    failed: list[tuple[float, str]] = []
    answered = [0]

    def visit() -> None:
        while time.monotonic() < until:
            try:
                address = f"{facts['url']}/book/catalog?visit={secrets.token_hex(8)}"
                headers = {"User-Agent": agent}
                status = requests.get(address, headers=headers, verify=facts["ca_file"], timeout=10).status_code
                if status != 200:
                    failed.append((time.monotonic(), str(status)))
            except requests.RequestException as error:
                failed.append((time.monotonic(), str(error)))
            answered[0] += 1

    threads = [threading.Thread(target=visit) for _ in range(visitors)]
    for thread in threads:
        thread.start()
    time.sleep(4)
    for clone in clones.values():
        assert clone.run("grep", "--max-count=1", agent, "/var/log/nginx/access.log")
    killed = time.monotonic()
    subprocess.run(["docker", "kill", clones["clone-2"].container], check=True, capture_output=True)
    for thread in threads:
        thread.join()
    subprocess.run(["docker", "start", clones["clone-2"].container], check=True, capture_output=True)

    assert answered[0] > 50
    # What was on its way to it when it died, one for each visitor at most; nothing after two missed health checks.
    assert len(failed) <= visitors, failed
    assert all(killed <= moment <= killed + 4 for moment, _ in failed), failed
    clones["clone-2"].wait_until_healthy()


def test_a_changed_password_is_taken_up_without_a_reboot(facts: dict[str, Any], clones: dict[str, Clone]) -> None:
    file = Path(facts["database"]["secret_file"])
    secret = {**json.loads(file.read_text()), "DB_PASS": secrets.token_urlsafe(24)}
    clone = clones["clone-1"]
    before = clone.run("docker", "ps", "--quiet", "--filter", "label=bookstore.color")

    mysql(facts, f"ALTER USER bookstore@'%' IDENTIFIED BY '{secret['DB_PASS']}'")
    image.write_private(file, json.dumps(secret))
    for name in clones:
        (image.HERE / "instances" / name / "secret.json").write_text(json.dumps(secret))
    clone.wait_for(
        "running on the new password",
        lambda: clone.run("docker", "ps", "--quiet", "--filter", "label=bookstore.color") != before,
    )

    clone.wait_until_healthy()
    assert secret["DB_PASS"] in clone.run("cat", "/run/bookstore/environment")
    clones["clone-2"].wait_for(
        "running on it too", lambda: secret["DB_PASS"] in clones["clone-2"].run("cat", "/run/bookstore/environment")
    )
    clones["clone-2"].wait_until_healthy()


def test_of_eight_clones_on_an_empty_database_one_migrates_and_none_fails(
    facts: dict[str, Any], boot: Boot, good: dict[str, object]
) -> None:
    mysql(facts, "DROP DATABASE IF EXISTS eight; CREATE DATABASE eight; GRANT ALL ON eight.* TO bookstore@'%'")
    mysql(facts, "TRUNCATE performance_schema.events_statements_summary_by_digest")

    started = boot({f"one-of-eight-{number}": {**good, "database_name": "eight"} for number in range(1, 9)})

    for clone in started.values():
        clone.wait_until_healthy()
        # Until the last of them had started, all waited for their user data.
        told = clone.journal().rpartition("user data: done")[2]
        assert "healthy" in told
        assert not re.search("FAILED|trying again", told), told
    assert mysql(facts, "SELECT COUNT(*) FROM eight.alembic_version") == "1"
    assert mysql(facts, "SELECT COUNT(*) > 0 FROM eight.delivery_providers") == "1"
    # Each table was made once, by one of them: the others found it there.
    statements = "performance_schema.events_statements_summary_by_digest"
    made = f"FROM {statements} WHERE SCHEMA_NAME = 'eight' AND DIGEST_TEXT LIKE 'CREATE TABLE %'"
    assert int(mysql(facts, f"SELECT COUNT(*) {made}")) > 10
    assert mysql(facts, f"SELECT MAX(COUNT_STAR) {made}") == "1"


def test_where_clones_boot_no_registry_can_be_reached(boot: Boot, good: dict[str, object]) -> None:
    clone = boot({"cut-off": good})["cut-off"]

    clone.wait_until_healthy()
    for host in ("deb.debian.org", "registry-1.docker.io", "pypi.org", "1.1.1.1"):
        assert not connects(clone, host, 443), host
    assert connects(clone, str(good["database_host"]), 3306)


def connects(clone: Clone, host: str, port: int) -> bool:
    """Whether a clone can connect to a port."""
    script = f"import socket; socket.create_connection(({host!r}, {port}), 5); print('connected')"
    return clone.run("python3", "-c", script) == "connected"


# What is given besides, and what is told of it.
BAD: dict[str, tuple[dict[str, object] | str, str]] = {
    "malformed": ("database_host: db", r"FAILED at user data: it is no JSON"),
    "unknown-key": ({"databse": "x"}, r"FAILED at user data: \"databse\" is no key"),
    "wrong-arn": ({"secret_file": "", "secret_arn": "arn:aws:s3:::x"}, r"FAILED at user data: .* no ARN of a secret"),
    "no-secret": ({"secret_file": "/srv/instance/none.json"}, r"FAILED at secret: .*none.json does not exist"),
    "no-database": ({"database_host": "10.255.255.1"}, r"database: 10.255.255.1:3306 does not answer"),
    "wrong-user": ({"secret_file": "/srv/instance/other.json"}, r"cannot use the database: .*1045"),
}


def test_bad_input_gives_a_clear_line_and_no_half_working_host(
    facts: dict[str, Any], boot: Boot, good: dict[str, object], lab: str
) -> None:
    secret = json.loads(Path(facts["database"]["secret_file"]).read_text())
    folder = image.bakery(lab).given("wrong-user", {})
    (folder / "other.json").write_text(json.dumps({**secret, "DB_PASS": "not-the-password"}))

    given = {name: data if isinstance(data, str) else {**good, **data} for name, (data, _) in BAD.items()}

    for name, clone in boot(given).items():
        clone.wait_for(
            f"told about {BAD[name][1]}", lambda n=name, c=clone: re.search(BAD[n][1], c.journal()) is not None
        )
        assert clone.get("/health").status_code == 503
        assert clone.get("/book/catalog", Host="localhost").status_code == 503
        assert "Traceback" not in clone.journal()
        for value in secret.values():
            assert value not in clone.journal()


def test_an_unknown_file_system_costs_covers_and_nothing_else(boot: Boot, good: dict[str, object]) -> None:
    given = {**good, "file_system_id": "fs-0123abcd", "region": "eu-west-1"}

    clone = boot({"no-covers": given})["no-covers"]

    clone.wait_until_healthy()
    clone.wait_for(
        "told about covers", lambda: re.search(r"covers: .*The store sells without covers", clone.journal()) is not None
    )
    assert clone.get("/ready", Host="localhost").json()["covers"] == "missing"
