"""The two hosts of `make up`, the clones of `make image`, and an emulator of AWS that both reach."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from lab import image
from lab.__main__ import LAB_VARS
from lab.emulator_patches import CONTAINER_TAG
from lab.settings import INVENTORY, ROOT, STATE

REGION = "eu-west-1"
NAME = "shop"
COVERS = "/srv/bookstore/uploads/covers"
BIN = Path(sys.executable).parent


def pytest_configure() -> None:
    for what, file in (("up", STATE / "lab.json"), ("image", image.FACTS)):
        if not file.exists():
            pytest.exit(f"{file} is not there: run `make {what}` first.", returncode=2)


@dataclass(frozen=True)
class Store:
    """A store, its database's host and a host that has its covers."""

    url: str
    ca_file: str
    database: str
    host: str

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, verify=self.ca_file, timeout=20)

    def rows(self, *tables: str) -> str:
        """All rows of some tables, as mysqldump writes them."""
        options = (
            "--no-create-info",
            "--compact",
            "--order-by-primary",
            "--skip-extended-insert",
            "--set-gtid-purged=OFF",
        )
        return run("docker", "exec", self.database, "mysqldump", *options, "bookstore", *tables)

    def covers(self) -> str:
        """Every file of a cover with its digest."""
        every = f"cd {COVERS} && find . -name '*.webp' -exec sha256sum {{}} + | sort"
        return run("docker", "exec", self.host, "sh", "-c", every)


@pytest.fixture
def old() -> Iterator[Store]:
    facts = json.loads((STATE / "lab.json").read_text())
    hosts = facts["hosts"]
    yield Store(facts["url"], facts["ca_file"], hosts["db"]["container"], hosts["app"]["container"])
    playbook({}, "move-back")


@pytest.fixture
def new() -> Iterator[Store]:
    """The store of the clones, empty."""
    facts = json.loads(image.FACTS.read_text())
    store = Store(
        facts["url"], facts["ca_file"], facts["database"]["container"], facts["clones"]["clone-1"]["container"]
    )
    empty(store)
    yield store
    empty(store)


def empty(store: Store) -> None:
    """As aws.yml leaves it: a schema without people."""
    run("docker", "exec", store.host, "rm", "-rf", COVERS)
    statement = "DROP DATABASE bookstore; CREATE DATABASE bookstore CHARACTER SET utf8mb4"
    run("docker", "exec", store.database, "mysql", "--execute", statement)
    migrate = "docker exec $(docker ps -qf label=bookstore.color) flask --app bookstore db upgrade"
    run("docker", "exec", store.host, "sh", "-c", migrate)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def aws(new: Store) -> Iterator[dict[str, str]]:
    """An account with one instance, which stands for a clone; what points boto3 and Ansible at it."""
    # Both networks reach this machine by its address in the old hosts' one.
    known = json.loads(LAB_VARS.read_text().partition("\n")[2])
    host = str(ipaddress.IPv4Network(known["lab_subnet"])[1])
    with socket.socket() as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    given = {**image.CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": REGION}
    command = [sys.executable, "-m", "lab.emulator", "--host", host, "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                try:
                    requests.get(given["AWS_ENDPOINT_URL"], timeout=1)
                    break
                except requests.RequestException:
                    time.sleep(0.2)
            launch(given, new.host)
            yield given
        finally:
            process.terminate()


def client(aws: dict[str, str], service: str) -> Any:
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=aws["AWS_ENDPOINT_URL"],
        aws_access_key_id="lab",
        aws_secret_access_key="lab",
    )


def launch(aws: dict[str, str], container: str) -> None:
    ec2 = client(aws, "ec2")
    made = ec2.register_image(Name="golden", Architecture="x86_64", RootDeviceName="/dev/sda1")
    tags = {"Environment": NAME, "Role": "store", CONTAINER_TAG: container}
    wanted = [{"Key": key, "Value": value} for key, value in tags.items()]
    ec2.run_instances(
        ImageId=made["ImageId"],
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": wanted}],
    )


@dataclass(frozen=True)
class Result:
    """How a playbook ended, and what it printed, its lines joined."""

    code: int
    changed: int
    text: str


When = dict[str, Callable[[subprocess.Popen[str]], None]]


def playbook(aws: dict[str, str], name: str, *options: str, when: When | None = None) -> Result:
    """Run a playbook on the old hosts; once a line of its begins with a text, do something."""
    command = [BIN / "ansible-playbook", "-i", INVENTORY, ROOT / "playbooks" / f"{name}.yml", *options]
    environment = {**os.environ, **aws, "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}
    lines, left = [], dict(when or {})
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            print(line, end="")
            for start in [start for start in left if line.startswith(start)]:
                left.pop(start)(process)
    assert not left, f"{list(left)} never came:\n{''.join(lines)}"
    text = "".join(lines)
    changed = [int(number) for number in re.findall(r"changed=(\d+)", text)]
    return Result(process.returncode, sum(changed), " ".join(text.split()))


@pytest.fixture
def move(aws: dict[str, str]) -> Callable[..., Result]:
    """Run the move."""
    given = {"aws_environment": NAME, "aws_region": REGION, "confirm": True, "move_wait_delay": 0.5}

    def start(when: When | None = None, **variables: Any) -> Result:
        return playbook(aws, "move-to-aws", "-e", json.dumps(given | variables), when=when)

    return start
