"""What an environment is made of, as AWS's schemas and a careful reader see it.

Of the environment that docs/aws-state.json records, or of those in the folder that AWS_STATES names.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.template import template

ROOT = Path(__file__).resolve().parents[2]
State = dict[str, Any]

# What cfn-lint says of any template that names zones and does not come from CloudFormation.
NOT_MEANT = ["W3010"]
TLS_POLICIES = ("ELBSecurityPolicy-TLS13-1-2", "ELBSecurityPolicy-TLS13-1-3", "ELBSecurityPolicy-FS-1-2")


RECORDED = (
    sorted(Path(os.environ["AWS_STATES"]).glob("*.json"))
    if "AWS_STATES" in os.environ
    else [ROOT / "docs" / "aws-state.json"]
)


@pytest.fixture(scope="module", params=RECORDED, ids=lambda path: path.stem)
def state(request: pytest.FixtureRequest) -> State:
    found: State = json.loads(request.param.read_text())
    return found


@pytest.fixture(scope="module")
def made(state: State) -> dict[str, Any]:
    return template(state)


def properties(made: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The properties of every resource of a kind; there is one at least."""
    found = [body["Properties"] for body in made["Resources"].values() if body["Type"] == f"AWS::{kind}"]
    assert found, kind
    return found


def attribute(found: list[dict[str, str]], key: str) -> str | None:
    """An attribute of a load balancer or a target group."""
    return next((one["Value"] for one in found if one["Key"] == key), None)


def test_awss_schemas_agree(made: dict[str, Any], state: State, tmp_path: Path) -> None:
    file = tmp_path / "template.json"
    file.write_text(json.dumps(made))

    told = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", "-r", state["region"], "-i", *NOT_MEANT, "-t", file],
        capture_output=True,
        text=True,
    )

    assert told.stdout + told.stderr == ""


def test_a_bad_environment_would_be_noticed(made: dict[str, Any], state: State, tmp_path: Path) -> None:
    file = tmp_path / "template.json"
    bad = json.loads(json.dumps(made))
    bad["Resources"]["Databases0"]["Properties"]["EngineVersion"] = "8.4.99"
    file.write_text(json.dumps(bad))

    told = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", "-r", state["region"], "-t", file], capture_output=True, text=True
    )

    assert "'8.4.99'" in told.stdout


def test_everything_bears_the_environments_tags(state: State) -> None:
    tagged = {
        kind: [{tag["Key"]: tag["Value"] for tag in one.get("Tags") or one.get("TagList") or []} for one in state[kind]]
        for kind in (
            "vpcs", "subnets", "security_groups", "internet_gateways", "nat_gateways", "route_tables", "endpoints",
            "databases", "file_systems", "secrets", "groups", "launch_templates",
        )
        if not (kind in ("vpcs", "subnets", "internet_gateways") and state["vpcs"][0].get("IsDefault"))
    }  # fmt: skip

    for kind, tags in tagged.items():
        for found in tags:
            assert found.get("Environment") == state["environment"], kind
            assert found.get("ManagedBy") == "bookstore-ansible", kind


# Who reaches what.


def open_ports(made: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Name of the group, first and last port, of each rule that admits more than a private network."""
    for group in properties(made, "EC2::SecurityGroup"):
        for rule in group.get("SecurityGroupIngress", []):
            network = rule.get("CidrIp") or rule.get("CidrIpv6")
            if network and not ipaddress.ip_network(network).is_private:
                yield group["GroupName"], rule.get("FromPort", 0), rule.get("ToPort", 65535)


def test_the_world_reaches_the_load_balancers_two_ports_alone(made: dict[str, Any], state: State) -> None:
    admitted = set(open_ports(made))

    wanted = {(f"{state['environment']}-balancer", port, port) for port in (80, 443)}
    assert admitted == (set() if state["distributions"] else wanted)


def test_each_tier_admits_the_one_before_it(state: State) -> None:
    names = {group["GroupId"]: group["GroupName"].rpartition("-")[2] for group in state["security_groups"]}
    sources = {
        names[group["GroupId"]]: {
            names[pair["GroupId"]] for rule in group["IpPermissions"] for pair in rule["UserIdGroupPairs"]
        }
        for group in state["security_groups"]
    }

    assert sources["instance"] == {"balancer"}
    assert sources["database"] == sources["covers"] == {"instance"}
    for name in ("database", "covers"):
        [group] = [group for group in state["security_groups"] if names[group["GroupId"]] == name]
        assert not any(rule["IpRanges"] or rule.get("Ipv6Ranges") for rule in group["IpPermissions"])


def test_no_rule_means_every_port(state: State) -> None:
    for group in state["security_groups"]:
        for rule in [*group["IpPermissions"], *group["IpPermissionsEgress"]]:
            assert rule["IpProtocol"] == "tcp", group["GroupName"]
            assert rule["ToPort"] == rule["FromPort"], group["GroupName"]


def test_a_group_has_few_enough_rules(state: State) -> None:
    # Amazon VPC quotas: 60 a direction. A prefix list counts as its largest number of entries, CloudFront's as 55.
    for group in state["security_groups"]:
        for rules in (group["IpPermissions"], group["IpPermissionsEgress"]):
            weights = [
                len(rule["IpRanges"]) + len(rule["UserIdGroupPairs"]) + 55 * len(rule.get("PrefixListIds", []))
                for rule in rules
            ]
            assert sum(weights) <= 60, group["GroupName"]


def test_no_store_of_data_is_public(made: dict[str, Any], state: State) -> None:
    assert all(one["PubliclyAccessible"] is False for one in properties(made, "RDS::DBInstance"))
    for bucket in made["Resources"].values():
        if bucket["Type"] == "AWS::S3::Bucket":
            blocked = bucket["Properties"]["PublicAccessBlockConfiguration"]
            assert set(blocked.values()) == {True}
            assert len(blocked) == 4
    # The data subnets of an own VPC have no way to or from the internet.
    if not state["vpcs"][0].get("IsDefault"):
        routed = {
            one["SubnetId"] for table in state["route_tables"] for one in table["Associations"] if one.get("SubnetId")
        }
        [database] = state["databases"]
        placed = {one["SubnetIdentifier"] for one in database["DBSubnetGroup"]["Subnets"]}
        placed |= {target["SubnetId"] for one in state["file_systems"] for target in one["MountTargets"]}
        assert not routed & placed


def test_everything_spans_two_zones(state: State) -> None:
    zones = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in state["subnets"]}
    [database], [group], [balancer] = state["databases"], state["groups"], state["balancers"]

    for spread in (
        [one["SubnetIdentifier"] for one in database["DBSubnetGroup"]["Subnets"]],
        group["VPCZoneIdentifier"].split(","),
        [zone["SubnetId"] for zone in balancer["AvailabilityZones"]],
        [target["SubnetId"] for target in state["file_systems"][0]["MountTargets"]],
    ):
        assert len({zones[subnet] for subnet in spread}) == len(spread) >= 2


# Encryption.


def test_everything_is_encrypted_where_it_lies(made: dict[str, Any], state: State) -> None:
    assert all(one["StorageEncrypted"] for one in properties(made, "RDS::DBInstance"))
    assert all(one["Encrypted"] for one in properties(made, "EFS::FileSystem"))
    for found in properties(made, "EC2::LaunchTemplate"):
        disks = found["LaunchTemplateData"]["BlockDeviceMappings"]
        assert [disk["Ebs"]["Encrypted"] for disk in disks] == [True] * len(disks)
        assert {disk["Ebs"]["VolumeType"] for disk in disks} == {"gp3"}
    for bucket in state["buckets"]:
        [rule] = bucket["Encryption"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("AES256", "aws:kms")


def test_everything_is_encrypted_on_its_way(made: dict[str, Any], state: State) -> None:
    for listener in properties(made, "ElasticLoadBalancingV2::Listener"):
        if listener["Protocol"] == "HTTPS":
            assert listener["SslPolicy"].startswith(TLS_POLICIES)
            assert listener["Certificates"]
        elif not state["distributions"]:
            assert [one["Type"] for one in listener["DefaultActions"]] == ["redirect"]
            assert listener["DefaultActions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"
    for found in state["distributions"]:
        behaviors = [found["DefaultCacheBehavior"], *found["CacheBehaviors"].get("Items", [])]
        assert {behavior["ViewerProtocolPolicy"] for behavior in behaviors} == {"redirect-to-https"}
    [parameters] = properties(made, "RDS::DBParameterGroup")
    assert parameters["Parameters"]["require_secure_transport"] in ("1", "ON")
    for policy in [one["Policy"] for one in state["buckets"]] + [one["Policy"] for one in state["file_systems"]]:
        denied = [one for one in json.loads(policy)["Statement"] if one["Effect"] == "Deny"]
        assert any(one["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} for one in denied)


def test_past_cloudfront_the_load_balancer_refuses(state: State) -> None:
    if not state["distributions"]:
        pytest.skip("only where CloudFront stands before it")
    [balancer] = state["balancers"]
    for listener in balancer["Listeners"]:
        assert [action["Type"] for action in listener["DefaultActions"]] == ["fixed-response"]
        [rule] = [rule for rule in listener["Rules"] if not rule["IsDefault"]]
        [condition] = rule["Conditions"]
        [origin] = state["distributions"][0]["Origins"]["Items"]
        brought = origin["CustomHeaders"]["Items"][0]
        asked = condition["HttpHeaderConfig"]
        assert (asked["HttpHeaderName"], asked["Values"]) == (brought["HeaderName"], [brought["HeaderValue"]])


# Secrets and rights.


def test_instances_have_imdsv2_alone(made: dict[str, Any]) -> None:
    for found in properties(made, "EC2::LaunchTemplate"):
        options = found["LaunchTemplateData"]["MetadataOptions"]
        assert options["HttpTokens"] == "required"
        assert options["HttpPutResponseHopLimit"] == 1


def test_the_master_password_is_kept_by_rds(made: dict[str, Any]) -> None:
    assert all(one["ManageMasterUserPassword"] for one in properties(made, "RDS::DBInstance"))


def statements(role: State) -> list[State]:
    return [one for policy in role["Policies"].values() for one in policy["Statement"]]


def test_an_instance_of_the_store_reads_its_own_secret_and_no_other(state: State) -> None:
    if not state["roles"]:
        pytest.skip("an account that may not make roles has its own")
    [role] = [role for role in state["roles"] if role["RoleName"].endswith("-store")]
    [read] = [one["Resource"] for one in statements(role) if "secretsmanager" in str(one["Action"])]
    [own] = [one["ARN"] for one in state["secrets"] if one["Name"].endswith("/store")]

    assert read in (own, [own])


def test_no_role_has_rights_without_a_limit(state: State) -> None:
    # Actions of which AWS's service authorization reference says that they take no resource.
    without = ("ssm:UpdateInstanceInformation", "ssmmessages:", "ec2messages:", "cloudwatch:PutMetricData")
    for role in state["roles"]:
        for one in statements(role):
            actions = [one["Action"]] if isinstance(one["Action"], str) else one["Action"]
            assert not any("*" in action for action in actions), role["RoleName"]
            if one["Resource"] == "*":
                assert all(action.startswith(without) for action in actions), role["RoleName"]


def test_only_ec2_may_take_on_a_role(state: State) -> None:
    for role in state["roles"]:
        [trusted] = role["AssumeRolePolicyDocument"]["Statement"]
        assert trusted["Principal"] == {"Service": "ec2.amazonaws.com"}
        assert trusted["Action"] == "sts:AssumeRole"


# What is there when something fails.


def test_the_group_goes_by_the_load_balancers_word(made: dict[str, Any]) -> None:
    [group] = properties(made, "AutoScaling::AutoScalingGroup")

    assert group["HealthCheckType"] == "ELB"
    assert int(group["MinSize"]) >= 2
    assert group["CapacityRebalance"] is True
    assert group["InstanceMaintenancePolicy"]["MinHealthyPercentage"] == 100
    assert "autoscaling:EC2_INSTANCE_TERMINATING" in [
        hook["LifecycleTransition"] for hook in group["LifecycleHookSpecificationList"]
    ]
    assert not group["LaunchTemplate"]["Version"].startswith("$")


def test_requests_are_drained_and_hanging_ones_let_go(made: dict[str, Any]) -> None:
    [balancer] = properties(made, "ElasticLoadBalancingV2::LoadBalancer")
    [target] = properties(made, "ElasticLoadBalancingV2::TargetGroup")

    assert target["HealthCheckPath"] == "/health"
    assert int(attribute(target["TargetGroupAttributes"], "deregistration_delay.timeout_seconds") or 300) > 30
    assert int(attribute(balancer["LoadBalancerAttributes"], "idle_timeout.timeout_seconds") or 60) < 75
    dropped = attribute(balancer["LoadBalancerAttributes"], "routing.http.drop_invalid_header_fields.enabled")
    assert dropped == "true"


def test_data_outlives_a_mistake(made: dict[str, Any], state: State) -> None:
    for one in properties(made, "RDS::DBInstance"):
        assert one["DeletionProtection"] is True
        assert one["BackupRetentionPeriod"] >= 1
        assert one["CopyTagsToSnapshot"] is True
    assert all(one["BackupPolicy"]["Status"] == "ENABLED" for one in state["file_systems"])
    [balancer] = properties(made, "ElasticLoadBalancingV2::LoadBalancer")
    assert attribute(balancer["LoadBalancerAttributes"], "deletion_protection.enabled") == "true"


def test_somebody_is_told(state: State) -> None:
    watched = {alarm.get("MetricName") or alarm["Metrics"][0]["Id"] for alarm in state["alarms"]}

    assert watched >= {
        "ratio", "TargetResponseTime", "UnHealthyHostCount", "CPUUtilization", "FreeStorageSpace",
        "DatabaseConnections", "PercentIOLimit",
    }  # fmt: skip
    for alarm in state["alarms"]:
        assert alarm["AlarmActions"] == state["topics"], alarm["AlarmName"]


def test_requests_are_logged(made: dict[str, Any], state: State) -> None:
    [balancer] = properties(made, "ElasticLoadBalancingV2::LoadBalancer")
    assert attribute(balancer["LoadBalancerAttributes"], "access_logs.s3.enabled") == "true"
    assert all(rule["Status"] == "Enabled" for bucket in state["buckets"] for rule in bucket["Lifecycle"])
    assert all(one["RetentionInDays"] > 0 for one in properties(made, "Logs::LogGroup"))


def test_the_firewall_lets_a_cover_pass(state: State) -> None:
    for found in state["web_acls"]:
        for rule in found["Rules"]:
            managed = rule["Statement"].get("ManagedRuleGroupStatement", {})
            if managed.get("Name") == "AWSManagedRulesCommonRuleSet":
                counted = [
                    one["Name"] for one in managed.get("RuleActionOverrides", []) if one["ActionToUse"] == {"Count": {}}
                ]
                counted += [one["Name"] for one in managed.get("RuleActionOverrides", [])]
                assert "SizeRestrictions_BODY" in counted
