#!/usr/bin/python
"""Ansible module: a cache policy of CloudFront."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.bookstore_aws import Changes, run, within

DOCUMENTATION = r"""
module: cloudfront_cache_policy
short_description: What CloudFront keeps answers by, and for how long
description:
  - None of the policies that AWS manages keeps pages that differ by the visitor's language, and no collection has a
    module for one's own. This module makes one, and changes it where it differs.
  - It can be removed once no distribution names it any more.
options:
  name: {type: str, required: true, description: Its name; it is found by it.}
  state: {type: str, choices: [present, absent], default: present, description: Whether it exists.}
  config: {type: dict, default: {}, description: 'CachePolicyConfig but its name, in the shape of CloudFront''s API.'}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Keep pages by their language for as long as they say
  cloudfront_cache_policy:
    name: bookstore
    config:
      MinTTL: 0
      ParametersInCacheKeyAndForwardedToOrigin:
        EnableAcceptEncodingGzip: true
        HeadersConfig: {HeaderBehavior: whitelist, Headers: {Quantity: 1, Items: [Accept-Language]}}
        CookiesConfig: {CookieBehavior: all}
        QueryStringsConfig: {QueryStringBehavior: all}
"""
RETURN = r"""
policy:
  description: The policy; C(id), empty where there is none.
  type: dict
  returned: always
"""


def find(cloudfront: Any, name: str) -> dict[str, Any] | None:
    """The account's policy of this name; the API has no pages of them in boto3."""
    marker: dict[str, str] = {}
    while True:
        found = cloudfront.list_cache_policies(Type="custom", **marker)["CachePolicyList"]
        for entry in found.get("Items", []):
            policy: dict[str, Any] = entry["CachePolicy"]
            if policy["CachePolicyConfig"]["Name"] == name:
                return policy
        if not found.get("NextMarker"):
            return None
        marker = {"Marker": found["NextMarker"]}


def work(cloudfront: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Bring the policy to its state."""
    name, found = given["name"], find(cloudfront, given["name"])
    if given["state"] == "absent":
        if found and changes.wanted("cache policy", name, None):
            tag = cloudfront.get_cache_policy(Id=found["Id"])["ETag"]
            cloudfront.delete_cache_policy(Id=found["Id"], IfMatch=tag)
        return {"policy": {"id": ""}}
    wanted = {**given["config"], "Name": name}
    if not found:
        if changes.wanted("cache policy", None, name):
            found = cloudfront.create_cache_policy(CachePolicyConfig=wanted)["CachePolicy"]
    elif not within(wanted, found["CachePolicyConfig"]) and changes.wanted(
        "cache policy", found["CachePolicyConfig"], wanted
    ):
        tag = cloudfront.get_cache_policy(Id=found["Id"])["ETag"]
        cloudfront.update_cache_policy(Id=found["Id"], IfMatch=tag, CachePolicyConfig=wanted)
    return {"policy": {"id": found["Id"] if found else ""}}


def main() -> None:
    """Run the module."""
    run(
        work,
        "cloudfront",
        about="Cache policy {name}",
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "config": {"type": "dict", "default": {}},
        },
    )


if __name__ == "__main__":
    main()
