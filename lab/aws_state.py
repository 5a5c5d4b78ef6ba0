"""What there is of an environment on AWS, read through its API: ``python -m lab.aws_state ENVIRONMENT``.

Prints JSON: a list of answers for each kind of thing, as botocore gives them. A secret is shown by its hash alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from typing import Any

import boto3
from botocore.exceptions import ClientError

State = dict[str, Any]


@cache
def client(service: str, region: str | None = None) -> Any:
    """A client of a service, in the region that AWS_REGION says if none is given."""
    return boto3.client(service, region_name=region)


def every(service: str, operation: str, key: str, region: str | None = None, **options: Any) -> list[Any]:
    """All pages of a list."""
    asked = client(service, region)
    if not asked.can_paginate(operation):
        found: list[Any] = getattr(asked, operation)(**options)[key]
        return found
    return [item for page in asked.get_paginator(operation).paginate(**options) for item in page[key]]


def maybe(service: str, operation: str, key: str, absent: str, **options: Any) -> Any:
    """A part of an answer, or None where AWS says by a code that there is none."""
    try:
        return getattr(client(service), operation)(**options)[key]
    except ClientError as error:
        if absent in error.response["Error"]["Code"]:
            return None
        raise


def read(name: str, region: str) -> State:
    """Everything that belongs to an environment."""
    return {
        "environment": name,
        "region": region,
        "account": client("sts").get_caller_identity()["Account"],
        **network(name),
        **data(name),
        **edge(name),
        **fleet(name),
        **identity(name),
        **watch(name),
    }


def network(name: str) -> State:
    """The VPC and what lies in it."""
    tagged = [{"Name": "tag:Environment", "Values": [name]}]
    groups = every("ec2", "describe_security_groups", "SecurityGroups", Filters=tagged)
    vpc = [{"Name": "vpc-id", "Values": [group["VpcId"] for group in groups[:1]] or ["none"]}]
    attached = [{"Name": "attachment.vpc-id", "Values": vpc[0]["Values"]}]
    living = [*vpc, {"Name": "state", "Values": ["available"]}]
    return {
        "vpcs": every("ec2", "describe_vpcs", "Vpcs", Filters=vpc),
        "subnets": every("ec2", "describe_subnets", "Subnets", Filters=vpc),
        "security_groups": groups,
        "internet_gateways": every("ec2", "describe_internet_gateways", "InternetGateways", Filters=attached),
        "nat_gateways": every("ec2", "describe_nat_gateways", "NatGateways", Filter=living),
        "route_tables": every("ec2", "describe_route_tables", "RouteTables", Filters=[*vpc, *tagged]),
        "endpoints": [
            endpoint
            for endpoint in every("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=[*vpc, *tagged])
            if endpoint["State"].lower() not in ("deleting", "deleted")
        ],
    }


def data(name: str) -> State:
    """The database and the covers."""
    databases = maybe("rds", "describe_db_instances", "DBInstances", "NotFound", DBInstanceIdentifier=name) or []
    parameters = every("rds", "describe_db_parameters", "Parameters", DBParameterGroupName=name) if databases else []
    systems = [fs for fs in every("efs", "describe_file_systems", "FileSystems") if fs.get("Name") == name]
    for system in systems:
        one = {"FileSystemId": system["FileSystemId"]}
        system["MountTargets"] = every("efs", "describe_mount_targets", "MountTargets", **one)
        for target in system["MountTargets"]:
            target["SecurityGroups"] = client("efs").describe_mount_target_security_groups(
                MountTargetId=target["MountTargetId"]
            )["SecurityGroups"]
        system["AccessPoints"] = every("efs", "describe_access_points", "AccessPoints", **one)
        system["Policy"] = maybe("efs", "describe_file_system_policy", "Policy", "PolicyNotFound", **one)
        system["BackupPolicy"] = maybe("efs", "describe_backup_policy", "BackupPolicy", "NotFound", **one)
    return {
        "databases": databases,
        "database_parameters": [entry for entry in parameters if entry.get("Source") == "user"],
        "file_systems": systems,
        "secrets": [
            s for s in every("secretsmanager", "list_secrets", "SecretList") if s["Name"].startswith(f"{name}/")
        ],
    }


def edge(name: str) -> State:
    """The front door."""
    balancers = maybe("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerNotFound", Names=[name]) or []
    groups = maybe("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupNotFound", Names=[name]) or []
    for balancer in balancers:
        arn = balancer["LoadBalancerArn"]
        balancer["Attributes"] = client("elbv2").describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
        balancer["Listeners"] = every("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=arn)
        for listener in balancer["Listeners"]:
            listener["Rules"] = every("elbv2", "describe_rules", "Rules", ListenerArn=listener["ListenerArn"])
            for condition in [one for rule in listener["Rules"] for one in rule["Conditions"]]:
                header = condition.get("HttpHeaderConfig", {})
                header.update({"Values": list(map(hashed, header["Values"]))} if header else {})
    for group in groups:
        group["Attributes"] = client("elbv2").describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])[
            "Attributes"
        ]
    distributions = [
        client("cloudfront").get_distribution_config(Id=found["Id"])["DistributionConfig"] | {"Id": found["Id"]}
        for found in client("cloudfront").list_distributions()["DistributionList"].get("Items", [])
        if found["Comment"] == name
    ]
    for header in [
        header
        for distribution in distributions
        for origin in distribution["Origins"]["Items"]
        for header in origin["CustomHeaders"].get("Items", [])
    ]:
        header["HeaderValue"] = hashed(header["HeaderValue"])
    return {
        "balancers": balancers,
        "target_groups": groups,
        "certificates": [certificate(listener) for balancer in balancers for listener in balancer["Listeners"]][:1],
        "buckets": list(buckets(name)),
        "distributions": distributions,
        "cache_policies": list(cache_policies(name)),
        "records": list(records(balancers)),
        "web_acls": [*web_acls(name, "REGIONAL", None), *web_acls(name, "CLOUDFRONT", "us-east-1")],
    }


def hashed(secret: str) -> str:
    """What tells whether two secrets are the same, and nothing else."""
    return f"sha256:{sha256(secret.encode()).hexdigest()}"


def certificate(listener: State) -> State:
    """The certificate of an HTTPS listener."""
    for used in listener.get("Certificates", []):
        found: State = client("acm").describe_certificate(CertificateArn=used["CertificateArn"])["Certificate"]
        return found
    return {}


def buckets(name: str) -> Iterator[State]:
    """The buckets, with how they are protected."""
    for bucket in client("s3").list_buckets()["Buckets"]:
        if not bucket["Name"].startswith(f"{name}-logs-"):
            continue
        one = {"Bucket": bucket["Name"]}
        yield {
            "Name": bucket["Name"],
            "Encryption": client("s3").get_bucket_encryption(**one)["ServerSideEncryptionConfiguration"],
            "PublicAccess": client("s3").get_public_access_block(**one)["PublicAccessBlockConfiguration"],
            "Ownership": client("s3").get_bucket_ownership_controls(**one)["OwnershipControls"],
            "Policy": client("s3").get_bucket_policy(**one)["Policy"],
            "Lifecycle": client("s3").get_bucket_lifecycle_configuration(**one)["Rules"],
        }


def records(balancers: list[State]) -> Iterator[State]:
    """The names that point at the load balancers."""
    names = {f"{balancer['DNSName']}." for balancer in balancers} | {balancer["DNSName"] for balancer in balancers}
    for zone in every("route53", "list_hosted_zones", "HostedZones"):
        for record in every("route53", "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone["Id"]):
            if record.get("AliasTarget", {}).get("DNSName") in names:
                yield {**record, "HostedZoneId": zone["Id"].rpartition("/")[2]}


def cache_policies(name: str) -> Iterator[State]:
    """What a distribution's pages are kept by."""
    for entry in client("cloudfront").list_cache_policies(Type="custom")["CachePolicyList"].get("Items", []):
        if entry["CachePolicy"]["CachePolicyConfig"]["Name"] == name:
            yield entry["CachePolicy"]


def web_acls(name: str, scope: str, region: str | None) -> Iterator[State]:
    """The web ACLs of a scope."""
    waf = client("wafv2", region)
    for found in waf.list_web_acls(Scope=scope)["WebACLs"]:
        if found["Name"] == name:
            yield {**waf.get_web_acl(Name=name, Scope=scope, Id=found["Id"])["WebACL"], "Scope": scope}


def fleet(name: str) -> State:
    """The instances' group and their template."""
    templates = (
        maybe("ec2", "describe_launch_templates", "LaunchTemplates", "NotFound", LaunchTemplateNames=[name]) or []
    )
    for template in templates:
        template["Versions"] = every(
            "ec2", "describe_launch_template_versions", "LaunchTemplateVersions", LaunchTemplateName=name
        )
    one = {"AutoScalingGroupName": name}
    groups = every("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", AutoScalingGroupNames=[name])
    for group in groups:
        group["Policies"] = every("autoscaling", "describe_policies", "ScalingPolicies", **one)
        group["Hooks"] = client("autoscaling").describe_lifecycle_hooks(**one)["LifecycleHooks"]
    return {"launch_templates": templates, "groups": groups}


def identity(name: str) -> State:
    """The roles of instances."""
    roles = [role for role in every("iam", "list_roles", "Roles") if role["RoleName"].startswith(f"{name}-")]
    for role in roles:
        one = {"RoleName": role["RoleName"]}
        role["Policies"] = {
            policy: client("iam").get_role_policy(PolicyName=policy, **one)["PolicyDocument"]
            for policy in every("iam", "list_role_policies", "PolicyNames", **one)
        }
        role["Profiles"] = every("iam", "list_instance_profiles_for_role", "InstanceProfiles", **one)
    return {"roles": roles}


def watch(name: str) -> State:
    """The alarms and whom they tell."""
    topics = [topic["TopicArn"] for topic in every("sns", "list_topics", "Topics")]
    return {
        "alarms": every("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{name}/"),
        "topics": [arn for arn in topics if arn.rpartition(":")[2].startswith(f"{name}-")],
        "log_groups": every("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=f"/{name}/"),
    }


def main() -> None:
    """Print the state of an environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment")
    name = parser.parse_args().environment
    json.dump(read(name, boto3.session.Session().region_name or ""), sys.stdout, indent=1, default=str, sort_keys=True)


if __name__ == "__main__":
    main()
