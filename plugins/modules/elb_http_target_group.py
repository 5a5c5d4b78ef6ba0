#!/usr/bin/python
"""Ansible module: a target group of instances behind an application load balancer."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.bookstore_aws import AwsError, Changes, code, missing, run, tag_dict, tag_list
from botocore.exceptions import ClientError

DOCUMENTATION = r"""
module: elb_http_target_group
short_description: A target group of instances that speak HTTP
description:
  - community.aws.elb_target_group has no check mode and does not know every attribute. This module has both.
options:
  name: {type: str, required: true, description: Name of the target group.}
  state: {type: str, choices: [present, absent], default: present, description: Whether it exists.}
  vpc: {type: str, description: Its VPC.}
  port: {type: int, default: 80, description: Port of the instances.}
  health_path: {type: str, default: /health, description: What instances are asked for; 200 is well.}
  health_interval: {type: int, default: 10, description: Seconds between two health checks.}
  health_timeout: {type: int, default: 5, description: Seconds that an answer may take.}
  healthy_threshold: {type: int, default: 2, description: Good answers before an instance is healthy.}
  unhealthy_threshold: {type: int, default: 3, description: Bad answers before it is not.}
  attributes: {type: dict, default: {}, description: Attributes by AWS's names.}
  tags: {type: dict, default: {}, description: Its tags. Others are left alone.}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Have a target group
  elb_http_target_group:
    name: bookstore
    vpc: vpc-0123456789abcdef0
    attributes:
      deregistration_delay.timeout_seconds: 60
"""
RETURN = r"""
target_group:
  description: The target group; C(arn). An empty text in check mode.
  type: dict
  returned: always
"""


def find(elb: Any, name: str) -> dict[str, Any] | None:
    """The target group of a name."""
    try:
        found: dict[str, Any] = elb.describe_target_groups(Names=[name])["TargetGroups"][0]
    except ClientError as error:
        if code(error) == "TargetGroupNotFound":
            return None
        raise
    return found


def health_check(given: dict[str, Any]) -> dict[str, Any]:
    """The health check's settings by AWS's names."""
    return {
        "HealthCheckPath": given["health_path"],
        "HealthCheckIntervalSeconds": given["health_interval"],
        "HealthCheckTimeoutSeconds": given["health_timeout"],
        "HealthyThresholdCount": given["healthy_threshold"],
        "UnhealthyThresholdCount": given["unhealthy_threshold"],
        "Matcher": {"HttpCode": "200"},
    }


def converge(elb: Any, given: dict[str, Any], found: dict[str, Any], changes: Changes) -> None:
    """Bring health check, attributes and tags to what is wanted."""
    arn = found["TargetGroupArn"]
    if (found["Port"], found["VpcId"]) != (given["port"], given["vpc"]):
        raise AwsError(
            f"It is for port {found['Port']} in {found['VpcId']}, which cannot be changed. "
            "Destroy the environment's edge, or give the environment another name."
        )
    check = {key: value for key, value in health_check(given).items() if found.get(key) != value}
    if check and changes.wanted("health check", {key: found.get(key) for key in check}, check):
        elb.modify_target_group(TargetGroupArn=arn, **check)
    present = {
        entry["Key"]: entry["Value"] for entry in elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    }
    wanted = {
        key: str(value).lower() if isinstance(value, bool) else value for key, value in given["attributes"].items()
    }
    new = missing(wanted, present)
    if new and changes.wanted("attributes", {key: present.get(key) for key in new}, new):
        elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=tag_list(new))
    tags = tag_dict(elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"])
    new_tags = missing(given["tags"], tags)
    if new_tags and changes.wanted("tags", tags, given["tags"]):
        elb.add_tags(ResourceArns=[arn], Tags=tag_list(new_tags))


def work(elb: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Bring the target group to its state and describe it."""
    found = find(elb, given["name"])
    if given["state"] == "absent":
        if found and changes.wanted("target group", given["name"], None):
            elb.delete_target_group(TargetGroupArn=found["TargetGroupArn"])
        return {"target_group": {}}
    if not found and changes.wanted("target group", None, given["name"]):
        found = elb.create_target_group(
            Name=given["name"],
            Protocol="HTTP",
            Port=given["port"],
            VpcId=given["vpc"],
            TargetType="instance",
            HealthCheckProtocol="HTTP",
            **({"Tags": tag_list(given["tags"])} if given["tags"] else {}),
            **health_check(given),
        )["TargetGroups"][0]
    if found:
        converge(elb, given, found, changes)
    return {"target_group": {"arn": found["TargetGroupArn"] if found else ""}}


def main() -> None:
    """Run the module."""
    run(
        work,
        "elbv2",
        about="Target group {name}",
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "vpc": {"type": "str"},
            "port": {"type": "int", "default": 80},
            "health_path": {"type": "str", "default": "/health"},
            "health_interval": {"type": "int", "default": 10},
            "health_timeout": {"type": "int", "default": 5},
            "healthy_threshold": {"type": "int", "default": 2},
            "unhealthy_threshold": {"type": "int", "default": 3},
            "attributes": {"type": "dict", "default": {}},
            "tags": {"type": "dict", "default": {}},
        },
        required_if=[("state", "present", ["vpc"])],
    )


if __name__ == "__main__":
    main()
