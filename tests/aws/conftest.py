"""Modules for AWS run in this process, against moto with the emulator's patches; others ask it over HTTP."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from threading import Thread
from types import ModuleType
from typing import Any

import boto3
import pytest
import requests
import yaml
from moto import mock_aws
from werkzeug.serving import make_server

from lab.emulator import application
from tests.ansible.conftest import ROOT, load

REGION = "eu-west-1"
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))


@pytest.fixture(scope="session")
def modules() -> dict[str, ModuleType]:
    """Every module by its name, with what they share where they import it from."""
    shared = load(ROOT / "plugins" / "module_utils" / "bookstore_aws.py")
    sys.modules["ansible.module_utils.bookstore_aws"] = shared
    return {name: load(ROOT / "plugins" / "modules" / f"{name}.py") for name in MODULES}


@pytest.fixture
def emulator() -> Iterator[str]:
    """An empty account for other processes: its address."""
    server = make_server("127.0.0.1", 0, application(), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.port}"
    yield address
    # What it holds belongs to this process and outlives the server.
    requests.post(f"{address}/moto-api/reset", timeout=5)
    server.shutdown()
    thread.join()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """An empty account; makes clients for it."""
    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield lambda service: boto3.client(service, region_name=REGION)


@pytest.fixture
def run(modules: dict[str, ModuleType], aws: Callable[[str], Any]) -> Callable[..., Any]:
    """Run a module's work on a service; its changes and its facts."""

    def work(name: str, /, *services: str, check: bool = False, **given: Any) -> tuple[Any, dict[str, Any]]:
        module = modules[name]
        options = yaml.safe_load(module.DOCUMENTATION)["options"]
        parameters = {key: option.get("default") for key, option in options.items()} | given
        assert parameters.keys() == options.keys()
        changes = sys.modules["ansible.module_utils.bookstore_aws"].Changes(check)
        return changes, module.work(*map(aws, services), parameters, changes)

    return work


@pytest.fixture
def subnets(aws: Callable[[str], Any]) -> list[str]:
    """Two subnets in two zones of one VPC."""
    ec2 = aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    return [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{zone}.0/24", AvailabilityZone=f"{REGION}{letter}")["Subnet"][
            "SubnetId"
        ]
        for zone, letter in enumerate("ab")
    ]


@pytest.fixture
def group(aws: Callable[[str], Any], subnets: list[str]) -> str:
    """A security group in their VPC."""
    ec2 = aws("ec2")
    vpc = ec2.describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
    return str(ec2.create_security_group(GroupName="g", Description="g", VpcId=vpc)["GroupId"])
