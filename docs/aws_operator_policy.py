"""Generate docs/aws-operator-policy.json: what an operator of bake.yml and aws*.yml must be allowed.

Run it after `make rehearse`, whose recorded calls it reads (or those in a file that is named). To these it adds the
calls that the repository's own modules can make, and what an operator does besides (FURTHER): a rehearsal does not show
every change.

Every action is named in full. Where AWS knows a resource or a tag for an action, it is limited to the environment
"bookstore" (replace the name for another); the service authorization reference, of which cfn-lint bundles the actions
and their resources, says where that is. It fits an inline policy of a role (10,240 characters).
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.loaders import Loader

ROOT = Path(__file__).resolve().parent.parent
MODULES, WAITS = ROOT / "plugins" / "modules", ROOT / "plugins" / "action" / "aws_wait.py"
POLICY = Path(__file__).resolve().parent / "aws-operator-policy.json"
RECORDED = ROOT / ".lab" / "rehearsal" / "calls.json"
ENVIRONMENT = "bookstore"
# IAM user guide, "IAM and AWS STS quotas": the inline policies of a role, without white space.
SIZE_LIMIT = 10_240
Condition = tuple[str, str, str]

# The name that requests are signed for, where IAM's is another.
PREFIXES = {"monitoring": "cloudwatch"}

# Operations whose action has another name (service authorization reference, "Actions, resources, and condition keys
# for Amazon S3", "… Amazon CloudFront", "… Amazon CloudWatch Logs"). An empty list: no permission is asked for.
ACTIONS: dict[str, list[str]] = {
    "sts:GetCallerIdentity": [],
    "cloudfront:CreateDistributionWithTags": ["cloudfront:CreateDistribution", "cloudfront:TagResource"],
    "cloudfront:GetDistributionConfig": ["cloudfront:GetDistributionConfig"],
    "s3:HeadBucket": ["s3:ListBucket"],
    "s3:ListBuckets": ["s3:ListAllMyBuckets"],
    "s3:ListObjects": ["s3:ListBucket"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:ListObjectVersions": ["s3:ListBucketVersions"],
    "s3:DeleteObjects": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
    "s3:DeleteBucketTagging": ["s3:PutBucketTagging"],
    "s3:DeleteBucketEncryption": ["s3:PutEncryptionConfiguration"],
    "s3:DeleteBucketLifecycle": ["s3:PutLifecycleConfiguration"],
    "s3:DeleteBucketOwnershipControls": ["s3:PutBucketOwnershipControls"],
    "s3:DeletePublicAccessBlock": ["s3:PutBucketPublicAccessBlock"],
    "s3:GetBucketAccelerateConfiguration": ["s3:GetAccelerateConfiguration"],
    "s3:GetBucketEncryption": ["s3:GetEncryptionConfiguration"],
    "s3:GetBucketInventoryConfiguration": ["s3:GetInventoryConfiguration"],
    "s3:ListBucketInventoryConfigurations": ["s3:GetInventoryConfiguration"],
    "s3:GetBucketLifecycle": ["s3:GetLifecycleConfiguration"],
    "s3:GetBucketLifecycleConfiguration": ["s3:GetLifecycleConfiguration"],
    "s3:GetObjectLockConfiguration": ["s3:GetBucketObjectLockConfiguration"],
    "s3:GetPublicAccessBlock": ["s3:GetBucketPublicAccessBlock"],
    "s3:PutBucketEncryption": ["s3:PutEncryptionConfiguration"],
    "s3:PutBucketLifecycle": ["s3:PutLifecycleConfiguration"],
    "s3:PutBucketLifecycleConfiguration": ["s3:PutLifecycleConfiguration"],
    "s3:PutPublicAccessBlock": ["s3:PutBucketPublicAccessBlock"],
}

# What AWS asks for besides, because a service acts for the caller, or because a new thing is tagged (service
# authorization reference, "Dependent actions"; the pages named).
IMPLIED: dict[str, list[str]] = {
    # EC2 Auto Scaling user guide, "Control EC2 launch template usage in Auto Scaling groups".
    "autoscaling:CreateAutoScalingGroup": [
        "ec2:RunInstances", "ec2:CreateTags", "iam:PassRole", "iam:CreateServiceLinkedRole",
        "autoscaling:CreateOrUpdateTags",
    ],
    "autoscaling:StartInstanceRefresh": ["ec2:RunInstances", "ec2:CreateTags", "iam:PassRole"],
    "autoscaling:UpdateAutoScalingGroup": ["ec2:RunInstances", "iam:PassRole"],
    "acm:ImportCertificate": ["acm:AddTagsToCertificate"],
    "acm:RequestCertificate": ["acm:AddTagsToCertificate"],
    "cloudwatch:PutMetricAlarm": ["cloudwatch:TagResource"],
    "ec2:CreateLaunchTemplate": ["ec2:CreateTags"],
    "ec2:RunInstances": ["ec2:CreateTags", "iam:PassRole"],
    "elasticfilesystem:CreateAccessPoint": ["elasticfilesystem:TagResource"],
    "elasticfilesystem:CreateFileSystem": ["elasticfilesystem:TagResource", "iam:CreateServiceLinkedRole"],
    # EFS user guide, "Creating mount targets": EFS makes a network interface for the caller.
    "elasticfilesystem:CreateMountTarget": [
        "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
    ],
    "elasticfilesystem:DeleteMountTarget": ["ec2:DeleteNetworkInterface"],
    "elasticloadbalancing:CreateLoadBalancer": ["elasticloadbalancing:AddTags", "iam:CreateServiceLinkedRole"],
    "elasticloadbalancing:CreateTargetGroup": ["elasticloadbalancing:AddTags"],
    "iam:CreateInstanceProfile": ["iam:TagInstanceProfile"],
    "iam:CreateRole": ["iam:TagRole"],
    "iam:AddRoleToInstanceProfile": ["iam:PassRole"],
    "logs:CreateLogGroup": ["logs:TagResource"],
    # RDS user guide, "Password management with Amazon RDS and AWS Secrets Manager": permissions.
    "rds:CreateDBInstance": [
        "rds:AddTagsToResource", "iam:CreateServiceLinkedRole", "kms:DescribeKey", "kms:CreateGrant",
        "secretsmanager:CreateSecret", "secretsmanager:TagResource",
    ],
    "rds:RestoreDBInstanceFromDBSnapshot": ["rds:AddTagsToResource"],
    "rds:CreateDBParameterGroup": ["rds:AddTagsToResource"],
    "rds:CreateDBSubnetGroup": ["rds:AddTagsToResource"],
    # The last snapshot.
    "rds:DeleteDBInstance": ["rds:CreateDBSnapshot", "rds:AddTagsToResource"],
    "secretsmanager:CreateSecret": ["secretsmanager:TagResource"],
    "sns:CreateTopic": ["sns:TagResource"],
    # AWS WAF developer guide, "Permissions for web ACL associations".
    "wafv2:AssociateWebACL": ["elasticloadbalancing:SetWebACL"],
    "wafv2:DisassociateWebACL": ["elasticloadbalancing:SetWebACL"],
    "wafv2:CreateWebACL": ["wafv2:TagResource"],
}  # fmt: skip

# What Ansible's modules call only to change or restore what is there, and what docs/aws.md tells an operator to call.
FURTHER = [
    "autoscaling:AttachLoadBalancerTargetGroups",
    # Golden images that bake.yml does not keep.
    "ec2:DeleteSnapshot", "ec2:DeregisterImage",
    "ec2:DeleteRoute", "ec2:DeleteTags", "ec2:ReplaceRoute", "ec2:RevokeSecurityGroupIngress",
    "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
    "elasticloadbalancing:CreateRule", "elasticloadbalancing:DeleteRule", "elasticloadbalancing:ModifyListener",
    "elasticloadbalancing:ModifyRule", "elasticloadbalancing:SetSecurityGroups", "elasticloadbalancing:SetSubnets",
    "iam:UpdateAssumeRolePolicy",
    # The access logs, and what a move was interrupted with, go with their buckets.
    "s3:DeleteObject", "s3:DeleteObjectVersion",
    "rds:DescribeDBSnapshots", "rds:ModifyDBSubnetGroup", "rds:StopDBInstance", "rds:StartDBInstance",
    "secretsmanager:RestoreSecret", "secretsmanager:UpdateSecret",
    "sns:Subscribe", "sns:Unsubscribe",
    # The mend of an image that does not boot begins here.
    "ec2:GetConsoleOutput",
    # Where its rules, or what it answers by default, differ.
    "wafv2:UpdateWebACL",
    "ssm:StartSession", "ssm:TerminateSession",
]  # fmt: skip

# The things that have names by which an action can be limited, by service and kind (service authorization reference,
# "Resource types"). Regions and accounts are left open: a policy belongs to one account.
NAMED: dict[str, dict[str, str]] = {
    "autoscaling": {
        "autoScalingGroup": "arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/{name}",
    },
    "cloudwatch": {
        "alarm": "arn:aws:cloudwatch:*:*:alarm:{name}/*",
        "dashboard": "arn:aws:cloudwatch::*:dashboard/{name}",
    },
    "elasticloadbalancing": {
        "listener-rule/app": "arn:aws:elasticloadbalancing:*:*:listener-rule/app/{name}/*",
        "listener/app": "arn:aws:elasticloadbalancing:*:*:listener/app/{name}/*",
        "loadbalancer/app/": "arn:aws:elasticloadbalancing:*:*:loadbalancer/app/{name}/*",
        "targetgroup": "arn:aws:elasticloadbalancing:*:*:targetgroup/{name}/*",
    },
    "iam": {
        "instance-profile": "arn:aws:iam::*:instance-profile/{name}-*",
        "role": "arn:aws:iam::*:role/{name}-*",
    },
    "logs": {
        "log-group": "arn:aws:logs:*:*:log-group:/{name}/*",
        "log-group of the database": "arn:aws:logs:*:*:log-group:/aws/rds/instance/{name}/*",
    },
    "rds": {
        "db": "arn:aws:rds:*:*:db:{name}",
        "og": "arn:aws:rds:*:*:og:default:*",
        "pg": "arn:aws:rds:*:*:pg:{name}",
        "snapshot": "arn:aws:rds:*:*:snapshot:*{name}-*",
        "subgrp": "arn:aws:rds:*:*:subgrp:{name}",
    },
    "s3": {
        "bucket": "arn:aws:s3:::{name}-logs-*",
        "bucket of a move": "arn:aws:s3:::{name}-move-*",
        "object": "arn:aws:s3:::{name}-logs-*/*",
        "object of a move": "arn:aws:s3:::{name}-move-*/*",
    },
    "secretsmanager": {"Secret": "arn:aws:secretsmanager:*:*:secret:{name}/*"},
    "sns": {"topic": "arn:aws:sns:*:*:{name}-*"},
    "wafv2": {
        "loadbalancer/app/": "arn:aws:elasticloadbalancing:*:*:loadbalancer/app/{name}/*",
        "managedruleset": "arn:aws:wafv2:*:*:*/managedruleset/*",
        "webacl": "arn:aws:wafv2:*:*:*/webacl/{name}/*",
    },
}

# Actions that are limited in a way of their own.
ENVIRONMENT_TAG: Condition = ("StringEquals", "aws:ResourceTag/Environment", "{name}")
# Several environments share them, whoever baked them.
GOLDEN: Condition = ("StringEquals", "aws:ResourceTag/Role", "golden")
SPECIAL: dict[str, tuple[list[str], Condition | None]] = {
    "ec2:DeleteSnapshot": (["*"], GOLDEN),
    "ec2:DeregisterImage": (["*"], GOLDEN),
    # Services make these roles for themselves once an account.
    "iam:CreateServiceLinkedRole": (["arn:aws:iam::*:role/aws-service-role/*"], None),
    "iam:PassRole": (["arn:aws:iam::*:role/{name}-*"], ("StringEquals", "iam:PassedToService", "ec2.amazonaws.com")),
    # RDS's own secret has a name of RDS's.
    "secretsmanager:CreateSecret": (
        ["arn:aws:secretsmanager:*:*:secret:{name}/*", "arn:aws:secretsmanager:*:*:secret:rds!db-*"], None,
    ),
    "secretsmanager:TagResource": (
        ["arn:aws:secretsmanager:*:*:secret:{name}/*", "arn:aws:secretsmanager:*:*:secret:rds!db-*"], None,
    ),
    "ssm:SendCommand": (
        ["arn:aws:ssm:*::document/AWS-RunShellScript", "arn:aws:ec2:*:*:instance/*"], None,
    ),
    "kms:CreateGrant": (["arn:aws:kms:*:*:key/*"], ("Bool", "kms:GrantIsForAWSResource", "true")),
}  # fmt: skip

# Services of which a list is asked for by a filter, which IAM takes for the whole list.
LISTED = ("cloudwatch", "rds")

# Things whose ids nobody knows beforehand, and which bear the environment's tag from their first moment on: to take
# them away or to change them needs the tag (service authorization reference, aws:ResourceTag).
TAGGED = {
    "acm": ("DeleteCertificate",),
    "cloudfront": ("DeleteDistribution", "UpdateDistribution"),
    "ec2": (
        "DeleteInternetGateway", "DeleteKeyPair", "DeleteLaunchTemplate", "DeleteNatGateway", "DeleteRouteTable",
        "DeleteSecurityGroup", "DeleteSubnet", "DeleteVpc", "DeleteVpcEndpoints", "TerminateInstances",
    ),
    "elasticfilesystem": (
        "CreateAccessPoint", "CreateMountTarget", "DeleteAccessPoint", "DeleteFileSystem", "DeleteMountTarget",
        "PutBackupPolicy", "PutFileSystemPolicy",
    ),
}  # fmt: skip


@cache
def reference() -> dict[str, Any]:
    """AWS's service authorization reference, as cfn-lint bundles it: services, their actions and resources."""
    path = files("cfnlint").joinpath("data", "AdditionalSpecs", "Policies.json")
    services: dict[str, Any] = json.loads(path.read_text())
    return services


def actions(calls: Iterable[Mapping[str, Any]]) -> set[str]:
    """The actions that calls (each with "service" and "operation") ask for.

    Raises:
        ValueError: IAM knows no such action, so that ACTIONS lacks a line.
    """
    direct = {
        action
        for call in calls
        for action in named(f"{PREFIXES.get(call['service'], call['service'])}:{call['operation']}")
    }
    found = direct | {implied for action in direct for implied in IMPLIED.get(action, [])}
    unknown = sorted(action for action in found if not known(action))
    if unknown:
        raise ValueError(f"IAM knows no action {', '.join(unknown)}: add what AWS calls it to ACTIONS in {__file__}")
    return found


def own_calls() -> Iterator[dict[str, str]]:
    """The calls that the repository's own modules can make: names of operations in them, of services that they name."""
    trees = [ast.parse(path.read_text()) for path in (*MODULES.glob("*.py"), WAITS)]
    for service in sorted(set().union(*map(services, trees))):
        model = Loader().load_service_model(service, "service-2")
        signed = model["metadata"].get("signingName", model["metadata"]["endpointPrefix"])
        operations = {xform_name(operation): operation for operation in model["operations"]}
        for tree in trees:
            if service in services(tree):
                yield from (
                    {"service": signed, "operation": operations[word]} for word in words(tree) & operations.keys()
                )


def services(tree: ast.AST) -> set[str]:
    """The services that a program has clients of: clients("rds"), run(work, "rds")."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {
        str(argument.value)
        for node in calls
        if getattr(node.func, "id", "") in ("clients", "run")
        for argument in node.args
        if isinstance(argument, ast.Constant)
    }


def words(tree: ast.AST) -> set[str]:
    """The names of attributes and the texts in a program."""
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return found | {text for text in texts if isinstance(text, str)}


def named(operation: str) -> list[str]:
    """The actions of one operation."""
    return ACTIONS.get(operation, [operation])


def known(action: str) -> bool:
    """Whether AWS's reference has an action."""
    service, _, name = action.partition(":")
    return name.lower() in reference().get(service, {}).get("Actions", {})


def limits(action: str) -> tuple[tuple[str, ...], Condition | None]:
    """The resources that an action is limited to, and a condition."""
    service, _, name = action.partition(":")
    if action in SPECIAL:
        resources, condition = SPECIAL[action]
        return tuple(resources), condition
    if name in TAGGED.get(service, ()):
        return ("*",), ENVIRONMENT_TAG
    kinds = reference()[service]["Actions"][name.lower()].get("Resources", [])
    names = NAMED.get(service, {})
    listing = service in LISTED and name.startswith(("Describe", "List"))
    # All of a service's together: an action looks at the kinds that are its own.
    return (tuple(sorted(names.values())) if names.keys() & set(kinds) and not listing else ("*",)), None


def policy(wanted: Iterable[str]) -> dict[str, Any]:
    """An IAM policy that allows these actions."""
    together: dict[tuple[tuple[str, ...], Condition | None], list[str]] = {}
    for action in sorted(wanted):
        together.setdefault(limits(action), []).append(action)
    return {"Version": "2012-10-17", "Statement": list(statements(together))}


def statements(together: Mapping[tuple[tuple[str, ...], Condition | None], list[str]]) -> Iterator[dict[str, Any]]:
    """A statement for each limit, the unlimited ones first."""
    for (resources, condition), names in sorted(together.items(), key=lambda entry: (entry[0][0], str(entry[0][1]))):
        here = [arn.format(name=ENVIRONMENT) for arn in resources]
        statement: dict[str, Any] = {"Effect": "Allow", "Action": names, "Resource": here}
        if condition:
            operator, key, value = condition
            statement["Condition"] = {operator: {key: value.format(name=ENVIRONMENT)}}
        yield statement


def uncovered(calls: Iterable[Mapping[str, Any]], document: Mapping[str, Any]) -> list[str]:
    """The actions that calls ask for and a policy does not allow."""
    allowed = {action for statement in document["Statement"] for action in statement["Action"]}
    return sorted(actions(calls) - allowed)


def read(path: Path) -> list[dict[str, Any]]:
    """The calls that a rehearsal recorded, step by step."""
    steps: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())
    return [call for calls in steps.values() for call in calls]


def main() -> None:
    """Write the policy."""
    recorded = Path(sys.argv[1]) if sys.argv[1:] else RECORDED
    if not recorded.exists():
        sys.exit(f"{recorded} is not there: run make rehearse")
    document = policy(actions([*read(recorded), *own_calls()]) | set(FURTHER))
    size = len(json.dumps(document, separators=(",", ":")))
    if size > SIZE_LIMIT:
        sys.exit(f"The policy has {size} characters; a role's inline policies have {SIZE_LIMIT} at most.")
    POLICY.write_text(json.dumps(document, indent=2) + "\n")
    print(f"{POLICY.name}: {sum(len(one['Action']) for one in document['Statement'])} actions, {size} characters")


if __name__ == "__main__":
    main()
