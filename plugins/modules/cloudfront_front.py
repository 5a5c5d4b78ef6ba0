#!/usr/bin/python
"""Ansible module: a CloudFront distribution in the shape of CloudFront's API."""

from __future__ import annotations

import uuid
from typing import Any

from ansible.module_utils.bookstore_aws import Changes, code, missing, run, tag_dict, tag_list, within
from botocore.exceptions import ClientError

DOCUMENTATION = r"""
module: cloudfront_front
short_description: A CloudFront distribution that is changed only where it differs
description:
  - community.aws.cloudfront_distribution always reports a change. This module takes the distribution's configuration in
    the shape of CloudFront's API, compares what is given with what is there, and leaves the rest alone.
  - It does not wait until the distribution is deployed; M(aws_wait) does. One is deleted in two runs of the module,
    with M(aws_wait) between them, for it must be disabled everywhere first.
options:
  name: {type: str, required: true, description: Its comment; it is found by it.}
  state:
    type: str
    choices: [present, disabled, absent]
    default: present
    description: Whether it exists. C(disabled) is the first step to its end.
  config: {type: dict, default: {}, description: 'DistributionConfig, lists as C(Items) with their C(Quantity).'}
  tags: {type: dict, default: {}, description: Its tags. Others are left alone.}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Have no distribution any more
  cloudfront_front:
    name: bookstore
    state: disabled
"""
RETURN = r"""
distribution:
  description: The distribution; C(id), C(arn), C(domain), C(status). Empty texts where there is none.
  type: dict
  returned: always
"""

Found = dict[str, Any]


def find(cloudfront: Any, name: str) -> Found | None:
    """The distribution, with the tag of its version."""
    for page in cloudfront.get_paginator("list_distributions").paginate():
        for summary in page["DistributionList"].get("Items", []):
            if summary.get("Comment") != name:
                continue
            found: Found = cloudfront.get_distribution(Id=summary["Id"])
            if found["Distribution"]["DistributionConfig"]["CallerReference"].startswith(f"{name} "):
                return found
    return None


def merged(present: Any, wanted: Any) -> Any:
    """What is there, with what is wanted in its place; entries of lists are matched by their place's key."""
    if isinstance(present, dict) and isinstance(wanted, dict):
        return {**present, **{key: merged(present.get(key), value) for key, value in wanted.items()}}
    if isinstance(present, list) and isinstance(wanted, list):
        by_key = {entry.get("Id") or entry.get("PathPattern"): entry for entry in present if isinstance(entry, dict)}
        return [
            merged(by_key.get(entry.get("Id") or entry.get("PathPattern")), entry) if isinstance(entry, dict) else entry
            for entry in wanted
        ]
    return wanted


def describe(found: Found | None) -> dict[str, Any]:
    """What Ansible is told."""
    distribution = found["Distribution"] if found else {}
    keys = {"id": "Id", "arn": "ARN", "domain": "DomainName", "status": "Status"}
    return {"distribution": {ours: distribution.get(theirs, "") for ours, theirs in keys.items()}}


def end(cloudfront: Any, given: dict[str, Any], found: Found, changes: Changes) -> Found | None:
    """Disable the distribution, or delete it."""
    identity, config = found["Distribution"]["Id"], found["Distribution"]["DistributionConfig"]
    if given["state"] == "disabled":
        if config["Enabled"] and changes.wanted("enabled", True, False):
            return dict(
                cloudfront.update_distribution(
                    Id=identity, IfMatch=found["ETag"], DistributionConfig={**config, "Enabled": False}
                ),
            )
        return found
    if changes.wanted("distribution", identity, None):
        try:
            cloudfront.delete_distribution(Id=identity, IfMatch=found["ETag"])
        except ClientError as error:
            if code(error) != "NoSuchDistribution":
                raise
    return None


def work(cloudfront: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Bring the distribution to its state and describe it."""
    name, found = given["name"], find(cloudfront, given["name"])
    if given["state"] != "present":
        return describe(end(cloudfront, given, found, changes) if found else None)
    wanted = {**given["config"], "Comment": name}
    if not found:
        if changes.wanted("distribution", None, name):
            # CloudFront takes a reference once, also after its distribution's end (CloudFront API: CreateDistribution).
            reference = f"{name} {uuid.uuid4()}"
            found = cloudfront.create_distribution_with_tags(
                DistributionConfigWithTags={
                    "DistributionConfig": {**wanted, "CallerReference": reference},
                    "Tags": {"Items": tag_list(given["tags"])},
                }
            )
        return describe(found)
    distribution = found["Distribution"]
    present = distribution["DistributionConfig"]
    differing = [key for key in wanted if not within(wanted[key], present.get(key))]
    # Names alone: the origin's header is a secret.
    if differing and changes.wanted("settings", "otherwise", ", ".join(differing)):
        found = cloudfront.update_distribution(
            Id=distribution["Id"], IfMatch=found["ETag"], DistributionConfig=merged(present, wanted)
        )
    tags = tag_dict(cloudfront.list_tags_for_resource(Resource=distribution["ARN"])["Tags"].get("Items"))
    new_tags = missing(given["tags"], tags)
    if new_tags and changes.wanted("tags", tags, given["tags"]):
        cloudfront.tag_resource(Resource=distribution["ARN"], Tags={"Items": tag_list(new_tags)})
    return describe(found)


def main() -> None:
    """Run the module."""
    run(
        work,
        "cloudfront",
        about="Distribution {name}",
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "disabled", "absent"], "default": "present"},
            "config": {"type": "dict", "default": {}},
            "tags": {"type": "dict", "default": {}},
        },
    )


if __name__ == "__main__":
    main()
