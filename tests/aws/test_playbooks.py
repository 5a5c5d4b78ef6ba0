"""Before anything is made, somebody says yes."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.ansible.conftest import BIN, ROOT


@pytest.mark.parametrize("playbook", ["aws", "aws-destroy", "aws-rollback"])
def test_nothing_is_done_where_nobody_can_be_asked(playbook: str) -> None:
    # Nothing listens there: a call would be another error.
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1", "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", "inventories/aws/hosts.yml", f"playbooks/{playbook}.yml"],
        cwd=ROOT,
        env={**os.environ, **nowhere},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = " ".join(done.stdout.split())

    assert done.returncode == 2
    assert "Nothing was changed. Answer with the environment's name, bookstore" in said
    assert "127.0.0.1:9" not in said


def test_what_is_billed_is_said_first() -> None:
    done = subprocess.run(
        [
            BIN / "ansible-playbook",
            "-i",
            "inventories/aws/hosts.yml",
            "playbooks/aws.yml",
            *("-e", '{"aws_data_multi_az": true, "aws_fleet_max_size": 6, "aws_edge_waf": true}'),
        ],
        cwd=ROOT,
        env={**os.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = " ".join(done.stdout.split())

    for billed in (
        "2 to 6 instances t3.small",
        "1 database db.t4g.micro, twice for its standby with 20 GiB (up to 100)",
        "1 NAT gateway",
        "1 web ACL with 3 rules",
    ):
        assert billed in said
