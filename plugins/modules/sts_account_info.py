#!/usr/bin/python
"""Ansible module: whose account the credentials are of."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.bookstore_aws import Changes, run

DOCUMENTATION = r"""
module: sts_account_info
short_description: The number of the account
description: amazon.aws.aws_caller_info asks IAM for the account's alias too, which not every account may.
options: {}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Ask whose account this is
  sts_account_info:
"""
RETURN = r"""
account:
  description: The account's number.
  type: str
  returned: always
"""


def work(sts: Any, _given: dict[str, Any], _changes: Changes) -> dict[str, Any]:
    """Ask."""
    return {"account": sts.get_caller_identity()["Account"]}


def main() -> None:
    """Run the module."""
    run(
        work,
        "sts",
        about="Account",
        argument_spec={},
    )


if __name__ == "__main__":
    main()
