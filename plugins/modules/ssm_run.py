#!/usr/bin/python
"""Ansible module: begin a script on an instance by Systems Manager."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.bookstore_aws import Changes, run

DOCUMENTATION = r"""
module: ssm_run
short_description: Begin a shell script on an instance by Run Command
description:
  - No collection has a module for Run Command. The script is no place for secrets; AWS keeps it.
  - It does not wait for the script's end; M(aws_wait) does.
options:
  instance: {type: str, required: true, description: Id of the instance. Its agent must be online.}
  script: {type: str, required: true, description: The shell script.}
  comment: {type: str, default: "", description: What it is for; shown in the history of commands.}
  timeout: {type: int, default: 1800, description: Seconds that the script may take.}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Ask an instance for its uptime
  ssm_run:
    instance: i-0123456789abcdef0
    script: uptime
"""
RETURN = r"""
command:
  description: The command; C(id), with its instance as M(aws_wait) takes both.
  type: dict
  returned: always
"""


def work(ssm: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Send the command."""
    if not changes.wanted("command", None, given["comment"]):
        return {"command": {"id": ""}}
    command = ssm.send_command(
        InstanceIds=[given["instance"]],
        DocumentName="AWS-RunShellScript",
        Comment=given["comment"][:100],
        TimeoutSeconds=600,
        Parameters={"commands": given["script"].splitlines(), "executionTimeout": [str(given["timeout"])]},
    )["Command"]
    return {"command": {"id": f"{command['CommandId']}/{given['instance']}"}}


def main() -> None:
    """Run the module."""
    run(
        work,
        "ssm",
        about="Command on {instance}",
        argument_spec={
            "instance": {"type": "str", "required": True},
            "script": {"type": "str", "required": True},
            "comment": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 1800},
        },
    )


if __name__ == "__main__":
    main()
