#!/usr/bin/python
"""Ansible module: an Auto Scaling group with its scaling policies, draining hook and warm pool."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.bookstore_aws import Changes, missing, run, within

DOCUMENTATION = r"""
module: asg_group
short_description: An Auto Scaling group that keeps its template's version
description:
  - amazon.aws.autoscaling_group sends changes where there are none, reports changes in check mode that it would not
    make, and knows no maintenance policy. This module compares first.
  - The version of the launch template is given to a new group alone. That of a live group is changed by an instance
    refresh (M(asg_refresh)), which else could not go back to it.
  - It does not wait for instances; M(aws_wait) does.
options:
  name: {type: str, required: true, description: Name of the group.}
  state: {type: str, choices: [present, absent], default: present, description: Whether it exists.}
  launch_template: {type: str, description: Id of its launch template.}
  version: {type: str, description: Version of the launch template that a new group begins with.}
  subnets: {type: list, elements: str, description: 'Its subnets, one a zone.'}
  target_groups: {type: list, elements: str, default: [], description: ARNs of its target groups.}
  min_size: {type: int, description: Instances at least.}
  max_size: {type: int, description: Instances at most.}
  grace: {type: int, default: 300, description: Seconds before a booting instance is judged.}
  warmup: {type: int, default: 120, description: Seconds until a new instance counts for scaling.}
  max_lifetime: {type: int, default: 0, description: Seconds after which an instance is replaced; 0 for never.}
  drain: {type: int, default: 90, description: Seconds that a terminating instance is kept for its last requests.}
  warm_pool: {type: int, default: 0, description: Stopped instances held ready.}
  policies:
    type: dict
    default: {}
    description: Target tracking configurations by the name of their policy, in the shape of Auto Scaling's API.
  tags: {type: dict, default: {}, description: 'Its tags, given to the instances too. Others are left alone.'}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Have two instances
  asg_group:
    name: bookstore
    launch_template: lt-0123456789abcdef0
    version: "1"
    subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
    min_size: 2
    max_size: 4
"""
RETURN = r"""
group:
  description: The group; C(name), C(version) of its template, C(instances).
  type: dict
  returned: always
"""

HOOK = "drain"


def find(scaling: Any, name: str) -> dict[str, Any] | None:
    """The group, unless it is being deleted."""
    groups = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return next((group for group in groups if not group.get("Status")), None)


def settings(given: dict[str, Any]) -> dict[str, Any]:
    """The group's settings by AWS's names."""
    return {
        "MinSize": given["min_size"],
        "MaxSize": given["max_size"],
        "VPCZoneIdentifier": ",".join(given["subnets"]),
        "HealthCheckType": "ELB",
        "HealthCheckGracePeriod": given["grace"],
        "DefaultInstanceWarmup": given["warmup"],
        "CapacityRebalance": True,
        # A replacement is in service before what it replaces goes.
        "InstanceMaintenancePolicy": {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150},
        "TerminationPolicies": ["OldestLaunchTemplate", "Default"],
        **({"MaxInstanceLifetime": given["max_lifetime"]} if given["max_lifetime"] else {}),
    }


def present(given: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    """The same settings as the group has them."""
    found = {key: group.get(key) for key in settings(given)}
    if sorted((found["VPCZoneIdentifier"] or "").split(",")) == sorted(given["subnets"]):
        found["VPCZoneIdentifier"] = ",".join(given["subnets"])
    return found


def tags_of(given: dict[str, Any], new: dict[str, str]) -> list[dict[str, Any]]:
    """Tags as Auto Scaling takes them."""
    return [
        {
            "ResourceId": given["name"],
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": True,
        }
        for key, value in sorted(new.items())
    ]


def create(scaling: Any, given: dict[str, Any]) -> dict[str, Any] | None:
    """Make the group, with the hook before its first instance."""
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=given["name"],
        LaunchTemplate={"LaunchTemplateId": given["launch_template"], "Version": given["version"]},
        TargetGroupARNs=given["target_groups"],
        LifecycleHookSpecificationList=[hook(given)],
        Tags=tags_of(given, missing(given["tags"], {})),
        **settings(given),
    )
    return find(scaling, given["name"])


def hook(given: dict[str, Any]) -> dict[str, Any]:
    """Holds a terminating instance while the load balancer lets go of it."""
    return {
        "LifecycleHookName": HOOK,
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "HeartbeatTimeout": given["drain"],
        "DefaultResult": "CONTINUE",
    }


def converge(scaling: Any, given: dict[str, Any], group: dict[str, Any], changes: Changes) -> None:
    """Bring the group's settings, target groups, metrics and tags to what is wanted."""
    name = given["name"]
    now, wanted = present(given, group), settings(given)
    differing = {key: value for key, value in wanted.items() if now[key] != value}
    if differing and changes.wanted("settings", {key: now[key] for key in differing}, differing):
        scaling.update_auto_scaling_group(AutoScalingGroupName=name, **differing)
    new = sorted(set(given["target_groups"]) - set(group.get("TargetGroupARNs", [])))
    if new and changes.wanted("target groups", group.get("TargetGroupARNs"), given["target_groups"]):
        scaling.attach_load_balancer_target_groups(AutoScalingGroupName=name, TargetGroupARNs=new)
    if not group.get("EnabledMetrics") and changes.wanted("metrics", "off", "on"):
        scaling.enable_metrics_collection(AutoScalingGroupName=name, Granularity="1Minute")
    tags = {tag["Key"]: tag["Value"] for tag in group.get("Tags", [])}
    new_tags = missing(given["tags"], tags)
    if new_tags and changes.wanted("tags", tags, given["tags"]):
        scaling.create_or_update_tags(Tags=tags_of(given, new_tags))


def hooks(scaling: Any, given: dict[str, Any], changes: Changes) -> None:
    """Bring the hook to what is wanted."""
    found = scaling.describe_lifecycle_hooks(AutoScalingGroupName=given["name"])["LifecycleHooks"]
    now: dict[str, Any] = next((entry for entry in found if entry["LifecycleHookName"] == HOOK), {})
    wanted = hook(given)
    if changes.differs("hook", {key: now.get(key) for key in wanted}, wanted):
        scaling.put_lifecycle_hook(AutoScalingGroupName=given["name"], **wanted)


def policies(scaling: Any, given: dict[str, Any], changes: Changes) -> None:
    """Bring the scaling policies to what is wanted; others are removed."""
    name = given["name"]
    found = {
        policy["PolicyName"]: policy.get("TargetTrackingConfiguration")
        for policy in scaling.describe_policies(AutoScalingGroupName=name)["ScalingPolicies"]
    }
    for policy, config in given["policies"].items():
        now = found.pop(policy, None)
        if not within(config, now) and changes.wanted(f"policy {policy}", now, config):
            scaling.put_scaling_policy(
                AutoScalingGroupName=name,
                PolicyName=policy,
                PolicyType="TargetTrackingScaling",
                TargetTrackingConfiguration=config,
            )
    for policy in found:
        if changes.wanted(f"policy {policy}", "present", None):
            scaling.delete_policy(AutoScalingGroupName=name, PolicyName=policy)


def warm_pool(scaling: Any, given: dict[str, Any], changes: Changes) -> None:
    """Bring the warm pool to what is wanted."""
    now = scaling.describe_warm_pool(AutoScalingGroupName=given["name"]).get("WarmPoolConfiguration") or {}
    if now.get("Status") == "PendingDelete":
        now = {}
    size = int(now.get("MinSize") or 0)
    if not changes.differs("warm pool", size, given["warm_pool"]):
        return
    if given["warm_pool"]:
        scaling.put_warm_pool(AutoScalingGroupName=given["name"], MinSize=given["warm_pool"], PoolState="Stopped")
    else:
        scaling.delete_warm_pool(AutoScalingGroupName=given["name"], ForceDelete=True)


def work(scaling: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Bring the group to its state and describe it."""
    name, group = given["name"], find(scaling, given["name"])
    if given["state"] == "absent":
        if group and changes.wanted("group", name, None):
            scaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        return {"group": {}}
    if not group and changes.wanted("group", None, name):
        group = create(scaling, given)
    if group:
        converge(scaling, given, group, changes)
        hooks(scaling, given, changes)
        policies(scaling, given, changes)
        warm_pool(scaling, given, changes)
    group = group or {}
    template = group.get("LaunchTemplate", {})
    instances = [instance["InstanceId"] for instance in group.get("Instances", [])]
    return {"group": {"name": name, "version": template.get("Version", ""), "instances": instances}}


def main() -> None:
    """Run the module."""
    run(
        work,
        "autoscaling",
        about="Auto Scaling group {name}",
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "launch_template": {"type": "str"},
            "version": {"type": "str"},
            "subnets": {"type": "list", "elements": "str"},
            "target_groups": {"type": "list", "elements": "str", "default": []},
            "min_size": {"type": "int"},
            "max_size": {"type": "int"},
            "grace": {"type": "int", "default": 300},
            "warmup": {"type": "int", "default": 120},
            "max_lifetime": {"type": "int", "default": 0},
            "drain": {"type": "int", "default": 90},
            "warm_pool": {"type": "int", "default": 0},
            "policies": {"type": "dict", "default": {}},
            "tags": {"type": "dict", "default": {}},
        },
        required_if=[("state", "present", ["launch_template", "version", "subnets", "min_size", "max_size"])],
    )


if __name__ == "__main__":
    main()
