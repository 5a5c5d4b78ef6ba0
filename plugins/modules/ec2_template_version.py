#!/usr/bin/python
"""Ansible module: a version of a launch template with the wanted contents."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ansible.module_utils.bookstore_aws import Changes, code, missing, run, tag_dict, tag_list
from botocore.exceptions import ClientError

DOCUMENTATION = r"""
module: ec2_template_version
short_description: The version of a launch template that has the wanted contents
description:
  - amazon.aws.ec2_launch_template compares with the newest version alone. A group that went back to an older one would
    be given a new version with the same contents, and all its instances replaced. This module finds the version that
    has the wanted contents, whichever it is, and makes one only where there is none.
  - A version's description says what it was made for, and a digest of its contents, by which it is found again.
options:
  name: {type: str, required: true, description: Name of the launch template.}
  state: {type: str, choices: [present, absent], default: present, description: Whether the launch template exists.}
  label: {type: str, description: What the version is for; begins its description.}
  data: {type: dict, description: 'Its contents, in the shape of EC2''s RequestLaunchTemplateData.'}
  tags: {type: dict, default: {}, description: Tags of the launch template. Others are left alone.}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Describe an instance
  ec2_template_version:
    name: bookstore
    label: "1.0"
    data:
      ImageId: ami-0123456789abcdef0
      InstanceType: t3.small
"""
RETURN = r"""
template:
  description: The launch template; C(id), empty in check mode where there is none, and C(version), a text.
  type: dict
  returned: always
"""


def describe(label: str, data: dict[str, Any]) -> str:
    """The description of a version: its label, of which EC2 leaves room for 200 characters, and its digest."""
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
    return f"{label[:200]} {digest}"


def find(ec2: Any, name: str) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The launch template and its versions, the newest first."""
    try:
        [template] = ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"]
    except ClientError as error:
        if code(error) == "InvalidLaunchTemplateName.NotFoundException":
            return None, []
        raise
    pages = ec2.get_paginator("describe_launch_template_versions").paginate(LaunchTemplateName=name)
    versions = [version for page in pages for version in page["LaunchTemplateVersions"]]
    return template, sorted(versions, key=lambda version: -version["VersionNumber"])


def work(ec2: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Find the version, or make it."""
    name, data = given["name"], given["data"]
    template, versions = find(ec2, name)
    if given["state"] == "absent":
        if template and changes.wanted("launch template", name, None):
            ec2.delete_launch_template(LaunchTemplateName=name)
        return {"template": {}}
    description = describe(given["label"], data)
    contents = {"VersionDescription": description, "LaunchTemplateData": data}
    if not template:
        if changes.wanted("launch template", None, description):
            tags = {"ResourceType": "launch-template", "Tags": tag_list(given["tags"])}
            tagging = {"TagSpecifications": [tags]} if given["tags"] else {}
            made = ec2.create_launch_template(LaunchTemplateName=name, **tagging, **contents)
            template = made["LaunchTemplate"]
        return {"template": {"id": template["LaunchTemplateId"] if template else "", "version": "1"}}
    new_tags = missing(given["tags"], tag_dict(template.get("Tags")))
    if new_tags and changes.wanted("tags", tag_dict(template.get("Tags")), given["tags"]):
        ec2.create_tags(Resources=[template["LaunchTemplateId"]], Tags=tag_list(new_tags))
    found = next((entry["VersionNumber"] for entry in versions if entry.get("VersionDescription") == description), None)
    if found is None:
        found = versions[0]["VersionNumber"] + 1
        if changes.wanted("version", versions[0].get("VersionDescription"), description):
            made = ec2.create_launch_template_version(LaunchTemplateName=name, **contents)
            found = made["LaunchTemplateVersion"]["VersionNumber"]
    return {"template": {"id": template["LaunchTemplateId"], "version": str(found)}}


def main() -> None:
    """Run the module."""
    run(
        work,
        "ec2",
        about="Launch template {name}",
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "label": {"type": "str"},
            "data": {"type": "dict"},
            "tags": {"type": "dict", "default": {}},
        },
        required_if=[("state", "present", ["label", "data"])],
    )


if __name__ == "__main__":
    main()
