"""The state of an environment (lab/aws_state.py) as a CloudFormation template, for linters that read such.

Nothing is left out for being wrong: what AWS's schemas or a scanner would say of the template, they say of what was made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

State = dict[str, Any]
Resources = dict[str, dict[str, Any]]


def template(state: State) -> dict[str, Any]:
    """The template. Ids of what is within it are references, so that a scanner sees what belongs together."""
    resources: Resources = {}
    links: dict[str, Any] = {}
    for kind, translate in TRANSLATIONS.items():
        for number, found in enumerate(state[kind]):
            logical = f"{kind.title().replace('_', '')}{number}"
            translate(resources, links, logical, found)
    bodies = {}
    for name, body in resources.items():
        others = {known: reference for known, reference in links.items() if target(reference) != name}
        bodies[name] = {**body, "Properties": link(body["Properties"], others)}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"What the playbooks have made for {state['environment']}",
        "Resources": bodies,
    }


def link(value: Any, links: Mapping[str, Any]) -> Any:
    """A value with every id in it that is known put as a reference."""
    if isinstance(value, dict):
        return {key: link(inner, links) for key, inner in value.items()}
    if isinstance(value, list):
        return [link(inner, links) for inner in value]
    return links.get(value, value) if isinstance(value, str) else value


def target(reference: Mapping[str, Any]) -> str:
    """The resource that a reference names."""
    named: str = reference["Ref"] if "Ref" in reference else reference["Fn::GetAtt"][0]
    return named


def pick(found: State, *names: str, **renamed: str) -> State:
    """Properties of an answer that are set: by the same name, or as new=old."""
    pairs = {**{name: name for name in names}, **renamed}
    return {new: found[old] for new, old in pairs.items() if found.get(old) not in (None, "", [], {})}


def tags(listed: Iterable[Mapping[str, str]] | None) -> list[dict[str, str]]:
    """Tags without AWS's own."""
    return [{"Key": t["Key"], "Value": t["Value"]} for t in listed or [] if not t["Key"].startswith("aws:")]


def put(resources: Resources, name: str, kind: str, properties: State, **more: Any) -> None:
    """Add a resource."""
    resources[name] = {"Type": f"AWS::{kind}", "Properties": properties, **more}


def get(name: str, attribute: str) -> dict[str, Any]:
    """A reference to an attribute."""
    return {"Fn::GetAtt": [name, attribute]}


def vpc(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["VpcId"]] = {"Ref": name}
    attributes = {"EnableDnsSupport": True, "EnableDnsHostnames": True}
    put(resources, name, "EC2::VPC", {"CidrBlock": found["CidrBlock"], **attributes, "Tags": tags(found["Tags"])})


def subnet(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["SubnetId"]] = {"Ref": name}
    properties = pick(found, "AvailabilityZone", "CidrBlock", "MapPublicIpOnLaunch", "VpcId")
    put(resources, name, "EC2::Subnet", {**properties, "Tags": tags(found.get("Tags"))})


def security_group(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["GroupId"]] = get(name, "GroupId")
    properties = pick(found, "GroupName", "VpcId", GroupDescription="Description")
    ways = {"Ingress": found["IpPermissions"], "Egress": found["IpPermissionsEgress"]}
    rules = {f"SecurityGroup{way}": list(permissions(way, listed)) for way, listed in ways.items()}
    if not rules["SecurityGroupEgress"]:
        # As CloudFormation says "none": left out would mean "everything".
        nothing = {"IpProtocol": "-1", "CidrIp": "127.0.0.1/32", "Description": "No way out"}
        rules["SecurityGroupEgress"] = [nothing]
    put(resources, name, "EC2::SecurityGroup", {**properties, **rules, "Tags": tags(found["Tags"])})


def permissions(way: str, listed: list[State]) -> Iterable[State]:
    """A security group's rules, one for each source or destination."""
    other = "SourceSecurityGroupId" if way == "Ingress" else "DestinationSecurityGroupId"
    prefix = "SourcePrefixListId" if way == "Ingress" else "DestinationPrefixListId"
    for rule in listed:
        common = pick(rule, "IpProtocol", "FromPort", "ToPort")
        for ranges, key, new in (
            ("IpRanges", "CidrIp", "CidrIp"),
            ("Ipv6Ranges", "CidrIpv6", "CidrIpv6"),
            ("UserIdGroupPairs", "GroupId", other),
            ("PrefixListIds", "PrefixListId", prefix),
        ):
            for end in rule.get(ranges, []):
                yield {**common, new: end[key], **pick(end, "Description")}


def internet_gateway(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["InternetGatewayId"]] = {"Ref": name}
    put(resources, name, "EC2::InternetGateway", {"Tags": tags(found["Tags"])})
    for number, attached in enumerate(found["Attachments"]):
        properties = {"InternetGatewayId": found["InternetGatewayId"], "VpcId": attached["VpcId"]}
        put(resources, f"{name}Attachment{number}", "EC2::VPCGatewayAttachment", properties)


def nat_gateway(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["NatGatewayId"]] = {"Ref": name}
    put(resources, f"{name}Address", "EC2::EIP", {"Domain": "vpc"})
    address = {"AllocationId": get(f"{name}Address", "AllocationId")}
    put(resources, name, "EC2::NatGateway", {**pick(found, "SubnetId"), **address, "Tags": tags(found.get("Tags"))})


def route_table(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["RouteTableId"]] = {"Ref": name}
    put(resources, name, "EC2::RouteTable", {**pick(found, "VpcId"), "Tags": tags(found["Tags"])})
    for number, route in enumerate(found["Routes"]):
        if route.get("GatewayId") == "local":
            continue
        way = pick(route, "DestinationCidrBlock", "GatewayId", "NatGatewayId")
        put(resources, f"{name}Route{number}", "EC2::Route", {"RouteTableId": found["RouteTableId"], **way})
    for number, one in enumerate(found["Associations"]):
        if one.get("SubnetId"):
            ends = pick(one, "RouteTableId", "SubnetId")
            put(resources, f"{name}Subnet{number}", "EC2::SubnetRouteTableAssociation", ends)


def endpoint(resources: Resources, links: State, name: str, found: State) -> None:
    properties = pick(
        found, "VpcId", "ServiceName", "VpcEndpointType", "SubnetIds", "RouteTableIds", "PrivateDnsEnabled"
    )
    groups = {"SecurityGroupIds": [group["GroupId"] for group in found.get("Groups", [])]}
    put(resources, name, "EC2::VPCEndpoint", {**properties, **pick(groups, "SecurityGroupIds")})


def database(resources: Resources, links: State, name: str, found: State) -> None:
    group = found["DBSubnetGroup"]
    subnets = {
        "DBSubnetGroupName": group["DBSubnetGroupName"],
        "DBSubnetGroupDescription": group["DBSubnetGroupDescription"],
        "SubnetIds": [one["SubnetIdentifier"] for one in group["Subnets"]],
    }
    put(resources, f"{name}Subnets", "RDS::DBSubnetGroup", subnets)
    properties = pick(
        found,
        "DBInstanceIdentifier",
        "Engine",
        "EngineVersion",
        "DBInstanceClass",
        "MaxAllocatedStorage",
        "StorageType",
        "MasterUsername",
        "DBName",
        "PreferredBackupWindow",
        "PreferredMaintenanceWindow",
        EnableCloudwatchLogsExports="EnabledCloudwatchLogsExports",
    )
    switches = (
        "StorageEncrypted", "MultiAZ", "PubliclyAccessible", "DeletionProtection", "AutoMinorVersionUpgrade",
        "CopyTagsToSnapshot",
    )  # fmt: skip
    properties |= {switch: bool(found.get(switch)) for switch in switches}
    properties |= {
        "AllocatedStorage": str(found["AllocatedStorage"]),
        "BackupRetentionPeriod": found["BackupRetentionPeriod"],
        "ManageMasterUserPassword": "MasterUserSecret" in found,
        "DBSubnetGroupName": {"Ref": f"{name}Subnets"},
        "VPCSecurityGroups": [one["VpcSecurityGroupId"] for one in found["VpcSecurityGroups"]],
        "DBParameterGroupName": {"Ref": "DatabaseParameters"},
        "Tags": tags(found.get("TagList")),
    }
    put(resources, name, "RDS::DBInstance", properties, DeletionPolicy="Snapshot", UpdateReplacePolicy="Snapshot")
    family = found["Engine"] + ".".join(found["EngineVersion"].split(".")[:2])
    parameters = {"Family": family, "Description": f"Parameters of {found['DBInstanceIdentifier']}", "Parameters": {}}
    put(resources, "DatabaseParameters", "RDS::DBParameterGroup", parameters)


def database_parameter(resources: Resources, links: State, name: str, found: State) -> None:
    given = resources["DatabaseParameters"]["Properties"]["Parameters"]
    given[found["ParameterName"]] = found["ParameterValue"]


def file_system(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["FileSystemId"]] = {"Ref": name}
    properties = pick(found, "PerformanceMode", "ThroughputMode", "BackupPolicy", FileSystemTags="Tags")
    properties["Encrypted"] = bool(found.get("Encrypted"))
    if found["Policy"]:
        properties["FileSystemPolicy"] = json.loads(found["Policy"])
    lasting = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    put(resources, name, "EFS::FileSystem", properties, **lasting)
    for number, target in enumerate(found["MountTargets"]):
        ends = pick(target, "FileSystemId", "SubnetId", "SecurityGroups")
        put(resources, f"{name}Target{number}", "EFS::MountTarget", ends)
    for number, point in enumerate(found["AccessPoints"]):
        user = {key: str(value) for key, value in point["PosixUser"].items() if key in ("Uid", "Gid")}
        root = point["RootDirectory"]
        made = {key: str(value) for key, value in root["CreationInfo"].items()}
        put(
            resources,
            f"{name}Point{number}",
            "EFS::AccessPoint",
            {
                "FileSystemId": found["FileSystemId"],
                "PosixUser": user,
                "RootDirectory": {"Path": root["Path"], "CreationInfo": made},
                "AccessPointTags": tags(point["Tags"]),
            },
        )


def secret(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["ARN"]] = {"Ref": name}
    properties = pick(found, "Name", "Description", "KmsKeyId")
    # Its value is not read; that there is one is the role's business.
    properties["GenerateSecretString"] = {}
    put(resources, name, "SecretsManager::Secret", {**properties, "Tags": tags(found["Tags"])})


def balancer(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["LoadBalancerArn"]] = {"Ref": name}
    links[found["DNSName"]] = get(name, "DNSName")
    links[found["DNSName"] + "."] = get(name, "DNSName")
    properties = pick(found, "Scheme", "Type", "SecurityGroups", Name="LoadBalancerName")
    properties |= {
        "Subnets": [zone["SubnetId"] for zone in found["AvailabilityZones"]],
        "LoadBalancerAttributes": [one for one in found["Attributes"] if one["Value"] != ""],
    }
    put(resources, name, "ElasticLoadBalancingV2::LoadBalancer", properties)
    for number, listener in enumerate(found["Listeners"]):
        own = f"{name}Listener{number}"
        links[listener["ListenerArn"]] = {"Ref": own}
        properties = pick(listener, "LoadBalancerArn", "Port", "Protocol", "SslPolicy", "Certificates")
        properties["DefaultActions"] = [action(one) for one in listener["DefaultActions"]]
        put(resources, own, "ElasticLoadBalancingV2::Listener", properties)
        for order, rule in enumerate(rule for rule in listener["Rules"] if not rule["IsDefault"]):
            properties = {"ListenerArn": listener["ListenerArn"], "Priority": int(rule["Priority"])}
            properties["Conditions"] = [pick(one, "Field", "HttpHeaderConfig") for one in rule["Conditions"]]
            properties["Actions"] = [action(one) for one in rule["Actions"]]
            put(resources, f"{own}Rule{order}", "ElasticLoadBalancingV2::ListenerRule", properties)


def action(found: State) -> State:
    """What a listener does, without the second way in which AWS tells a forward."""
    return {key: value for key, value in found.items() if key != "ForwardConfig" or "TargetGroupArn" not in found}


def target_group(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["TargetGroupArn"]] = {"Ref": name}
    properties = pick(
        found,
        "Protocol",
        "Port",
        "VpcId",
        "TargetType",
        "HealthCheckPath",
        "HealthCheckProtocol",
        "HealthCheckIntervalSeconds",
        "HealthCheckTimeoutSeconds",
        "HealthyThresholdCount",
        "UnhealthyThresholdCount",
        "Matcher",
        Name="TargetGroupName",
    )
    given = [one for one in found["Attributes"] if one["Value"] != ""]
    put(resources, name, "ElasticLoadBalancingV2::TargetGroup", {**properties, "TargetGroupAttributes": given})


def certificate(resources: Resources, links: State, name: str, found: State) -> None:
    if found.get("Type") == "AMAZON_ISSUED":
        links[found["CertificateArn"]] = {"Ref": name}
        put(
            resources, name, "CertificateManager::Certificate", {**pick(found, "DomainName"), "ValidationMethod": "DNS"}
        )


def bucket(resources: Resources, links: State, name: str, found: State) -> None:
    rules = [
        {"Id": one["ID"], "Status": one["Status"], "ExpirationInDays": one["Expiration"]["Days"]}
        for one in found["Lifecycle"]
    ]
    properties = {
        "BucketName": found["Name"],
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": one["ApplyServerSideEncryptionByDefault"]}
                for one in found["Encryption"]["Rules"]
            ]
        },
        "PublicAccessBlockConfiguration": found["PublicAccess"],
        "OwnershipControls": found["Ownership"],
        "LifecycleConfiguration": {"Rules": rules},
    }
    put(resources, name, "S3::Bucket", properties)
    links[found["Name"]] = {"Ref": name}
    policy = {"Bucket": found["Name"], "PolicyDocument": json.loads(found["Policy"])}
    put(resources, f"{name}Policy", "S3::BucketPolicy", policy)


def record(resources: Resources, links: State, name: str, found: State) -> None:
    put(resources, name, "Route53::RecordSet", pick(found, "Name", "Type", "HostedZoneId", "AliasTarget"))


def distribution(resources: Resources, links: State, name: str, found: State) -> None:
    config = flat({key: value for key, value in found.items() if key not in ("Id", "CallerReference")})
    config["ViewerCertificate"] = {"CloudFrontDefaultCertificate": True}
    for origin in config["Origins"]:
        origin["OriginCustomHeaders"] = origin.pop("CustomHeaders", [])
        origin["CustomOriginConfig"]["OriginSSLProtocols"] = origin["CustomOriginConfig"].pop("OriginSslProtocols")
        kept = ("DomainName", "Id", "CustomOriginConfig", "OriginCustomHeaders")
        for key in origin.keys() - set(kept):
            del origin[key]
    kept = ("Comment", "CacheBehaviors", "DefaultCacheBehavior", "Enabled", "HttpVersion", "IPV6Enabled", "Origins",
            "PriceClass", "ViewerCertificate", "WebACLId")  # fmt: skip
    config["IPV6Enabled"] = config.get("IsIPV6Enabled", False)
    for behavior in (config["DefaultCacheBehavior"], *config.get("CacheBehaviors", [])):
        methods = behavior.get("AllowedMethods")
        if isinstance(methods, dict):
            behavior["AllowedMethods"], behavior["CachedMethods"] = methods["Items"], methods["CachedMethods"]
        known = ("AllowedMethods", "CachedMethods", "CachePolicyId", "Compress", "OriginRequestPolicyId", "PathPattern",
                 "TargetOriginId", "ViewerProtocolPolicy")  # fmt: skip
        for key in behavior.keys() - set(known):
            del behavior[key]
    put(resources, name, "CloudFront::Distribution", {"DistributionConfig": pick(config, *kept)})


def flat(value: Any) -> Any:
    """CloudFront's lists, which its API gives with their length, as plain lists."""
    if isinstance(value, dict):
        inner = {key: flat(one) for key, one in value.items()}
        if "Quantity" in inner and inner.keys() <= {"Quantity", "Items"}:
            return inner.get("Items", [])
        return inner
    return [flat(one) for one in value] if isinstance(value, list) else value


def web_acl(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["ARN"]] = get(name, "Arn")
    properties = pick(found, "Name", "Scope", "Description", "DefaultAction", "VisibilityConfig", "Rules")
    put(resources, name, "WAFv2::WebACL", text(properties))


def text(value: Any) -> Any:
    """Bytes as text, as CloudFormation takes them."""
    if isinstance(value, dict):
        return {key: text(one) for key, one in value.items()}
    if isinstance(value, list):
        return [text(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


def launch_template(resources: Resources, links: State, name: str, found: State) -> None:
    links[found["LaunchTemplateId"]] = {"Ref": name}
    newest = max(found["Versions"], key=lambda version: version["VersionNumber"])
    data = {key: value for key, value in newest["LaunchTemplateData"].items() if value not in ([], {}, "")}
    put(resources, name, "EC2::LaunchTemplate", {**pick(found, "LaunchTemplateName"), "LaunchTemplateData": data})


def group(resources: Resources, links: State, name: str, found: State) -> None:
    properties = pick(
        found,
        "AutoScalingGroupName",
        "CapacityRebalance",
        "DefaultInstanceWarmup",
        "HealthCheckGracePeriod",
        "HealthCheckType",
        "InstanceMaintenancePolicy",
        "MaxInstanceLifetime",
        "TargetGroupARNs",
        "TerminationPolicies",
    )
    properties |= {size: str(found[size]) for size in ("MinSize", "MaxSize")}
    used = found["LaunchTemplate"]
    properties |= {
        "VPCZoneIdentifier": found["VPCZoneIdentifier"].split(","),
        "LaunchTemplate": {"LaunchTemplateId": used["LaunchTemplateId"], "Version": used["Version"]},
        "Tags": [{**one, "PropagateAtLaunch": False} for one in tags(found["Tags"])],
        "LifecycleHookSpecificationList": [
            pick(hook, "LifecycleHookName", "LifecycleTransition", "HeartbeatTimeout", "DefaultResult")
            for hook in found["Hooks"]
        ],
    }
    put(resources, name, "AutoScaling::AutoScalingGroup", properties)
    for number, policy in enumerate(found["Policies"]):
        properties = {"AutoScalingGroupName": {"Ref": name}}
        properties |= pick(policy, "PolicyType", "TargetTrackingConfiguration")
        put(resources, f"{name}Policy{number}", "AutoScaling::ScalingPolicy", properties)


def role(resources: Resources, links: State, name: str, found: State) -> None:
    policies = [{"PolicyName": key, "PolicyDocument": value} for key, value in found["Policies"].items()]
    properties = pick(found, "RoleName", "Description", "AssumeRolePolicyDocument")
    put(resources, name, "IAM::Role", {**properties, "Policies": policies})
    for number, profile in enumerate(found["Profiles"]):
        own = f"{name}Profile{number}"
        links[profile["Arn"]] = get(own, "Arn")
        names = {"InstanceProfileName": profile["InstanceProfileName"], "Roles": [{"Ref": name}]}
        put(resources, own, "IAM::InstanceProfile", names)


def alarm(resources: Resources, links: State, name: str, found: State) -> None:
    properties = pick(
        found,
        "AlarmName",
        "AlarmDescription",
        "AlarmActions",
        "OKActions",
        "ComparisonOperator",
        "DatapointsToAlarm",
        "Dimensions",
        "EvaluationPeriods",
        "ExtendedStatistic",
        "MetricName",
        "Metrics",
        "Namespace",
        "Period",
        "Statistic",
        "Threshold",
        "TreatMissingData",
    )
    put(resources, name, "CloudWatch::Alarm", properties)


def topic(resources: Resources, links: State, name: str, found: str) -> None:
    links[found] = {"Ref": name}
    put(resources, name, "SNS::Topic", {"TopicName": found.rpartition(":")[2]})


def log_group(resources: Resources, links: State, name: str, found: State) -> None:
    properties = pick(found, LogGroupName="logGroupName", RetentionInDays="retentionInDays")
    put(resources, name, "Logs::LogGroup", properties)


TRANSLATIONS: dict[str, Callable[[Resources, State, str, Any], None]] = {
    "vpcs": vpc,
    "subnets": subnet,
    "security_groups": security_group,
    "internet_gateways": internet_gateway,
    "nat_gateways": nat_gateway,
    "route_tables": route_table,
    "endpoints": endpoint,
    "databases": database,
    "database_parameters": database_parameter,
    "file_systems": file_system,
    "secrets": secret,
    "balancers": balancer,
    "target_groups": target_group,
    "certificates": certificate,
    "buckets": bucket,
    "records": record,
    "distributions": distribution,
    "web_acls": web_acl,
    "launch_templates": launch_template,
    "groups": group,
    "roles": role,
    "alarms": alarm,
    "topics": topic,
    "log_groups": log_group,
}
