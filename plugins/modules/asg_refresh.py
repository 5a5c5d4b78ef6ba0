#!/usr/bin/python
"""Ansible module: begin an instance refresh that goes back by itself."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.bookstore_aws import AwsError, Changes, run

DOCUMENTATION = r"""
module: asg_refresh
short_description: Begin to roll a version of the launch template through an Auto Scaling group
description:
  - community.aws.autoscaling_instance_refresh knows no desired configuration, no rollback and no checkpoints, and
    always reports that nothing changed. This module begins a refresh only where an instance is of another
    version, or takes up the one that is under way to the same version.
  - It does not wait for the end; M(aws_wait) does.
options:
  name: {type: str, required: true, description: Name of the group.}
  launch_template: {type: str, required: true, description: Id of the launch template.}
  version: {type: str, required: true, description: 'Number of its version, for AWS cannot go back from C($Latest).'}
  checkpoints: {type: list, elements: int, default: [], description: Percentages at which it pauses.}
  checkpoint_delay: {type: int, default: 120, description: How long it pauses (seconds).}
  warmup: {type: int, default: 120, description: Seconds until a new instance is relied on.}
  alarms: {type: list, elements: str, default: [], description: Alarms that roll it back.}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Roll the second version through the group
  asg_refresh:
    name: bookstore
    launch_template: lt-0123456789abcdef0
    version: "2"
"""
RETURN = r"""
refresh:
  description: The refresh; C(id), empty where none is needed, C(from) and C(to), versions.
  type: dict
  returned: always
"""

LIVE = ("Pending", "InProgress", "Baking", "Cancelling", "RollbackInProgress")


def stale(group: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """The instances that are not of the wanted version."""
    wanted = (given["launch_template"], given["version"])
    return [
        instance["InstanceId"]
        for instance in group["Instances"]
        if (instance.get("LaunchTemplate", {}).get("LaunchTemplateId"), instance["LaunchTemplate"].get("Version"))
        != wanted
    ]


def begin(scaling: Any, given: dict[str, Any]) -> str:
    """Start the refresh: never fewer healthy instances than now, back by itself."""
    preferences: dict[str, Any] = {
        "MinHealthyPercentage": 100,
        "MaxHealthyPercentage": 150,
        "InstanceWarmup": given["warmup"],
        "SkipMatching": True,
        "AutoRollback": True,
    }
    if given["checkpoints"]:
        preferences["CheckpointPercentages"] = given["checkpoints"]
        preferences["CheckpointDelay"] = given["checkpoint_delay"]
    if given["alarms"]:
        preferences["AlarmSpecification"] = {"Alarms": given["alarms"]}
    template = {"LaunchTemplateId": given["launch_template"], "Version": given["version"]}
    return str(
        scaling.start_instance_refresh(
            AutoScalingGroupName=given["name"],
            Strategy="Rolling",
            DesiredConfiguration={"LaunchTemplate": template},
            Preferences=preferences,
        )["InstanceRefreshId"]
    )


def work(scaling: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Begin a refresh, or take up the one that is under way."""
    groups = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[given["name"]])["AutoScalingGroups"]
    if not groups:
        raise AwsError("There is no such group. playbooks/aws.yml makes it.")
    now = groups[0].get("LaunchTemplate", {}).get("Version", "")
    refresh = {"id": "", "from": now, "to": given["version"]}
    newest = scaling.describe_instance_refreshes(AutoScalingGroupName=given["name"], MaxRecords=1)["InstanceRefreshes"]
    if newest and newest[0]["Status"] in LIVE:
        template = newest[0].get("DesiredConfiguration", {}).get("LaunchTemplate", {})
        if template.get("Version") != given["version"] or newest[0]["Status"] in ("Cancelling", "RollbackInProgress"):
            raise AwsError(
                f"A refresh to version {template.get('Version')} is under way ({newest[0]['Status']}). "
                "Wait for its end, then run the playbook again."
            )
        changes.wanted("version", now, given["version"])
        refresh["id"] = newest[0]["InstanceRefreshId"]
    elif (stale(groups[0], given) or now != given["version"]) and changes.wanted("version", now, given["version"]):
        refresh["id"] = begin(scaling, given)
    return {"refresh": refresh}


def main() -> None:
    """Run the module."""
    run(
        work,
        "autoscaling",
        about="Auto Scaling group {name}",
        argument_spec={
            "name": {"type": "str", "required": True},
            "launch_template": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "checkpoints": {"type": "list", "elements": "int", "default": []},
            "checkpoint_delay": {"type": "int", "default": 120},
            "warmup": {"type": "int", "default": 120},
            "alarms": {"type": "list", "elements": "str", "default": []},
        },
    )


if __name__ == "__main__":
    main()
