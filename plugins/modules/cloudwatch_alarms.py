#!/usr/bin/python
"""Ansible module: an environment's CloudWatch alarms, all at once."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.bookstore_aws import Changes, run, tag_list, within

DOCUMENTATION = r"""
module: cloudwatch_alarms
short_description: CloudWatch alarms that have a prefix in common
description:
  - amazon.aws.cloudwatch_metric_alarm sends an alarm on a metric math expression again at every run and reports a
    change; it gives no tags, and is called for each alarm. This module compares all of them first.
  - Alarms with the prefix that are not listed are removed.
options:
  prefix: {type: str, required: true, description: What the names of these alarms begin with.}
  alarms:
    type: dict
    default: {}
    description: Alarms by the rest of their name, in the shape of CloudWatch's PutMetricAlarm.
  tags: {type: dict, default: {}, description: Tags of alarms that are made.}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Have no alarms
  cloudwatch_alarms:
    prefix: bookstore-
"""
RETURN = r"""# """

Alarm = dict[str, Any]


def work(cloudwatch: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Put the alarms that differ and delete those that are not wanted."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=given["prefix"])
    found: dict[str, Alarm] = {alarm["AlarmName"]: alarm for page in pages for alarm in page["MetricAlarms"]}
    for name, wanted in given["alarms"].items():
        full = given["prefix"] + name
        present = found.pop(full, None)
        if within(wanted, present):
            continue
        before = {key: present.get(key) for key in wanted} if present else None
        if changes.wanted(full, before, wanted):
            # Tags are taken for a new alarm alone (CloudWatch API: PutMetricAlarm).
            tags = {} if present or not given["tags"] else {"Tags": tag_list(given["tags"])}
            cloudwatch.put_metric_alarm(AlarmName=full, **wanted, **tags)
    if found and changes.wanted("others", sorted(found), None):
        cloudwatch.delete_alarms(AlarmNames=sorted(found))
    return {}


def main() -> None:
    """Run the module."""
    run(
        work,
        "cloudwatch",
        about="Alarms {prefix}…",
        argument_spec={
            "prefix": {"type": "str", "required": True},
            "alarms": {"type": "dict", "default": {}},
            "tags": {"type": "dict", "default": {}},
        },
    )


if __name__ == "__main__":
    main()
