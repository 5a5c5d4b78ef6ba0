#!/usr/bin/python
"""Ansible module: find a prefix list that AWS manages."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.bookstore_aws import AwsError, Changes, run

DOCUMENTATION = r"""
module: ec2_prefix_list_info
short_description: Find a managed prefix list by its name
description: No collection has a module that finds prefix lists, such as that of CloudFront's addresses.
options:
  name: {type: str, required: true, description: Name of the list.}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Find the addresses that CloudFront fetches from
  ec2_prefix_list_info:
    name: com.amazonaws.global.cloudfront.origin-facing
"""
RETURN = r"""
prefix_list:
  description: The list; C(id).
  type: dict
  returned: always
"""


def work(ec2: Any, given: dict[str, Any], _changes: Changes) -> dict[str, Any]:
    """Find the list."""
    name = given["name"]
    wanted = [{"Name": "prefix-list-name", "Values": [name]}]
    found = ec2.describe_managed_prefix_lists(Filters=wanted)["PrefixLists"]
    if not found:
        raise AwsError("The region has no such list.")
    return {"prefix_list": {"id": found[0]["PrefixListId"]}}


def main() -> None:
    """Run the module."""
    run(
        work,
        "ec2",
        about="Prefix list {name}",
        argument_spec={"name": {"type": "str", "required": True}},
    )


if __name__ == "__main__":
    main()
