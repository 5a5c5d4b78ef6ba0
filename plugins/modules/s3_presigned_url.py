#!/usr/bin/python
"""Ansible module: an address at which whoever has it can read or write one object, for a while."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.bookstore_aws import Changes, run
from botocore.config import Config

DOCUMENTATION = r"""
module: s3_presigned_url
short_description: An address to read or write one object of a bucket at
description:
  - M(amazon.aws.s3_object) gives addresses for reading alone. This gives a host without rights of its own one to write
    to. Nothing is asked of AWS; the address is signed here.
  - One request can write 5 GiB at most.
options:
  bucket: {type: str, required: true, description: The bucket.}
  object: {type: str, required: true, description: The object's key.}
  method: {type: str, required: true, choices: [GET, PUT], description: What the address is for.}
  expires: {type: int, default: 3600, description: Seconds within which the request must begin.}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Let a host write a dump
  s3_presigned_url:
    bucket: shop-move-123456789012
    object: rows.sql.gz
    method: PUT
"""
RETURN = r"""
url:
  description: The address. Whoever has it needs no other key.
  type: str
  returned: always
"""
# Signed for the host alone, whatever else a client sends, and at the region's own address: a new bucket is not known to
# the others at once (S3 user guide: Making requests, Request redirection).
CONFIG = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
OPERATIONS = {"GET": "get_object", "PUT": "put_object"}


def work(s3: Any, given: dict[str, Any], _changes: Changes) -> dict[str, Any]:
    """Sign."""
    url = s3.generate_presigned_url(
        OPERATIONS[given["method"]],
        Params={"Bucket": given["bucket"], "Key": given["object"]},
        ExpiresIn=given["expires"],
    )
    return {"url": url}


def main() -> None:
    """Run the module."""
    run(
        work,
        "s3",
        about="Address of {object}",
        client={"config": CONFIG},
        argument_spec={
            "bucket": {"type": "str", "required": True},
            "object": {"type": "str", "required": True},
            "method": {"type": "str", "required": True, "choices": list(OPERATIONS)},
            "expires": {"type": "int", "default": 3600},
        },
    )


if __name__ == "__main__":
    main()
