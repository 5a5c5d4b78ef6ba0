"""Numbers and texts of one variable alone: what AWS, or its published schema, takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from checks import published
from checks.variables import Problem, Rules, nearest

# The least and the most, what is counted, and where AWS says so.
RANGES: dict[str, tuple[float, float, str, str]] = {
    "aws_data_backup_days": (1, 35, "days", "RDS, CreateDBInstance; 0 would keep no backup"),
    "aws_data_storage_gib": (20, 65536, "GiB", "RDS, CreateDBInstance, gp3"),
    "aws_edge_access_logs_days": (0, 3650, "days", "S3, lifecycle rules"),
    "aws_edge_certificate_timeout": (60, 72 * 3600, "seconds", "ACM gives up after 72 hours"),
    "aws_edge_deregistration_delay": (0, 3600, "seconds", "Elastic Load Balancing, target group attributes"),
    "aws_edge_idle_timeout": (1, 4000, "seconds", "Elastic Load Balancing, load balancer attributes"),
    "aws_fleet_checkpoint_seconds": (0, 172800, "seconds", "EC2 Auto Scaling, StartInstanceRefresh"),
    "aws_fleet_cpu_target": (10, 90, "percent", "a group is scaled before it is busy, and not when it is idle"),
    "aws_fleet_drain_seconds": (30, 7200, "seconds", "EC2 Auto Scaling, PutLifecycleHook"),
    "aws_fleet_max_lifetime_days": (0, 365, "days", "EC2 Auto Scaling, maximum instance lifetime; 0 for none"),
    "aws_fleet_min_size": (0, 1000, "instances", "EC2 Auto Scaling, CreateAutoScalingGroup"),
    "aws_fleet_requests_target": (1, 10**6, "requests", "EC2 Auto Scaling, PutScalingPolicy"),
    "aws_fleet_root_gib": (8, 16384, "GiB", "EC2, gp3, and the size of Ubuntu's AMI"),
    "aws_fleet_smoke_delay": (0, 300, "seconds", "the front door is asked six times"),
    "aws_fleet_warm_pool": (0, 1000, "instances", "EC2 Auto Scaling, PutWarmPool"),
    "aws_fleet_warmup_seconds": (1, 3600, "seconds", "0 would count an instance that has not booted"),
    "aws_wait_delay": (0.1, 300, "seconds", "AWS slows down who asks more often"),
    "aws_watch_database_connections": (1, 16000, "connections", "RDS, max_connections"),
    "aws_watch_database_free_gib": (1, 65536, "GiB", "0 is when it is too late"),
    "aws_watch_error_percent": (1, 100, "percent", "CloudWatch, PutMetricAlarm"),
    "aws_watch_latency_seconds": (0.01, 60, "seconds", "CloudWatch, PutMetricAlarm"),
}
# Properties of AWS's own schemas that a variable becomes.
SCHEMAS: dict[str, tuple[str, ...]] = {
    "aws_edge_app_port": ("AWS::ElasticLoadBalancingV2::TargetGroup", "properties", "Port"),
    "aws_edge_health_path": ("AWS::ElasticLoadBalancingV2::TargetGroup", "properties", "HealthCheckPath"),
    "aws_edge_waf_login_limit": ("AWS::WAFv2::WebACL", "definitions", "RateLimit"),
    "aws_log_group": ("AWS::Logs::LogGroup", "properties", "LogGroupName"),
    "aws_watch_log_days": ("AWS::Logs::LogGroup", "properties", "RetentionInDays"),
}
# Texts: the whole pattern, the rule that it stands for, and the mend. An empty text stands for none.
PATTERNS: dict[str, tuple[str, str, str]] = {
    "aws_data_restore_snapshot": (
        r"(?!.*--)(rds:)?[A-Za-z][A-Za-z0-9-]{0,253}[A-Za-z0-9]|arn:aws[a-z-]*:rds:[a-z0-9-]+:\d{12}:snapshot:.+",
        "must be the name or the ARN of a snapshot of RDS",
        "List them: aws rds describe-db-snapshots.",
    ),
    "aws_data_database_name": (
        r"[A-Za-z][A-Za-z0-9_]{0,63}",
        "must begin with a letter and have up to 64 letters, digits and _ (RDS, CreateDBInstance)",
        "Take - out of it, e.g. bookstore.",
    ),
    "aws_data_master_user": (
        r"[A-Za-z][A-Za-z0-9_]{0,15}",
        "must begin with a letter and have up to 16 letters, digits and _ (RDS, CreateDBInstance)",
        "Write e.g. bookstore_admin.",
    ),
    "aws_fleet_image": (
        r"ami-([0-9a-f]{8}|[0-9a-f]{17})",
        "must be the id of an AMI",
        "Write it as playbooks/bake.yml prints it, e.g. ami-0123456789abcdef0; leave it empty for the newest good one.",
    ),
    "aws_fleet_key_name": (
        r"[\x20-\x7e]{1,255}",
        "must be the name of a key pair",
        "List them: aws ec2 describe-key-pairs.",
    ),
    "aws_identity_instance_profile": (
        r"[\w+=,.@-]{1,128}",
        "must be the name of an instance profile, not an ARN or a path",
        "Write what is behind the last /, e.g. LabInstanceProfile.",
    ),
    "aws_identity_permissions_boundary": (
        r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+",
        "must be the ARN of a policy",
        "Write e.g. arn:aws:iam::123456789012:policy/boundary.",
    ),
    "aws_secrets_database_user": (
        r"[A-Za-z][A-Za-z0-9_]{0,31}",
        "must begin with a letter and have up to 32 letters, digits and _ (MySQL, user names)",
        "Write e.g. bookstore.",
    ),
    "aws_watch_email": (
        r"[^@\s,;]+@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}",
        "must be one mail address",
        "Write e.g. you@example.com; for several people, a list's address.",
    ),
}

rule = Rules()


def within(name: str, value: Any) -> Iterator[Problem]:
    """A number that AWS takes."""
    least, most, unit, source = RANGES[name]
    if not least <= float(value) <= most:
        mend = f"Set it to {least if float(value) < least else most}, or between."
        yield Problem(name, f"must be {least} to {most} {unit} ({source})", mend)


def as_published(name: str, value: Any, region: str) -> Iterator[Problem]:
    """A value that the schema of what it becomes allows."""
    kind, *path = SCHEMAS[name]
    allowed = published.schema(region, kind, *path)
    source = f"AWS's schema of {kind}, {path[-1]}"
    if "enum" in allowed:
        choices = allowed["enum"]
        if str(value) not in map(str, choices):
            near = nearest(value, choices)
            yield Problem(name, f"must be one of {', '.join(map(str, choices))} ({source})", f"Set it to {near}.")
    elif "pattern" in allowed and not re.search(allowed["pattern"], value):
        yield Problem(name, f"must match {allowed['pattern']} ({source})", "Write it so.")
    elif "minimum" in allowed and not allowed["minimum"] <= int(value) <= allowed["maximum"]:
        limits = f"{allowed['minimum']} to {allowed['maximum']}"
        yield Problem(name, f"must be {limits} ({source})", "Set it to one of these.")
    elif "maxLength" in allowed and len(str(value)) > allowed["maxLength"]:
        yield Problem(name, f"must have {allowed['maxLength']} characters at most ({source})", "Shorten it.")


def matches(name: str, value: str) -> Iterator[Problem]:
    """A text of the right form, or none."""
    pattern, must, mend = PATTERNS[name]
    if value and not re.fullmatch(pattern, value):
        yield Problem(name, must, mend)


for _name in RANGES:
    rule(_name)(partial(within, _name))
for _name in SCHEMAS:
    rule(_name, "aws_region")(partial(as_published, _name))
for _name in PATTERNS:
    rule(_name)(partial(matches, _name))
