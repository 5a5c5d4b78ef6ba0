"""The operator's policy covers every call that was recorded, names each action in full and limits what can be limited."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.ansible.conftest import ROOT, load


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    return load(ROOT / "docs" / "aws_operator_policy.py")


@pytest.fixture(scope="module")
def document(generator: ModuleType) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(generator.POLICY.read_text())
    return found


def test_it_is_what_is_generated(generator: ModuleType, document: dict[str, Any]) -> None:
    every = [action for statement in document["Statement"] for action in statement["Action"]]

    assert len(every) == len(set(every)) > 150
    assert generator.policy(every) == document


def test_every_action_is_one_of_iams_and_named_in_full(generator: ModuleType, document: dict[str, Any]) -> None:
    for statement in document["Statement"]:
        for action in statement["Action"]:
            assert generator.known(action), action
            assert "*" not in action


def test_it_fits_a_role(generator: ModuleType, document: dict[str, Any]) -> None:
    assert len(json.dumps(document, separators=(",", ":"))) <= generator.SIZE_LIMIT


@pytest.mark.parametrize(
    "action",
    [
        "rds:DeleteDBInstance",
        "secretsmanager:GetSecretValue",
        "elasticloadbalancing:DeleteLoadBalancer",
        "autoscaling:DeleteAutoScalingGroup",
        "iam:DeleteRole",
        "iam:PassRole",
        "s3:DeleteBucket",
        "ec2:TerminateInstances",
        "ec2:DeleteKeyPair",
        "ec2:DeleteVpc",
        "elasticfilesystem:DeleteFileSystem",
    ],
)
def test_what_destroys_or_tells_secrets_is_limited_to_the_environment(document: dict[str, Any], action: str) -> None:
    [statement] = [one for one in document["Statement"] if action in one["Action"]]

    assert "bookstore" in json.dumps([statement["Resource"], statement.get("Condition")])


@pytest.mark.parametrize("action", ["ec2:DeregisterImage", "ec2:DeleteSnapshot"])
def test_no_other_images_than_golden_ones_can_be_removed(document: dict[str, Any], action: str) -> None:
    [statement] = [one for one in document["Statement"] if action in one["Action"]]

    assert statement["Condition"] == {"StringEquals": {"aws:ResourceTag/Role": "golden"}}


def test_a_new_call_is_noticed(generator: ModuleType, document: dict[str, Any]) -> None:
    calls = [
        {"service": "rds", "operation": "DescribeDBInstances"},
        {"service": "rds", "operation": "RebootDBInstance"},
    ]

    assert generator.uncovered(calls, document) == ["rds:RebootDBInstance"]


def test_what_a_call_needs_besides_is_noticed(generator: ModuleType) -> None:
    calls = [{"service": "autoscaling", "operation": "CreateAutoScalingGroup"}]

    assert "iam:PassRole" in generator.actions(calls)


def test_a_call_that_iam_names_otherwise_is_translated(generator: ModuleType) -> None:
    calls = [{"service": "monitoring", "operation": "PutMetricAlarm"}, {"service": "s3", "operation": "HeadBucket"}]

    assert generator.actions(calls) == {"cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "s3:ListBucket"}


def test_a_call_that_iam_does_not_know_is_an_error(generator: ModuleType) -> None:
    with pytest.raises(ValueError, match="IAM knows no action s3:PutBucketMagic"):
        generator.actions([{"service": "s3", "operation": "PutBucketMagic"}])


def test_every_call_of_our_own_modules_is_covered(generator: ModuleType, document: dict[str, Any]) -> None:
    calls = list(generator.own_calls())

    assert {"service": "rds", "operation": "CreateDBInstance"} in calls
    assert generator.uncovered(calls, document) == [], "run: python docs/aws_operator_policy.py"


def test_what_an_operator_does_besides_is_covered(generator: ModuleType, document: dict[str, Any]) -> None:
    allowed = {action for statement in document["Statement"] for action in statement["Action"]}

    assert set(generator.FURTHER) <= allowed
    assert all(map(generator.known, generator.FURTHER))


@pytest.mark.skipif("AWS_CALLS" not in os.environ, reason="the rehearsal runs it with the calls that it recorded")
def test_every_recorded_call_is_covered(generator: ModuleType, document: dict[str, Any]) -> None:
    calls = generator.read(Path(os.environ["AWS_CALLS"]))

    assert calls
    assert generator.uncovered(calls, document) == [], "run: python docs/aws_operator_policy.py"
