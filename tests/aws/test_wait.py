"""Waiting for several resources at once: progress, failures, the end of patience."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tests.ansible.conftest import ROOT, load


@pytest.fixture(scope="module")
def aws_wait() -> ModuleType:
    return load(ROOT / "plugins" / "action" / "aws_wait.py")


class Account:
    """An account whose resources change with each look; what was asked is noted."""

    def __init__(self, **states: list[str]) -> None:
        self.states = states
        self.asked: list[str] = []
        self.secret = "active"

    def __call__(self, service: str) -> Account:
        return self

    def _next(self, what: str) -> str:
        self.asked.append(what)
        states = self.states[what]
        return states.pop(0) if len(states) > 1 else states[0]

    def describe_db_instances(self, **_: Any) -> Any:
        endpoint, secret = {"Address": "db.example"}, {"SecretArn": "arn", "SecretStatus": self.secret}
        status = self._next("database")
        return {"DBInstances": [{"DBInstanceStatus": status, "Endpoint": endpoint, "MasterUserSecret": secret}]}

    def get_distribution(self, **_: Any) -> Any:
        return {"Distribution": {"Status": self._next("distribution")}}


BOTH = [{"kind": "database", "id": "shop"}, {"kind": "distribution", "id": "E1"}]


def wait(module: ModuleType, account: Account, **options: Any) -> tuple[Any, list[str], list[float]]:
    told: list[str] = []
    slept: list[float] = []
    given: dict[str, Any] = {"timeout": 60, "delay": 5, **options}
    facts = module.wait(account, BOTH, given["timeout"], given["delay"], told.append, slept.append)
    return facts, told, slept


def test_all_are_awaited_together_and_the_slowest_is_the_whole_time(aws_wait: ModuleType) -> None:
    account = Account(database=["creating", "creating", "available"], distribution=["InProgress", "Deployed"])

    facts, told, slept = wait(aws_wait, account)

    assert facts["database"] == {"host": "db.example", "master_secret_arn": "arn"}
    assert account.asked == ["database", "distribution", "database", "distribution", "database"]
    assert slept == [5, 5]
    assert [line.partition("s  ")[2] for line in told] == [
        "database shop: creating",
        "distribution E1: InProgress",
        "distribution E1: Deployed",
        "database shop: available",
    ]


def test_a_master_secret_is_awaited_until_it_can_be_read(aws_wait: ModuleType) -> None:
    account = Account(database=["available"])
    account.secret = "creating"

    assert not aws_wait.master_secret(account, {"id": "shop"}).ready
    account.secret = "active"
    assert aws_wait.master_secret(account, {"id": "shop"}).facts == {"arn": "arn"}
    account.secret = "impaired"
    assert aws_wait.master_secret(account, {"id": "shop"}).failed


def test_what_has_failed_is_not_awaited(aws_wait: ModuleType) -> None:
    account = Account(database=["creating", "failed"], distribution=["InProgress"])

    with pytest.raises(aws_wait.WaitError, match="database shop is failed and will not be ready"):
        wait(aws_wait, account)


def test_patience_ends_and_names_what_is_left(aws_wait: ModuleType) -> None:
    account = Account(database=["creating"], distribution=["Deployed"])

    with pytest.raises(aws_wait.WaitError, match=r"Not ready after -1 s: database shop.*Run the playbook again"):
        wait(aws_wait, account, timeout=-1)


def test_a_network_that_fails_for_a_moment_is_waited_out(aws_wait: ModuleType) -> None:
    class Shaky(Account):
        def _next(self, what: str) -> str:
            state = super()._next(what)
            if state == "gone":
                raise EndpointConnectionError(endpoint_url="https://rds.example")
            return state

    facts, told, _ = wait(aws_wait, Shaky(database=["gone", "available"], distribution=["Deployed"]))

    assert facts["database"]["host"] == "db.example"
    assert "AWS does not answer" in told[0]


def test_expired_credentials_are_said_with_the_mend(aws_wait: ModuleType) -> None:
    class Expired(Account):
        def _next(self, what: str) -> str:
            raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "expired"}}, "DescribeDBInstances")

    with pytest.raises(aws_wait.WaitError, match=r"have expired: get new ones, then run the playbook again"):
        wait(aws_wait, Expired())


def test_every_kind_is_documented(aws_wait: ModuleType) -> None:
    import yaml

    documentation = load(ROOT / "plugins" / "modules" / "aws_wait.py").DOCUMENTATION
    choices = yaml.safe_load(documentation)["options"]["for"]["suboptions"]["kind"]["choices"]

    assert sorted(choices) == sorted(aws_wait.KINDS)


@pytest.fixture
def scaling() -> Callable[[str], Any]:
    """A group with two instances in service, of which one is healthy."""

    class Half:
        def describe_auto_scaling_groups(self, **_: Any) -> Any:
            instances = [{"InstanceId": name, "LifecycleState": "InService"} for name in ("i-1", "i-2")]
            return {"AutoScalingGroups": [{"Instances": instances, "TargetGroupARNs": ["arn"]}]}

        def describe_target_health(self, **_: Any) -> Any:
            states = {"i-1": "healthy", "i-2": "unhealthy"}
            return {
                "TargetHealthDescriptions": [
                    {"Target": {"Id": name}, "TargetHealth": {"State": state}} for name, state in states.items()
                ]
            }

    return lambda service: Half()


def test_an_instance_counts_when_the_load_balancer_calls_it_healthy(
    aws_wait: ModuleType, scaling: Callable[[str], Any]
) -> None:
    assert aws_wait.group(scaling, {"id": "shop", "count": 1}).ready
    assert aws_wait.group(scaling, {"id": "shop", "count": 2}) == aws_wait.Look("1 of 2 healthy")


def test_interfaces_that_linger_are_waited_out(
    aws_wait: ModuleType, aws: Callable[[str], Any], subnets: list[str], group: str
) -> None:
    ec2 = aws("ec2")
    [other] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    left = ec2.create_security_group(GroupName="left", Description="left", VpcId=other["VpcId"])["GroupId"]
    made = ec2.create_network_interface(SubnetId=subnets[0], Groups=[group])["NetworkInterface"]
    told: list[str] = []

    def goes(_: float) -> None:
        ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])

    aws_wait.wait(aws, [{"kind": "no_interfaces", "id": f"{group},{left}"}], 60, 5, told.append, goes)

    assert [line.rpartition(": ")[2] for line in told] == ["1 left", "gone"]
