"""What AWS does and moto does not, patch by patch, and what the emulator notes of each request."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab import emulator
from tests.aws.conftest import REGION

Aws = Callable[[str], Any]


def image(aws: Aws, **tags: str) -> str:
    ec2 = aws("ec2")
    [made] = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"]
    listed = [{"Key": key.replace("__", ":"), "Value": value} for key, value in tags.items()]
    specification = [{"ResourceType": "image", "Tags": listed}] if listed else []
    name = f"image-{made['InstanceId']}"
    made_image = ec2.create_image(InstanceId=made["InstanceId"], Name=name, TagSpecifications=specification)
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    return str(made_image["ImageId"])


def fleet(aws: Aws, subnets: list[str], *images: str) -> str:
    """A group of two on the first image; a version of its template for each."""
    ec2, elb = aws("ec2"), aws("elbv2")
    vpc = ec2.describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
    target = elb.create_target_group(Name="shop", Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0][
        "TargetGroupArn"
    ]
    data = [
        {"ImageId": one, "InstanceType": "t3.small", "MetadataOptions": {"HttpTokens": "required"}} for one in images
    ]
    ec2.create_launch_template(LaunchTemplateName="shop", LaunchTemplateData=data[0])
    for later in data[1:]:
        ec2.create_launch_template_version(LaunchTemplateName="shop", LaunchTemplateData=later)
    aws("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="shop",
        MinSize=2,
        MaxSize=4,
        VPCZoneIdentifier=",".join(subnets),
        LaunchTemplate={"LaunchTemplateName": "shop", "Version": "1"},
        TargetGroupARNs=[target],
    )
    return str(target)


def refresh(aws: Aws, version: str, **preferences: Any) -> list[str]:
    """Refresh to a version; the states that are seen until its end."""
    scaling = aws("autoscaling")
    scaling.start_instance_refresh(
        AutoScalingGroupName="shop",
        DesiredConfiguration={"LaunchTemplate": {"LaunchTemplateName": "shop", "Version": version}},
        Preferences=preferences,
    )
    seen: list[str] = []
    for _ in range(12):
        status = scaling.describe_instance_refreshes(AutoScalingGroupName="shop")["InstanceRefreshes"][0]["Status"]
        if status not in seen:
            seen.append(status)
    return seen


def live(aws: Aws) -> set[str]:
    """The images of the group's instances."""
    [group] = aws("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    ids = [instance["InstanceId"] for instance in group["Instances"]]
    assert len(ids) == 2
    reservations = aws("ec2").describe_instances(InstanceIds=ids)["Reservations"]
    return {instance["ImageId"] for reservation in reservations for instance in reservation["Instances"]}


def test_a_refresh_replaces_every_instance(aws: Aws, subnets: list[str]) -> None:
    one, two = image(aws), image(aws)
    fleet(aws, subnets, one, two)
    assert live(aws) == {one}

    assert refresh(aws, "2", AutoRollback=True) == ["Pending", "InProgress", "Successful"]
    assert live(aws) == {two}


def test_a_refresh_to_instances_that_are_not_healthy_goes_back(aws: Aws, subnets: list[str]) -> None:
    one, two = image(aws), image(aws, emulator__unhealthy="true")
    fleet(aws, subnets, one, two)

    assert refresh(aws, "2", AutoRollback=True)[-2:] == ["RollbackInProgress", "RollbackSuccessful"]
    assert live(aws) == {one}


def test_a_refresh_goes_back_when_its_alarm_rings(aws: Aws, subnets: list[str]) -> None:
    one, two = image(aws), image(aws)
    fleet(aws, subnets, one, two)
    aws("cloudwatch").put_metric_alarm(
        AlarmName="shop/errors",
        Namespace="AWS/ApplicationELB",
        MetricName="HTTPCode_Target_5XX_Count",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanThreshold",
        Threshold=1,
    )
    aws("cloudwatch").set_alarm_state(AlarmName="shop/errors", StateValue="ALARM", StateReason="a test")

    seen = refresh(aws, "2", AutoRollback=True, AlarmSpecification={"Alarms": ["shop/errors"]})

    assert seen[-2:] == ["RollbackInProgress", "RollbackSuccessful"]
    assert live(aws) == {one}


def test_a_refresh_without_rollback_fails_where_it_is(aws: Aws, subnets: list[str]) -> None:
    one, two = image(aws), image(aws, emulator__unhealthy="true")
    fleet(aws, subnets, one, two)

    assert refresh(aws, "2")[-1] == "Failed"
    assert live(aws) == {one, two}


@pytest.mark.parametrize("version", ["$Latest", "$Default"])
def test_a_rollback_needs_a_version_to_come_from(aws: Aws, subnets: list[str], version: str) -> None:
    fleet(aws, subnets, image(aws))

    with pytest.raises(ClientError, match="not \\$Latest or \\$Default"):
        refresh(aws, version, AutoRollback=True)


def test_one_refresh_at_a_time(aws: Aws, subnets: list[str]) -> None:
    fleet(aws, subnets, image(aws), image(aws))
    given = {
        "AutoScalingGroupName": "shop",
        "DesiredConfiguration": {"LaunchTemplate": {"LaunchTemplateName": "shop", "Version": "2"}},
    }
    aws("autoscaling").start_instance_refresh(**given)

    with pytest.raises(ClientError, match="InstanceRefreshInProgress"):
        aws("autoscaling").start_instance_refresh(**given)


def test_a_target_of_a_bad_image_is_not_healthy(aws: Aws, subnets: list[str]) -> None:
    target = fleet(aws, subnets, image(aws, emulator__unhealthy="true"))

    told = aws("elbv2").describe_target_health(TargetGroupArn=target)["TargetHealthDescriptions"]
    assert [entry["TargetHealth"]["State"] for entry in told] == ["unhealthy", "unhealthy"]


def test_instances_are_spread_and_take_their_templates_metadata_options(aws: Aws, subnets: list[str]) -> None:
    fleet(aws, subnets, image(aws))

    reservations = aws("ec2").describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    found = [instance for reservation in reservations["Reservations"] for instance in reservation["Instances"]]
    assert {instance["SubnetId"] for instance in found} == set(subnets)
    assert {instance["MetadataOptions"]["HttpTokens"] for instance in found} == {"required"}


def test_a_load_balancer_needs_two_zones_and_a_short_name(aws: Aws, subnets: list[str]) -> None:
    with pytest.raises(ClientError, match="two different Availability Zones"):
        aws("elbv2").create_load_balancer(Name="shop", Subnets=subnets[:1])
    with pytest.raises(ClientError, match="longer than '32'"):
        aws("elbv2").create_load_balancer(Name="s" * 33, Subnets=subnets)


def test_balancers_and_target_groups_have_every_attribute(aws: Aws, subnets: list[str]) -> None:
    elb = aws("elbv2")
    target = fleet(aws, subnets, image(aws))
    [balancer] = elb.create_load_balancer(Name="shop", Subnets=subnets)["LoadBalancers"]

    of_target = elb.describe_target_group_attributes(TargetGroupArn=target)["Attributes"]
    of_balancer = elb.describe_load_balancer_attributes(LoadBalancerArn=balancer["LoadBalancerArn"])["Attributes"]

    assert "stickiness.lb_cookie.duration_seconds" in [entry["Key"] for entry in of_target]
    assert {"Key": "client_keep_alive.seconds", "Value": "3600"} in of_balancer


def test_a_database_needs_two_zones(aws: Aws, subnets: list[str]) -> None:
    aws("rds").create_db_subnet_group(DBSubnetGroupName="d", DBSubnetGroupDescription="d", SubnetIds=subnets[:1])

    with pytest.raises(ClientError, match="enough Availability Zones"):
        aws("rds").create_db_instance(
            DBInstanceIdentifier="shop",
            Engine="mysql",
            DBInstanceClass="db.t4g.micro",
            AllocatedStorage=20,
            MasterUsername="m",
            MasterUserPassword="long-enough-for-this",
            DBSubnetGroupName="d",
        )


def test_a_restored_database_of_mysql_has_no_managed_password(aws: Aws) -> None:
    rds = aws("rds")
    given = {"DBInstanceClass": "db.t4g.micro", "Engine": "mysql", "AllocatedStorage": 20, "MasterUsername": "admin"}
    rds.create_db_instance(DBInstanceIdentifier="shop", ManageMasterUserPassword=True, **given)
    rds.create_db_snapshot(DBInstanceIdentifier="shop", DBSnapshotIdentifier="last")
    again = {"DBInstanceIdentifier": "again", "DBSnapshotIdentifier": "last"}

    with pytest.raises(ClientError, match="applies to RDS for Oracle only"):
        rds.restore_db_instance_from_db_snapshot(**again, ManageMasterUserPassword=True)
    rds.restore_db_instance_from_db_snapshot(**again)

    [restored] = rds.describe_db_instances(DBInstanceIdentifier="again")["DBInstances"]
    assert not restored.get("MasterUserSecret")


def test_an_unknown_parameter_group_is_an_error_and_a_new_one_has_parameters(aws: Aws) -> None:
    rds = aws("rds")
    with pytest.raises(ClientError, match="DBParameterGroupNotFound"):
        rds.describe_db_parameter_groups(DBParameterGroupName="none")
    rds.create_db_parameter_group(DBParameterGroupName="d", DBParameterGroupFamily="mysql8.4", Description="d")

    names = [entry["ParameterName"] for entry in rds.describe_db_parameters(DBParameterGroupName="d")["Parameters"]]
    assert "require_secure_transport" in names

    wanted = {"ParameterName": "long_query_time", "ParameterValue": "1", "ApplyMethod": "immediate"}
    rds.modify_db_parameter_group(DBParameterGroupName="d", Parameters=[wanted])
    found = rds.describe_db_parameters(DBParameterGroupName="d")["Parameters"]
    assert [entry["ParameterName"] for entry in found if entry["Source"] == "user"] == ["long_query_time"]


def test_a_gp3_volume_tells_its_operations_and_throughput(aws: Aws) -> None:
    given = {"DBInstanceClass": "db.t4g.micro", "Engine": "mysql", "AllocatedStorage": 20, "MasterUsername": "admin"}
    aws("rds").create_db_instance(
        DBInstanceIdentifier="shop", StorageType="gp3", ManageMasterUserPassword=True, **given
    )

    [made] = aws("rds").describe_db_instances()["DBInstances"]
    assert (made["Iops"], made["StorageThroughput"]) == (3000, 125)


def test_an_imported_certificate_has_a_chain_only_if_one_was_given(aws: Aws) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "books.example.org")])
    now = datetime.now(UTC)
    signed = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1)).sign(
        key, hashes.SHA256()
    )
    pem = signed.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    arn = aws("acm").import_certificate(Certificate=pem, PrivateKey=private)["CertificateArn"]

    chain = aws("acm").get_certificate(CertificateArn=arn)["CertificateChain"]

    # Not moto's own authority: community.aws compares it with what was given, nothing.
    assert chain.strip() == pem.decode().strip()


def test_a_rule_can_be_described_anew(aws: Aws, group: str) -> None:
    ec2 = aws("ec2")
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    given = {"GroupId": group, "IpPermissions": [rule]}
    ec2.authorize_security_group_ingress(**given)
    ec2.authorize_security_group_egress(**given)

    assert ec2.update_security_group_rule_descriptions_ingress(**given)["Return"]
    assert ec2.update_security_group_rule_descriptions_egress(**given)["Return"]


def test_nat_gateways_are_found_by_their_tags(aws: Aws, subnets: list[str]) -> None:
    ec2 = aws("ec2")
    for environment in ("shop", "other"):
        tags = [{"Key": "Environment", "Value": environment}]
        ec2.create_nat_gateway(
            SubnetId=subnets[0],
            AllocationId=ec2.allocate_address(Domain="vpc")["AllocationId"],
            TagSpecifications=[{"ResourceType": "natgateway", "Tags": tags}],
        )

    found = ec2.describe_tags(Filters=[{"Name": "resource-type", "Values": ["natgateway"]}])["Tags"]
    assert len(found) == 2
    found = ec2.describe_nat_gateways(Filters=[{"Name": "tag:Environment", "Values": ["other"]}])["NatGateways"]

    assert [gateway["Tags"] for gateway in found] == [[{"Key": "Environment", "Value": "other"}]]
    assert len(ec2.describe_nat_gateways()["NatGateways"]) == 2


def test_the_snapshot_of_an_image_can_be_tagged_with_it(aws: Aws) -> None:
    ec2 = aws("ec2")
    [made] = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"]
    kinds = [{"ResourceType": kind, "Tags": [{"Key": "Role", "Value": "golden"}]} for kind in ("image", "snapshot")]
    identity = ec2.create_image(InstanceId=made["InstanceId"], Name="tagged", TagSpecifications=kinds)["ImageId"]

    [found] = ec2.describe_images(ImageIds=[identity])["Images"]
    assert found["Tags"] == [{"Key": "Role", "Value": "golden"}]
    [disk] = found["BlockDeviceMappings"]
    [snapshot] = ec2.describe_snapshots(SnapshotIds=[disk["Ebs"]["SnapshotId"]])["Snapshots"]
    assert {"Key": "Role", "Value": "golden"} in snapshot["Tags"]


def test_a_templates_own_tags_are_no_part_of_its_data_and_its_user_data_is(aws: Aws) -> None:
    data = {
        "ImageId": image(aws),
        "UserData": base64.b64encode(b'{"region": "eu-west-1"}').decode(),
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Role", "Value": "store"}]}],
    }
    own = [{"ResourceType": "launch-template", "Tags": [{"Key": "Environment", "Value": "shop"}]}]
    aws("ec2").create_launch_template(LaunchTemplateName="shop", LaunchTemplateData=data, TagSpecifications=own)

    [version] = aws("ec2").describe_launch_template_versions(LaunchTemplateName="shop")["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"]["UserData"] == data["UserData"]
    assert [entry["ResourceType"] for entry in version["LaunchTemplateData"]["TagSpecifications"]] == ["instance"]


def test_a_group_collects_every_metric_where_none_is_named(aws: Aws, subnets: list[str]) -> None:
    fleet(aws, subnets, image(aws))
    aws("autoscaling").enable_metrics_collection(AutoScalingGroupName="shop", Granularity="1Minute")

    [group] = aws("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert {"GroupInServiceInstances", "GroupDesiredCapacity"} <= {entry["Metric"] for entry in group["EnabledMetrics"]}


def test_an_image_name_is_used_once(aws: Aws) -> None:
    [made] = aws("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"]
    aws("ec2").create_image(InstanceId=made["InstanceId"], Name="once")

    with pytest.raises(ClientError, match=r"InvalidAMIName\.Duplicate"):
        aws("ec2").create_image(InstanceId=made["InstanceId"], Name="once")


def test_an_image_is_encrypted_as_the_disk_it_was_made_of(aws: Aws) -> None:
    ec2, seen = aws("ec2"), []
    for encrypted in (True, False):
        disk = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "Encrypted": encrypted}}
        [made] = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, BlockDeviceMappings=[disk])[
            "Instances"
        ]
        name = f"encrypted-{encrypted}"
        image = ec2.create_image(InstanceId=made["InstanceId"], Name=name)["ImageId"]
        [mapping] = ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"]
        [snapshot] = ec2.describe_snapshots(SnapshotIds=[mapping["Ebs"]["SnapshotId"]])["Snapshots"]
        seen.append(snapshot["Encrypted"])

    assert seen == [True, False]


def test_a_later_version_of_a_template_inherits_from_its_source(aws: Aws) -> None:
    ec2 = aws("ec2")
    first = {"ImageId": "ami-12c6146b", "InstanceType": "t3.small"}
    ec2.create_launch_template(LaunchTemplateName="shop", LaunchTemplateData=first)
    later = {"InstanceType": "t3.large"}
    ec2.create_launch_template_version(LaunchTemplateName="shop", SourceVersion="1", LaunchTemplateData=later)

    versions = ec2.describe_launch_template_versions(LaunchTemplateName="shop", Versions=["2"])
    [version] = versions["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"]["ImageId"] == "ami-12c6146b"
    assert version["LaunchTemplateData"]["InstanceType"] == "t3.large"


def test_a_command_tells_its_output_and_fails_on_an_image_that_cannot_migrate(aws: Aws) -> None:
    ec2, ssm = aws("ec2"), aws("ssm")
    answers = []
    for one in (image(aws), image(aws, **{"emulator__migration-fails": "true"})):
        [made] = ec2.run_instances(ImageId=one, MinCount=1, MaxCount=1)["Instances"]
        known = [{"Key": "InstanceIds", "Values": [made["InstanceId"]]}]
        [told] = ssm.describe_instance_information(Filters=known)["InstanceInformationList"]
        assert told["PingStatus"] == "Online"
        command = ssm.send_command(InstanceIds=[made["InstanceId"]], DocumentName="AWS-RunShellScript")["Command"]
        answer = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=made["InstanceId"])
        answers.append((answer["Status"], bool(answer["StandardErrorContent"])))

    assert answers == [("Success", False), ("Failed", True)]


def test_a_new_web_acl_is_known_after_a_while(aws: Aws) -> None:
    seen = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "shop"}
    waf = aws("wafv2")
    arn = waf.create_web_acl(Name="shop", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=seen)[
        "Summary"
    ]["ARN"]
    balancer = f"arn:aws:elasticloadbalancing:{REGION}:123456789012:loadbalancer/app/shop/0123456789abcdef"

    with pytest.raises(ClientError, match="WAFUnavailableEntityException"):
        waf.associate_web_acl(WebACLArn=arn, ResourceArn=balancer)
    waf.associate_web_acl(WebACLArn=arn, ResourceArn=balancer)

    assert waf.list_resources_for_web_acl(WebACLArn=arn)["ResourceArns"] == [balancer]


def test_a_rate_without_a_window_is_counted_over_five_minutes(aws: Aws) -> None:
    seen = {"SampledRequestsEnabled": False, "CloudWatchMetricsEnabled": False, "MetricName": "login"}
    rule = {
        "Name": "login",
        "Priority": 1,
        "Action": {"Block": {}},
        "Statement": {"RateBasedStatement": {"Limit": 100, "AggregateKeyType": "IP"}},
        "VisibilityConfig": seen,
    }
    given = {"Name": "shop", "Scope": "REGIONAL"}
    made = aws("wafv2").create_web_acl(**given, DefaultAction={"Allow": {}}, VisibilityConfig=seen, Rules=[rule])

    [found] = aws("wafv2").get_web_acl(**given, Id=made["Summary"]["Id"])["WebACL"]["Rules"]

    assert found["Statement"]["RateBasedStatement"]["EvaluationWindowSec"] == 300


def test_a_policys_name_is_one_groups_own(aws: Aws, subnets: list[str]) -> None:
    scaling = aws("autoscaling")
    target = {"PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"}, "TargetValue": 50}

    def policies(group: str) -> list[str]:
        found = scaling.describe_policies(AutoScalingGroupName=group)["ScalingPolicies"]
        return [policy["PolicyName"] for policy in found]

    fleet(aws, subnets, image(aws))
    for group in ("shop", "shop-2"):
        if group != "shop":
            scaling.create_auto_scaling_group(
                AutoScalingGroupName=group,
                MinSize=0,
                MaxSize=1,
                VPCZoneIdentifier=subnets[0],
                LaunchTemplate={"LaunchTemplateName": "shop", "Version": "1"},
            )
        scaling.put_scaling_policy(
            AutoScalingGroupName=group,
            PolicyName="cpu",
            PolicyType="TargetTrackingScaling",
            TargetTrackingConfiguration=target,
        )
    assert policies("shop") == policies("shop-2") == ["cpu"]

    scaling.delete_policy(AutoScalingGroupName="shop-2", PolicyName="cpu")

    assert policies("shop") == ["cpu"]
    assert policies("shop-2") == []


def test_a_deleted_secret_keeps_its_name_and_says_that_it_can_be_restored(aws: Aws) -> None:
    manager = aws("secretsmanager")
    manager.create_secret(Name="shop/store", SecretString="{}")
    manager.delete_secret(SecretId="shop/store", RecoveryWindowInDays=7)

    with pytest.raises(ClientError, match="marked for deletion"):
        manager.get_secret_value(SecretId="shop/store")
    with pytest.raises(ClientError, match="already exists"):
        manager.create_secret(Name="shop/store", SecretString="{}")
    manager.restore_secret(SecretId="shop/store")

    assert manager.get_secret_value(SecretId="shop/store")["SecretString"] == "{}"


def test_a_caller_reference_makes_one_distribution_for_ever(aws: Aws) -> None:
    cloudfront = aws("cloudfront")
    origin = {
        "Id": "balancer",
        "DomainName": "balancer.example.com",
        "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"},
    }
    config = {
        "CallerReference": "shop",
        "Comment": "shop",
        "Enabled": False,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": {"TargetOriginId": "balancer", "ViewerProtocolPolicy": "https-only"},
    }
    made = cloudfront.create_distribution(DistributionConfig=config)
    cloudfront.delete_distribution(Id=made["Distribution"]["Id"], IfMatch=made["ETag"])

    with pytest.raises(ClientError, match="DistributionAlreadyExists"):
        cloudfront.create_distribution(DistributionConfig=config)


def test_a_cache_policy_has_one_name_and_a_version(aws: Aws) -> None:
    cloudfront = aws("cloudfront")
    made = cloudfront.create_cache_policy(CachePolicyConfig={"Name": "shop", "MinTTL": 0})
    identity = made["CachePolicy"]["Id"]

    with pytest.raises(ClientError, match="CachePolicyAlreadyExists"):
        cloudfront.create_cache_policy(CachePolicyConfig={"Name": "shop", "MinTTL": 0})
    with pytest.raises(ClientError, match="PreconditionFailed"):
        cloudfront.update_cache_policy(Id=identity, IfMatch="another", CachePolicyConfig={"Name": "shop", "MinTTL": 1})
    cloudfront.delete_cache_policy(Id=identity, IfMatch=made["ETag"])

    assert cloudfront.list_cache_policies(Type="custom")["CachePolicyList"]["Quantity"] == 0


def test_a_command_runs_in_the_host_that_an_instance_stands_for(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s in %s" "$(tail -n 1)" "$3"\nexit 3\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "emulator:container", "Value": "clone-1"}]}]
    [made] = aws("ec2").run_instances(ImageId=image(aws), MinCount=1, MaxCount=1, TagSpecifications=tags)["Instances"]
    script = {"commands": ["#!/bin/bash", "uptime"]}

    command = aws("ssm").send_command(
        InstanceIds=[made["InstanceId"]], DocumentName="AWS-RunShellScript", Parameters=script
    )["Command"]
    told = aws("ssm").get_command_invocation(CommandId=command["CommandId"], InstanceId=made["InstanceId"])

    assert (told["Status"], told["ResponseCode"]) == ("Failed", 3)
    assert told["StandardOutputContent"] == "uptime in clone-1"


def test_a_session_is_with_an_instance_that_runs(aws: Aws) -> None:
    ec2, ssm = aws("ec2"), aws("ssm")
    [made] = ec2.run_instances(ImageId=image(aws), MinCount=1, MaxCount=1)["Instances"]

    session = ssm.start_session(Target=made["InstanceId"])["SessionId"]
    assert ssm.terminate_session(SessionId=session)["SessionId"] == session
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    with pytest.raises(ClientError, match="TargetNotConnected"):
        ssm.start_session(Target=made["InstanceId"])


def test_automatic_backups_of_a_file_system_can_be_turned_on(aws: Aws) -> None:
    identity = aws("efs").create_file_system(CreationToken="x")["FileSystemId"]
    aws("efs").put_backup_policy(FileSystemId=identity, BackupPolicy={"Status": "ENABLED"})

    assert aws("efs").describe_backup_policy(FileSystemId=identity)["BackupPolicy"]["Status"] == "ENABLED"


def request(service: str, method: str = "POST", path: str = "/", body: str = "", **headers: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": headers.pop("query", ""),
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": headers.pop("kind", "application/x-www-form-urlencoded" if body else ""),
        "wsgi.input": io.BytesIO(body.encode()),
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=testing/20260101/{REGION}/{service}/aws4_request, …",
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }


@pytest.mark.parametrize(
    ("environ", "operation", "mutating"),
    [
        (request("ec2", body="Action=CreateVpc&Version=1"), "CreateVpc", True),
        (request("ec2", body="Action=DescribeVpcs"), "DescribeVpcs", False),
        (request("sts", body="Action=GetCallerIdentity"), "GetCallerIdentity", False),
        (request("acm", x_amz_target="CertificateManager.RequestCertificate"), "RequestCertificate", True),
        (request("elasticfilesystem", path="/2015-02-01/file-systems"), "CreateFileSystem", True),
        (
            request("elasticfilesystem", "GET", "/2015-02-01/file-systems/fs-1/policy"),
            "DescribeFileSystemPolicy",
            False,
        ),
        (request("cloudfront", "DELETE", "/2020-05-31/distribution/E1"), "DeleteDistribution", True),
        (request("route53", "POST", "/2013-04-01/hostedzone/Z1/rrset/"), "ChangeResourceRecordSets", True),
        (request("s3", "PUT", "/bucket", query="policy"), "PutBucketPolicy", True),
        (request("s3", "GET", "/bucket", query="tagging"), "GetBucketTagging", False),
    ],
)
def test_a_request_is_known_by_its_operation(environ: dict[str, Any], operation: str, mutating: bool) -> None:
    call = emulator.recognize(environ)

    assert call
    assert (call["operation"], call["mutating"]) == (operation, mutating)
    body = environ["wsgi.input"].read()
    assert len(body) == int(environ["CONTENT_LENGTH"]), "moto needs the body too"


def test_what_is_not_signed_is_no_call() -> None:
    assert emulator.recognize({**request("ec2"), "HTTP_AUTHORIZATION": ""}) is None
