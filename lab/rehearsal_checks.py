"""What a rehearsal holds a playbook to: what it must have done, and what must be there after it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from lab.rehearsal_account import (
    STATES,
    Check,
    Rehearsal,
    Result,
)
from lab.settings import ROOT, VENV, LabError


def well(result: Result) -> str:
    """It succeeded."""
    return "" if result.code == 0 else "failed"


def unchanged(result: Result) -> str:
    """It succeeded, changed nothing and sent nothing that could have."""
    if result.code or result.changed or result.mutating:
        return f"changed={result.changed}, calls {result.mutating}, exit {result.code}; expected none"
    return ""


def only_looked(result: Result) -> str:
    """It succeeded, told of changes, and made none."""
    if result.code or not result.changed or result.mutating:
        return (
            f"changed={result.changed}, calls {result.mutating}, exit {result.code}; expected changes told and no calls"
        )
    return ""


def began_together(result: Result) -> str:
    """It succeeded, and what takes AWS minutes had begun before anything was awaited.

    The database takes the longest; then the NAT gateway and the certificate, which the module or the next step awaits.
    """
    order = [call["operation"] for call in result.calls]
    slow = [order.index(name) for name in ("CreateDBInstance", "CreateFileSystem", "CreateNatGateway")]
    first = order.index("CreateLoadBalancer")
    if result.code or slow != sorted(slow) or slow[-1] > first or "DescribeMountTargets" not in order[first:]:
        return f"exit {result.code}; database, covers, NAT gateway and balancer began at calls {slow} and {first}"
    return migrated_first(result)


def awaited_with_cloudfront(result: Result) -> str:
    """It succeeded, and CloudFront had begun before the database and the covers were awaited."""
    order = [call["operation"] for call in result.calls]
    begun = order.index("CreateDistributionWithTags")
    missing = {"DescribeDBInstances", "DescribeMountTargets", "GetDistribution"} - set(order[begun:])
    return f"exit {result.code}; not awaited after CloudFront had begun: {missing}" if result.code or missing else ""


def interrupted(result: Result) -> str:
    """It ended in the middle of its work."""
    return "" if result.code and result.mutating and "Traceback" not in result.text else f"exit {result.code}"


def refused(*words: str) -> Check:
    """It failed and said why."""

    def check(result: Result) -> str:
        text = " ".join(result.text.split())
        lacking = [word for word in words if word not in text]
        return "" if result.code and not lacking else f"exit {result.code}, did not say {lacking}"

    return check


def migrated_first(result: Result) -> str:
    """It succeeded, and had migrated before any instance of the release was there."""
    order = [call["operation"] for call in result.calls]
    begun = [order.index(name) for name in ("CreateAutoScalingGroup", "StartInstanceRefresh") if name in order]
    if result.code or not begun or order.index("SendCommand") > min(begun):
        return f"exit {result.code}; the release began at call {begun}, its migration not before"
    return ""


def scale(rehearsal: Rehearsal, environment: str, size: int) -> None:
    """Visitors come, and the group grows by itself."""
    rehearsal.client("autoscaling").set_desired_capacity(AutoScalingGroupName=environment, DesiredCapacity=size)


def serves(rehearsal: Rehearsal, environment: str, release: str, size: int = 2) -> None:
    """Every instance of the group is of a release, and there are so many.

    Raises:
        LabError: some are not, or their number is another.
    """
    groups = rehearsal.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[environment])
    [group] = groups["AutoScalingGroups"]
    ids = [instance["InstanceId"] for instance in group["Instances"]]
    found = rehearsal.client("ec2").describe_instances(InstanceIds=ids)["Reservations"]
    images = {instance["ImageId"] for reservation in found for instance in reservation["Instances"]}
    if images != {rehearsal.images[release]} or len(ids) != size or group["DesiredCapacity"] != size:
        raise LabError(
            f"rehearsal: {environment} has {len(ids)} instances of {images}, not {size} of release {release}."
        )


def launch(rehearsal: Rehearsal, image: str, **tags: str) -> str:
    """An instance that something was interrupted with."""
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    [made] = rehearsal.client("ec2").run_instances(
        ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=[{"ResourceType": "instance", "Tags": listed}]
    )["Instances"]
    return str(made["InstanceId"])


def ended(rehearsal: Rehearsal, instance: str) -> None:
    """An instance has been ended.

    Raises:
        LabError: it runs.
    """
    [found] = rehearsal.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    if (state := found["Instances"][0]["State"]["Name"]) != "terminated":
        raise LabError(f"rehearsal: the instance of a migration that was interrupted is {state}.")


def note_state(rehearsal: Rehearsal, environment: str) -> None:
    """Write what was made, for tests/aws/test_state.py and docs/architecture.py."""
    STATES.mkdir(exist_ok=True)
    (STATES / f"{environment}.json").write_text(_state(rehearsal, environment))


def state(rehearsal: Rehearsal, environment: str) -> dict[str, Any]:
    """What there is of an environment, as lab/aws_state.py reads it."""
    found: dict[str, Any] = json.loads(_state(rehearsal, environment))
    return found


def _state(rehearsal: Rehearsal, environment: str) -> str:
    done = subprocess.run(
        [VENV / "bin" / "python", "-m", "lab.aws_state", environment],
        cwd=ROOT,
        env={**{key: value for key, value in os.environ.items() if key != "AWS_CA_BUNDLE"}, **rehearsal.env},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def refreshed(rehearsal: Rehearsal, group: str) -> None:
    """AWS goes on with an instance refresh, whoever waits for it, until it has ended.

    Raises:
        LabError: it does not, or not well.
    """
    for _ in range(100):
        [newest] = rehearsal.client("autoscaling").describe_instance_refreshes(
            AutoScalingGroupName=group, MaxRecords=1
        )["InstanceRefreshes"]
        if newest["Status"] not in ("Pending", "InProgress"):
            break
    if newest["Status"] != "Successful":
        raise LabError(f"rehearsal: the refresh of {group} is {newest['Status']}.")


def gateways(rehearsal: Rehearsal, environment: str) -> list[dict[str, Any]]:
    """The NAT gateways of an environment that are there."""
    wanted = [
        {"Name": "tag:Environment", "Values": [environment]},
        {"Name": "state", "Values": ["pending", "available"]},
    ]
    found: list[dict[str, Any]] = rehearsal.client("ec2").describe_nat_gateways(Filters=wanted)["NatGateways"]
    return found


def leaves_nothing(rehearsal: Rehearsal, environment: str, *kept: str) -> None:
    """Nothing bears the environment's tag any more, but what is kept by its kind in ARNs.

    Raises:
        LabError: something does.
    """
    # What has ended is listed for a while yet, as on AWS: instances, their disks, NAT gateways.
    ended = (":instance/", ":volume/", ":natgateway/", *kept)
    left = [arn for arn in tagged(rehearsal, environment) if not any(kind in arn for kind in ended)]
    ec2, tag = rehearsal.client("ec2"), {"Name": "tag:Environment", "Values": [environment]}
    running = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
    for reservation in ec2.describe_instances(Filters=[tag, running])["Reservations"]:
        left += [instance["InstanceId"] for instance in reservation["Instances"]]
    left += [gateway["NatGatewayId"] for gateway in gateways(rehearsal, environment)]
    # The list by tags lacks kinds that the emulator does not tag.
    left += [kind for kind, things in state(rehearsal, environment).items() if isinstance(things, list) and any(things)]
    if left:
        raise LabError(f"rehearsal: {environment} was destroyed and left {', '.join(left)}.")


def tagged(rehearsal: Rehearsal, environment: str) -> list[str]:
    """Everything that bears an environment's tag."""
    pages = (
        rehearsal.client("resourcegroupstaggingapi")
        .get_paginator("get_resources")
        .paginate(TagFilters=[{"Key": "Environment", "Values": [environment]}])
    )
    return [entry["ResourceARN"] for page in pages for entry in page["ResourceTagMappingList"]]
