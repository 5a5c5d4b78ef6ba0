"""What an environment is called, where it is, and how what it has is tagged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from checks import published
from checks.variables import Problem, Rules, nearest

# A load balancer's and a target group's names have 32 characters at most, and are the environment's; a bucket's 63,
# and is "<environment>-logs-<account, 12>-<region>". 24 leaves 20 for the region.
ENVIRONMENT_LENGTH = 24
# What the roles make; a region that lacks one is of no use.
KINDS = (
    "AWS::AutoScaling::AutoScalingGroup",
    "AWS::EC2::LaunchTemplate",
    "AWS::EFS::FileSystem",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::RDS::DBInstance",
    "AWS::SecretsManager::Secret",
)
# What an environment says besides the roles' variables (group_vars/aws/wiring.yml reads it).
ENVIRONMENT_SPEC: dict[str, dict[str, Any]] = {
    "aws_environment": {"type": "str", "required": True, "description": "Name of the environment."},
    "aws_region": {"type": "str", "required": True, "description": "The region."},
    "aws_tags": {"type": "dict", "description": "Tags of everything that is made."},
    "aws_extra_tags": {"type": "dict", "description": "More tags for everything that is made."},
    "aws_store_settings": {"type": "dict", "description": "Further environment variables of the store."},
    "aws_final_snapshot": {"type": "bool", "required": True, "description": "Whether to keep a last snapshot."},
    "aws_wait_delay": {"type": "float", "required": True, "description": "Seconds between two looks."},
    "aws_log_group": {"type": "str", "description": "Name of the instances' log group."},
}

rule = Rules()


@rule("aws_environment")
def environment(name: str) -> Iterator[Problem]:
    """Everything is named by it: load balancer, target group, database, bucket."""
    if not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name) or "--" in name:
        yield Problem(
            "aws_environment",
            "must begin with a letter and have small letters, digits and single hyphens between them, for load "
            "balancers, databases and buckets are named by it",
            f"Write e.g. {re.sub('[^a-z0-9]+', '-', name.lower()).strip('-0123456789') or 'bookstore'}.",
        )
    elif not 3 <= len(name) <= ENVIRONMENT_LENGTH:
        yield Problem(
            "aws_environment",
            f"must have 3 to {ENVIRONMENT_LENGTH} characters: launch templates take no shorter names, load balancers "
            "none above 32, and the bucket that is named by it, the account and the region none above 63",
            f"Write e.g. {name[:ENVIRONMENT_LENGTH].rstrip('-') if len(name) > 3 else 'bookstore'}.",
        )
    elif name.startswith(("internal-", "sg-", "aws")):
        yield Problem(
            "aws_environment",
            'must not begin with "internal-", "sg-" or "aws", which AWS keeps for itself in names',
            "Put e.g. shop- before it.",
        )


@rule("aws_region")
def region_exists(region: str) -> Iterator[Problem]:
    """A region, and one with all that is needed."""
    if region not in published.regions():
        yield Problem(
            "aws_region",
            "must be a region of AWS",
            f"Did you mean {nearest(region, published.regions())}? A zone's letter is no part of it.",
        )
    elif re.match(r"cn-|us-gov-|us-iso|eu-iso|eusc-", region):
        yield Problem(
            "aws_region",
            "must be of AWS's commercial partition: the roles write ARNs of it",
            "Choose another, e.g. eu-west-1.",
        )
    elif missing := published.lacks(region, *KINDS):
        yield Problem("aws_region", f"must have {', '.join(missing)}", "Choose another, e.g. eu-west-1.")


@rule("aws_tags", "aws_extra_tags")
def tags(together: dict[str, str], extra: dict[str, str]) -> Iterator[Problem]:
    """What everything is found by, also by aws-destroy.yml."""
    for key, value in extra.items():
        if key in ("Environment", "ManagedBy", "Name", "Role", "Release"):
            mend = "Choose another name for the tag."
            yield Problem("aws_extra_tags", "must not set a tag by which the playbooks find what they made", mend, key)
        elif key.lower().startswith("aws:"):
            yield Problem("aws_extra_tags", 'must not begin with "aws:", which AWS keeps for itself', "Rename it.", key)
        elif not re.fullmatch(r"[\w .:/=+@-]{1,128}", key) or not re.fullmatch(r"[\w .:/=+@-]{0,256}", str(value)):
            yield Problem(
                "aws_extra_tags",
                "must have keys of 128 and values of 256 characters at most: letters, digits, spaces and _.:/=+-@",
                "Correct it.",
                {key: value},
            )
    if len(together) > 45:
        yield Problem("aws_extra_tags", "must leave room: a resource has 50 tags at most", "Remove some.", len(extra))
