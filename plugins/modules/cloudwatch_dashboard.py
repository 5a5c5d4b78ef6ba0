#!/usr/bin/python
"""Ansible module: a CloudWatch dashboard."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.bookstore_aws import AwsError, Changes, code, run
from botocore.exceptions import ClientError

DOCUMENTATION = r"""
module: cloudwatch_dashboard
short_description: A CloudWatch dashboard
description: No collection has a module for dashboards.
options:
  name: {type: str, required: true, description: Name of the dashboard.}
  state: {type: str, choices: [present, absent], default: present, description: Whether it exists.}
  body: {type: dict, default: {}, description: 'What it shows, in the structure that CloudWatch documents.'}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Show the requests
  cloudwatch_dashboard:
    name: bookstore
    body:
      widgets:
        - type: text
          properties: {markdown: Books}
"""
RETURN = r"""# """


def find(cloudwatch: Any, name: str) -> dict[str, Any] | None:
    """What the dashboard shows, or None where there is none."""
    try:
        body: dict[str, Any] = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
    except ClientError as error:
        if code(error) in ("ResourceNotFound", "ResourceNotFoundException", "DashboardNotFoundError"):
            return None
        raise
    return body


def work(cloudwatch: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Bring the dashboard to its state."""
    name, found = given["name"], find(cloudwatch, given["name"])
    if given["state"] == "absent":
        if found is not None and changes.wanted("dashboard", name, None):
            cloudwatch.delete_dashboards(DashboardNames=[name])
    elif changes.differs("dashboard", found, given["body"]):
        told = cloudwatch.put_dashboard(DashboardName=name, DashboardBody=json.dumps(given["body"]))
        if problems := told.get("DashboardValidationMessages"):
            raise AwsError("; ".join(problem["Message"] for problem in problems))
    return {}


def main() -> None:
    """Run the module."""
    run(
        work,
        "cloudwatch",
        about="Dashboard {name}",
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "body": {"type": "dict", "default": {}},
        },
    )


if __name__ == "__main__":
    main()
