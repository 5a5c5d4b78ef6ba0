"""What each module for AWS makes, that it makes it once, and that a check run makes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.rds.models import rds_backends

from tests.ansible.conftest import BIN, ROOT
from tests.aws.conftest import MODULES, REGION

Run = Callable[..., tuple[Any, dict[str, Any]]]
Aws = Callable[[str], Any]


class Stopped(Exception):
    """The module's class was called; what with."""


@pytest.mark.parametrize("name", [name for name in MODULES if name != "aws_wait"])
def test_documentation_says_what_the_module_takes(
    modules: dict[str, ModuleType], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(**options: Any) -> None:
        raise Stopped(options)

    monkeypatch.setattr(sys.modules["ansible.module_utils.bookstore_aws"], "AnsibleAWSModule", stop)
    with pytest.raises(Stopped) as stopped:
        modules[name].main()
    given = stopped.value.args[0]
    documented = yaml.safe_load(modules[name].DOCUMENTATION)["options"]

    assert given["supports_check_mode"]
    assert {
        key: (option["type"], option.get("default"), bool(option.get("required")), option.get("choices"))
        for key, option in documented.items()
    } == {
        key: (option["type"], option.get("default"), bool(option.get("required")), option.get("choices"))
        for key, option in given["argument_spec"].items()
    }


def test_ansible_doc_shows_every_module() -> None:
    done = subprocess.run(
        [BIN / "ansible-doc", "--type", "module", "--json", *MODULES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    shown = json.loads(done.stdout)
    assert sorted(shown) == MODULES
    assert all(entry["examples"] for entry in shown.values())


def database(aws: Aws, subnets: list[str], group: str, **further: Any) -> dict[str, Any]:
    rds = aws("rds")
    rds.create_db_subnet_group(DBSubnetGroupName="d", DBSubnetGroupDescription="d", SubnetIds=subnets)
    rds.create_db_parameter_group(DBParameterGroupName="d", DBParameterGroupFamily="mysql8.4", Description="d")
    return {
        "name": "shop",
        "engine_version": "8.4.7",
        "instance_class": "db.t4g.micro",
        "storage_gib": 20,
        "storage_max_gib": 100,
        "multi_az": False,
        "database_name": "bookstore",
        "master_user": "bookstore_admin",
        "subnet_group": "d",
        "security_groups": [group],
        "parameter_group": "d",
        "backup_days": 7,
        "backup_window": "03:00-04:00",
        "maintenance_window": "sun:04:30-sun:05:30",
        "deletion_protection": True,
        "tags": {"Environment": "shop"},
        **further,
    }


def test_a_database_is_made_once_private_encrypted_and_with_a_password_that_nobody_typed(
    run: Run, aws: Aws, subnets: list[str], group: str
) -> None:
    given = database(aws, subnets, group)
    changes, _ = run("rds_managed_instance", "rds", check=True, **given)
    assert changes.after
    assert aws("rds").describe_db_instances()["DBInstances"] == []

    _, facts = run("rds_managed_instance", "rds", **given)
    again, same = run("rds_managed_instance", "rds", **given)

    assert again.after == {}
    assert same == facts
    [made] = aws("rds").describe_db_instances()["DBInstances"]
    assert made["StorageEncrypted"]
    assert not made["PubliclyAccessible"]
    assert made["DeletionProtection"]
    assert facts["instance"]["master_secret_arn"] == made["MasterUserSecret"]["SecretArn"]


def test_a_database_is_brought_to_its_settings_and_never_to_a_lower_version(
    run: Run, aws: Aws, subnets: list[str], group: str
) -> None:
    given = database(aws, subnets, group)
    run("rds_managed_instance", "rds", **given)

    changes, _ = run("rds_managed_instance", "rds", **given | {"backup_days": 14, "engine_version": "8.4.3"})

    assert changes.after == {"backup_days": 14}
    [made] = aws("rds").describe_db_instances()["DBInstances"]
    assert made["BackupRetentionPeriod"] == 14


def test_a_protected_database_is_deleted_with_its_last_snapshot(
    run: Run, aws: Aws, subnets: list[str], group: str
) -> None:
    run("rds_managed_instance", "rds", **database(aws, subnets, group))

    run("rds_managed_instance", "rds", name="shop", state="absent", final_snapshot="last")
    again, _ = run("rds_managed_instance", "rds", name="shop", state="absent", final_snapshot="last")

    assert [shot["DBSnapshotIdentifier"] for shot in aws("rds").describe_db_snapshots()["DBSnapshots"]] == ["last"]
    assert again.after == {}


def test_a_database_that_is_still_being_made_is_left_alone(
    run: Run, aws: Aws, subnets: list[str], group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = database(aws, subnets, group)
    run("rds_managed_instance", "rds", **given)
    monkeypatch.setattr(rds_backends[DEFAULT_ACCOUNT_ID][REGION].databases["shop"], "status", "creating")

    changes, facts = run("rds_managed_instance", "rds", **given | {"multi_az": True})
    with pytest.raises(Exception, match=r"no last snapshot .* Wait until it is available"):
        run("rds_managed_instance", "rds", name="shop", state="absent", final_snapshot="last")

    assert changes.after == {}
    assert facts["instance"]["status"] == "creating"


def test_a_database_can_begin_with_a_snapshot(run: Run, aws: Aws, subnets: list[str], group: str) -> None:
    given = database(aws, subnets, group)
    run("rds_managed_instance", "rds", **given)
    aws("rds").create_db_snapshot(DBInstanceIdentifier="shop", DBSnapshotIdentifier="yesterday")

    again = given | {"name": "again", "restore_snapshot": "yesterday"}
    _, facts = run("rds_managed_instance", "rds", **again)

    assert facts["instance"]["master_secret_arn"] == ""
    changes, facts = run("rds_managed_instance", "rds", **again)
    assert "master_secret" in changes.after
    [made] = aws("rds").describe_db_instances(DBInstanceIdentifier="again")["DBInstances"]
    assert made["DBInstanceArn"] == facts["instance"]["arn"]
    assert made["MasterUserSecret"]["SecretArn"]
    assert made["StorageEncrypted"]
    assert not made["PubliclyAccessible"]


def test_a_file_system_is_encrypted_mounted_in_each_zone_and_refuses_who_comes_without_tls(
    run: Run, aws: Aws, subnets: list[str], group: str
) -> None:
    given = {"name": "shop", "subnets": subnets, "security_groups": [group], "delay": 0}
    changes, facts = run("efs_file_system", "efs", check=True, **given)
    assert changes.after
    assert facts["file_system"]["id"] == ""
    assert aws("efs").describe_file_systems()["FileSystems"] == []

    _, facts = run("efs_file_system", "efs", **given)
    again, same = run("efs_file_system", "efs", **given)

    assert again.after == {}
    assert same == facts
    identity = facts["file_system"]["id"]
    [made] = aws("efs").describe_file_systems()["FileSystems"]
    assert made["Encrypted"]
    assert made["ThroughputMode"] == "elastic"
    targets = aws("efs").describe_mount_targets(FileSystemId=identity)["MountTargets"]
    assert sorted(target["SubnetId"] for target in targets) == sorted(subnets)
    policy = json.loads(aws("efs").describe_file_system_policy(FileSystemId=identity)["Policy"])
    assert {"Bool": {"aws:SecureTransport": "false"}} in [
        statement["Condition"] for statement in policy["Statement"] if statement["Effect"] == "Deny"
    ]


def test_a_file_system_goes_with_its_mount_targets(run: Run, aws: Aws, subnets: list[str], group: str) -> None:
    run("efs_file_system", "efs", name="shop", subnets=subnets, security_groups=[group], delay=0)

    changes, _ = run("efs_file_system", "efs", name="shop", state="absent", delay=0)
    again, _ = run("efs_file_system", "efs", name="shop", state="absent", delay=0)

    assert changes.after
    assert again.after == {}
    assert aws("efs").describe_file_systems()["FileSystems"] == []


def test_a_certificate_is_asked_for_once_and_its_record_goes_with_it(run: Run, aws: Aws) -> None:
    zone = aws("route53").create_hosted_zone(Name="example.com.", CallerReference="x")["HostedZone"]["Id"]
    given = {"domain": "books.example.com", "zone": "example.com", "tags": {"Environment": "shop"}, "delay": 0}
    services = ("acm", "route53")
    checked, _ = run("acm_dns_certificate", *services, check=True, **given)
    assert checked.after
    assert aws("acm").list_certificates()["CertificateSummaryList"] == []

    _, facts = run("acm_dns_certificate", *services, **given)
    again, same = run("acm_dns_certificate", *services, **given)
    other, _ = run("acm_dns_certificate", *services, check=True, **given | {"tags": {"Environment": "other"}})

    def records() -> list[str]:
        listed = aws("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        return [record["Name"] for record in listed if record["Type"] == "CNAME"]

    assert again.after == {}
    assert other.after, "another environment's certificate is not this one's"
    assert same["certificate"]["arn"] == facts["certificate"]["arn"]
    assert len(records()) == 1

    run("acm_dns_certificate", *services, **given, state="absent")
    assert records() == []
    assert aws("acm").list_certificates()["CertificateSummaryList"] == []


def test_each_certificate_is_one_of_its_own_also_within_an_hour(run: Run, aws: Aws) -> None:
    aws("route53").create_hosted_zone(Name="example.com.", CallerReference="x")
    services = ("acm", "route53")
    given = {"domain": "books.example.com", "zone": "example.com", "tags": {"Environment": "shop"}, "delay": 0}
    _, first = run("acm_dns_certificate", *services, **given)
    _, other = run("acm_dns_certificate", *services, **given | {"tags": {"Environment": "other"}})
    run("acm_dns_certificate", *services, **given, state="absent")

    _, again = run("acm_dns_certificate", *services, **given)

    arns = [facts["certificate"]["arn"] for facts in (first, other, again)]
    assert len(set(arns)) == 3
    assert aws("acm").describe_certificate(CertificateArn=arns[2])


def test_a_zone_that_is_not_there_is_named(run: Run) -> None:
    with pytest.raises(
        sys.modules["ansible.module_utils.bookstore_aws"].AwsError, match="no public Route 53 zone none"
    ):
        run("acm_dns_certificate", "acm", "route53", domain="books.none.example", zone="none.example")


def template(run: Run, image: str = "ami-12c6146b", release: str = "1") -> dict[str, Any]:
    data = {"ImageId": image, "InstanceType": "t3.small", "UserData": "e30="}
    _, facts = run("ec2_template_version", "ec2", name="shop", label=release, data=data)
    found: dict[str, Any] = facts["template"]
    return found


def test_a_version_that_was_there_before_is_found_again(run: Run, aws: Aws) -> None:
    first = template(run, release="1")
    second = template(run, release="2")

    assert (first["version"], second["version"]) == ("1", "2")
    assert template(run, release="1") == first
    assert aws("ec2").describe_launch_templates()["LaunchTemplates"][0]["LatestVersionNumber"] == 2


def test_a_launch_template_goes_with_all_its_versions(run: Run, aws: Aws) -> None:
    template(run, release="1")
    template(run, release="2")

    run("ec2_template_version", "ec2", name="shop", state="absent")
    again, _ = run("ec2_template_version", "ec2", name="shop", state="absent")

    assert again.after == {}
    assert aws("ec2").describe_launch_templates()["LaunchTemplates"] == []


def scaled(run: Run, subnets: list[str], **further: Any) -> tuple[Any, dict[str, Any]]:
    made = template(run)
    return run(
        "asg_group",
        "autoscaling",
        name="shop",
        launch_template=made["id"],
        version=made["version"],
        subnets=subnets,
        min_size=2,
        max_size=4,
        tags={"Environment": "shop"},
        policies={
            "cpu": {
                "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
                "TargetValue": 60.0,
            }
        },
        **further,
    )


def test_a_group_is_made_once_over_the_zones_with_its_hook(run: Run, aws: Aws, subnets: list[str]) -> None:
    _, facts = scaled(run, subnets)
    again, _ = scaled(run, subnets)

    assert again.after == {}
    assert len(facts["group"]["instances"]) == 2
    [group] = aws("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert len({instance["AvailabilityZone"] for instance in group["Instances"]}) == 2
    assert group["InstanceMaintenancePolicy"]["MinHealthyPercentage"] == 100
    assert group["DefaultInstanceWarmup"] == 120
    hooks = aws("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName="shop")["LifecycleHooks"]
    assert [hook["LifecycleTransition"] for hook in hooks] == ["autoscaling:EC2_INSTANCE_TERMINATING"]


def test_a_live_group_takes_settings_and_keeps_its_version(run: Run, aws: Aws, subnets: list[str]) -> None:
    scaled(run, subnets)
    second = template(run, release="2")

    changes, facts = run(
        "asg_group",
        "autoscaling",
        name="shop",
        launch_template=second["id"],
        version="2",
        subnets=subnets,
        min_size=2,
        max_size=6,
        warm_pool=1,
    )

    assert facts["group"]["version"] == "1"
    assert changes.after["settings"] == {"MaxSize": 6}
    assert changes.after["warm pool"] == 1
    assert changes.after["policy cpu"] is None
    pool = aws("autoscaling").describe_warm_pool(AutoScalingGroupName="shop")["WarmPoolConfiguration"]
    assert pool["MinSize"] == 1


def test_a_refresh_begins_where_an_instance_is_of_another_version(run: Run, aws: Aws, subnets: list[str]) -> None:
    scaled(run, subnets)
    made = template(run)
    none, facts = run("asg_refresh", "autoscaling", name="shop", launch_template=made["id"], version="1")
    assert none.after == {}
    assert facts["refresh"]["id"] == ""

    template(run, release="2")
    given = {"name": "shop", "launch_template": made["id"], "version": "2", "alarms": ["shop-errors"]}
    given |= {"checkpoints": [50, 100], "checkpoint_delay": 90}
    checked, _ = run("asg_refresh", "autoscaling", check=True, **given)
    began, facts = run("asg_refresh", "autoscaling", **given)
    _, same = run("asg_refresh", "autoscaling", **given)

    assert checked.after
    assert began.after
    assert facts["refresh"] == {"id": same["refresh"]["id"], "from": "1", "to": "2"}
    [refresh] = aws("autoscaling").describe_instance_refreshes(AutoScalingGroupName="shop")["InstanceRefreshes"]
    assert refresh["Preferences"]["MinHealthyPercentage"] == 100
    assert refresh["Preferences"]["AutoRollback"]
    assert refresh["Preferences"]["AlarmSpecification"] == {"Alarms": ["shop-errors"]}
    assert refresh["Preferences"]["CheckpointPercentages"] == [50, 100]
    assert refresh["Preferences"]["CheckpointDelay"] == 90
    assert refresh["DesiredConfiguration"]["LaunchTemplate"]["Version"] == "2"


def test_a_refresh_to_another_version_is_not_interrupted(run: Run, subnets: list[str]) -> None:
    scaled(run, subnets)
    made = template(run, release="2")
    run("asg_refresh", "autoscaling", name="shop", launch_template=made["id"], version="2")

    with pytest.raises(sys.modules["ansible.module_utils.bookstore_aws"].AwsError, match="version 2 is under way"):
        run("asg_refresh", "autoscaling", name="shop", launch_template=made["id"], version="1")


ALARM = {
    "Namespace": "AWS/RDS",
    "MetricName": "CPUUtilization",
    "Statistic": "Average",
    "Period": 60,
    "EvaluationPeriods": 5,
    "ComparisonOperator": "GreaterThanThreshold",
    "Threshold": 80.0,
}


def test_alarms_are_sent_where_they_differ_and_others_removed(run: Run, aws: Aws) -> None:
    def names() -> list[str]:
        return [alarm["AlarmName"] for alarm in aws("cloudwatch").describe_alarms()["MetricAlarms"]]

    checked, _ = run("cloudwatch_alarms", "cloudwatch", check=True, prefix="shop-", alarms={"cpu": ALARM})
    assert checked.after
    assert names() == []
    aws("cloudwatch").put_metric_alarm(AlarmName="other-cpu", **ALARM)
    run("cloudwatch_alarms", "cloudwatch", prefix="shop-", alarms={"cpu": ALARM, "old": ALARM})

    again, _ = run("cloudwatch_alarms", "cloudwatch", prefix="shop-", alarms={"cpu": ALARM, "old": ALARM})
    fewer, _ = run("cloudwatch_alarms", "cloudwatch", prefix="shop-", alarms={"cpu": {**ALARM, "Threshold": 90.0}})

    assert again.after == {}
    assert fewer.after["others"] is None
    assert sorted(names()) == ["other-cpu", "shop-cpu"]


def test_a_dashboard_is_drawn_once(run: Run, aws: Aws) -> None:
    body = {"widgets": [{"type": "text", "properties": {"markdown": "Books"}}]}
    run("cloudwatch_dashboard", "cloudwatch", name="shop", body=body)
    again, _ = run("cloudwatch_dashboard", "cloudwatch", name="shop", body=body)
    gone, _ = run("cloudwatch_dashboard", "cloudwatch", name="shop", state="absent")

    assert again.after == {}
    assert gone.after
    assert aws("cloudwatch").list_dashboards()["DashboardEntries"] == []


def test_a_target_group_is_made_once_and_takes_attributes(run: Run, aws: Aws, subnets: list[str]) -> None:
    vpc = aws("ec2").describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
    given = {"name": "shop", "vpc": vpc, "attributes": {"deregistration_delay.timeout_seconds": 60}}
    checked, facts = run("elb_http_target_group", "elbv2", check=True, **given)
    assert checked.after
    assert facts["target_group"]["arn"] == ""

    run("elb_http_target_group", "elbv2", **given)
    again, facts = run("elb_http_target_group", "elbv2", **given)
    other, _ = run("elb_http_target_group", "elbv2", **given | {"health_path": "/other"})

    assert again.after == {}
    assert other.after == {"health check": {"HealthCheckPath": "/other"}}
    listed = aws("elbv2").describe_target_group_attributes(TargetGroupArn=facts["target_group"]["arn"])["Attributes"]
    assert {"Key": "deregistration_delay.timeout_seconds", "Value": "60"} in listed


def front(**further: Any) -> dict[str, Any]:
    origin = {
        "Id": "balancer",
        "DomainName": "balancer.example.com",
        "CustomHeaders": {"Quantity": 1, "Items": [{"HeaderName": "X-Origin-Verify", "HeaderValue": "a-secret"}]},
        "CustomOriginConfig": {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"},
    }
    behavior = {"TargetOriginId": "balancer", "ViewerProtocolPolicy": "redirect-to-https", "CachePolicyId": "x"}
    return {
        "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": behavior,
        "PriceClass": "PriceClass_100",
        **further,
    }


def test_a_distribution_is_changed_only_where_it_differs_and_never_shows_its_secret(run: Run, aws: Aws) -> None:
    _, facts = run("cloudfront_front", "cloudfront", name="shop", config=front(), tags={"Environment": "shop"})
    again, same = run("cloudfront_front", "cloudfront", name="shop", config=front(), tags={"Environment": "shop"})
    wider, _ = run("cloudfront_front", "cloudfront", name="shop", config=front(PriceClass="PriceClass_All"))

    assert again.after == {}
    assert same["distribution"]["id"] == facts["distribution"]["id"]
    assert wider.after == {"settings": "PriceClass"}
    [made] = aws("cloudfront").list_distributions()["DistributionList"]["Items"]
    assert made["PriceClass"] == "PriceClass_All"


def test_a_distribution_is_disabled_before_it_is_deleted(run: Run, aws: Aws) -> None:
    run("cloudfront_front", "cloudfront", name="shop", config=front())

    disabled, facts = run("cloudfront_front", "cloudfront", name="shop", state="disabled")
    aws("cloudfront").get_distribution(Id=facts["distribution"]["id"])
    gone, _ = run("cloudfront_front", "cloudfront", name="shop", state="absent")
    again, facts = run("cloudfront_front", "cloudfront", name="shop", state="absent")

    assert disabled.after
    assert gone.after
    assert again.after == {}
    assert facts["distribution"]["id"] == ""

    made, facts = run("cloudfront_front", "cloudfront", name="shop", config=front())
    assert made.after
    assert facts["distribution"]["id"]


def test_a_cache_policy_is_made_once_changed_where_it_differs_and_goes_after_its_distribution(
    run: Run, aws: Aws
) -> None:
    keys = {
        "EnableAcceptEncodingGzip": True,
        "HeadersConfig": {"HeaderBehavior": "none"},
        "CookiesConfig": {"CookieBehavior": "all"},
        "QueryStringsConfig": {"QueryStringBehavior": "all"},
    }
    given = {"name": "shop", "config": {"MinTTL": 0, "ParametersInCacheKeyAndForwardedToOrigin": keys}}
    checked, none = run("cloudfront_cache_policy", "cloudfront", check=True, **given)
    assert checked.after
    assert none["policy"]["id"] == ""

    _, facts = run("cloudfront_cache_policy", "cloudfront", **given)
    again, same = run("cloudfront_cache_policy", "cloudfront", **given)
    longer, _ = run("cloudfront_cache_policy", "cloudfront", name="shop", config={**given["config"], "MaxTTL": 60})

    assert again.after == {}
    assert same == facts
    assert longer.after
    identity = facts["policy"]["id"]
    found = aws("cloudfront").get_cache_policy(Id=identity)["CachePolicy"]["CachePolicyConfig"]
    assert (found["Name"], found["MaxTTL"]) == ("shop", 60)
    behavior = {**front()["DefaultCacheBehavior"], "CachePolicyId": identity}
    behavior.pop("ForwardedValues", None)
    run("cloudfront_front", "cloudfront", name="shop", config=front(DefaultCacheBehavior=behavior))
    with pytest.raises(ClientError, match="CachePolicyInUse"):
        run("cloudfront_cache_policy", "cloudfront", name="shop", state="absent")
    run("cloudfront_front", "cloudfront", name="shop", state="disabled")
    run("cloudfront_front", "cloudfront", name="shop", state="absent")
    run("cloudfront_cache_policy", "cloudfront", name="shop", state="absent")
    gone, _ = run("cloudfront_cache_policy", "cloudfront", name="shop", state="absent")
    assert gone.after == {}


def test_the_account_is_told_without_asking_iam(run: Run) -> None:
    _, facts = run("sts_account_info", "sts")

    assert facts == {"account": "123456789012"}


def test_a_prefix_list_is_found_by_its_name(run: Run) -> None:
    _, facts = run("ec2_prefix_list_info", "ec2", name="com.amazonaws.eu-west-1.s3")
    assert facts["prefix_list"]["id"].startswith("pl-")

    with pytest.raises(sys.modules["ansible.module_utils.bookstore_aws"].AwsError, match="no such list"):
        run("ec2_prefix_list_info", "ec2", name="none")


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_address_for_a_host_without_rights_is_the_regions_own_and_signed_for_nothing_that_a_client_adds(
    modules: dict[str, ModuleType], aws: Aws, method: str
) -> None:
    module = modules["s3_presigned_url"]
    s3 = boto3.client("s3", region_name="eu-west-1", config=module.CONFIG)
    given = {"bucket": "shop-move-1", "object": "rows.sql.gz", "method": method, "expires": 600}
    address = urlsplit(module.work(s3, given, None)["url"])

    assert (address.netloc, address.path) == ("shop-move-1.s3.eu-west-1.amazonaws.com", "/rows.sql.gz")
    assert parse_qs(address.query)["X-Amz-SignedHeaders"] == ["host"]
    assert parse_qs(address.query)["X-Amz-Expires"] == ["600"]
