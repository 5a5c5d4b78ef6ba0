"""The dynamic inventory groups an environment's instances, and commands reach them through Session Manager.

AWS's API is the emulator's, and this machine plays each instance: AWS's program session-manager-plugin, which carries a
session's bytes, is stood in for by a shell.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.ansible.conftest import BIN, ROOT, copied

REGION = "eu-west-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": REGION}


@pytest.fixture
def client(emulator: str) -> Callable[[str], Any]:
    return lambda service: boto3.client(
        service,
        region_name=REGION,
        endpoint_url=emulator,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


@pytest.fixture
def instances(client: Callable[[str], Any]) -> dict[str, str]:
    """One instance of each environment, and one of somebody else's."""
    client("s3").create_bucket(
        Bucket=f"shop-logs-123456789012-{REGION}", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    ec2 = client("ec2")
    base = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    ours = {"ManagedBy": "bookstore-ansible", "Role": "store", "Release": "1.0"}
    made = {}
    for name, tags in {
        "shop": {**ours, "Environment": "shop"},
        "stage": {**ours, "Environment": "stage", "Release": "1.1"},
        "theirs": {"Environment": "shop", "Role": "store"},
    }.items():
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        [one] = ec2.run_instances(
            ImageId=base, MinCount=1, MaxCount=1, TagSpecifications=[{"ResourceType": "instance", "Tags": listed}]
        )["Instances"]
        made[name] = one["InstanceId"]
    return made


@pytest.fixture
def ansible(emulator: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run one of Ansible's programs on a copy of inventories/aws, as docs/aws.md does."""
    inventory = copied("aws", tmp_path)
    plugin = tmp_path / "session-manager-plugin"
    plugin.write_text(
        f"""#!/bin/sh
echo "Starting session with SessionId: stand-in"
PATH=/usr/sbin:/usr/bin:/sbin:/bin exec {sys.executable} -c 'import pty; pty.spawn(["bash", "--norc"])'
"""
    )
    plugin.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"} | CREDENTIALS
    environment |= {
        "AWS_ENDPOINT_URL": emulator,
        "AWS_SESSION_MANAGER_PLUGIN": str(plugin),
        "ANSIBLE_NOCOLOR": "1",
        "HOME": str(tmp_path),
    }

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [BIN / program, "-i", inventory, *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)

    return run


def test_instances_are_grouped_by_environment_role_and_release(
    ansible: Callable[..., subprocess.CompletedProcess[str]], instances: dict[str, str]
) -> None:
    shown = json.loads(ansible("ansible-inventory", "--list").stdout)
    groups = {name: set(group.get("hosts", ())) for name, group in shown.items()}

    shop, stage = instances["shop"], instances["stage"]
    assert groups["environment_shop"] == {shop}
    assert groups["environment_stage"] == {stage}
    assert groups["role_store"] == {shop, stage}
    assert groups["release_1_0"] == {shop}
    assert groups["release_1_1"] == {stage}
    assert instances["theirs"] not in shown["_meta"]["hostvars"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        # As docs/aws.md has it.
        (("-m", "ansible.builtin.command", "-a", "uptime"), "load average"),
        # Where an instance's Python is what is wrong.
        (("-m", "ansible.builtin.raw", "-a", "echo reached $((40 + 2))"), "reached 42"),
    ],
)
def test_commands_reach_them_through_session_manager(
    ansible: Callable[..., subprocess.CompletedProcess[str]],
    instances: dict[str, str],
    client: Callable[[str], Any],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    done = ansible("ansible", "environment_shop", *arguments)

    assert done.returncode == 0, done.stdout + done.stderr
    assert instances["shop"] in done.stdout
    assert said in done.stdout
    # What a module was sent by does not stay.
    assert "Contents" not in client("s3").list_objects_v2(Bucket=f"shop-logs-123456789012-{REGION}")
