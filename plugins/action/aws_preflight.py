"""Checks an environment's variables for AWS on the controller, before any call is made.

::

    aws_preflight:
      roles: [aws-network, aws-data, aws-secrets, aws-identity, aws-edge, aws-watch, aws-fleet]

It asks what plugins/checks/variables.py asks of every environment, and the rules below: what AWS would refuse after
minutes, or take and then fail with, is refused here. Versions, classes and types are those that AWS publishes.
"""

from __future__ import annotations

import datetime
import difflib
import ipaddress
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

# Ansible loads this file by its path and knows no packages of a repository's: these, and the store.
sys.path += map(str, Path(__file__).resolve().parents[1:3])
from checks import published
from checks.store import (
    NGINX_KEEPALIVE_TIMEOUT,
    STORE_GRACEFUL_TIMEOUT,
    STORE_HEALTH_PATH,
    STORE_LOGIN_PATH,
    STORE_OWN_SECRETS,
    STORE_UID,
)
from checks.variables import HOST_NAME, Preflight, Problem, Rules, Specification, is_public, network_exists, wide

ENGINE = "mysql"
# What the store is tested with.
ENGINE_SERIES = "8.4."
# Seconds from the start of an instance to its first good answer, at most: half for EC2's own start, half for the boot
# unit with a database or covers that are late (bench/boot.py measures the unit alone).
BOOT_BUDGET = 180
# A load balancer's and a target group's names have 32 characters at most, and are the environment's; a bucket's 63,
# and is "<environment>-logs-<account, 12>-<region>". 24 leaves 20 for the region.
ENVIRONMENT_LENGTH = 24
# In these Docker puts containers (its first two default address pools); the instances could not reach what is there.
DOCKER_NETWORKS = ("172.17.0.0/16", "172.18.0.0/16")
# RFC 1918.
PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
# TLS 1.2 or newer, and with forward secrecy (Elastic Load Balancing, "Security policies for your Application Load
# Balancer"). AWS publishes no schema of them.
TLS_POLICIES = (
    "ELBSecurityPolicy-FS-1-2-2019-08",
    "ELBSecurityPolicy-FS-1-2-Res-2019-08",
    "ELBSecurityPolicy-FS-1-2-Res-2020-10",
    "ELBSecurityPolicy-TLS13-1-2-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04",
    "ELBSecurityPolicy-TLS13-1-2-FIPS-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-2-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-Res-FIPS-2023-04",
    "ELBSecurityPolicy-TLS13-1-2-Res-FIPS-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-3-2021-06",
    "ELBSecurityPolicy-TLS13-1-3-FIPS-2023-04",
    "ELBSecurityPolicy-TLS13-1-3-FIPS-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-3-PQ-2025-09",
)
# Names that MySQL, RDS and the roles have taken (RDS user guide, "Master user account privileges"; MySQL manual,
# "Reserved accounts" and "The mysql system schema").
TAKEN_USERS = ("mysql", "rdsadmin", "rdsrepladmin", "rdsproxyadmin", "root")
TAKEN_DATABASES = ("information_schema", "innodb", "mysql", "performance_schema", "sys", "tmp")
# What the roles make; a region that lacks one is of no use.
KINDS = (
    "AWS::AutoScaling::AutoScalingGroup",
    "AWS::EC2::LaunchTemplate",
    "AWS::EFS::FileSystem",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::RDS::DBInstance",
    "AWS::SecretsManager::Secret",
)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEK = 7 * 24 * 60

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


# Rules of many variables alike.


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


# The environment.


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


# The network.


@rule("aws_network_zones", "aws_region")
def zones(names: list[str], region: str) -> Iterator[Problem]:
    """A load balancer and a database's subnet group need two zones."""
    for zone in names:
        if not re.fullmatch(rf"{re.escape(region)}[a-z]", zone):
            mend = f"Write e.g. {region}a."
            yield Problem("aws_network_zones", f"must be zones of {region} (aws_region)", mend, zone)
    if len(set(names)) != len(names):
        yield Problem("aws_network_zones", "must have each zone once", "Remove one.")
    elif not 2 <= len(names) <= 3:
        yield Problem(
            "aws_network_zones",
            "must be two or three: a load balancer and a database need subnets in two zones",
            f"Write e.g. [{region}a, {region}b].",
        )


@rule("aws_network_cidr", "aws_network_vpc")
def cidr(network: str, vpc: str) -> Iterator[Problem]:
    """Room for the subnets, and no address that is somebody else's."""
    if vpc != "own":
        return
    bad = list(network_exists("aws_network_cidr", network))
    yield from bad
    if bad:
        return
    mine = ipaddress.ip_network(network)
    if mine.version != 4 or not 16 <= mine.prefixlen <= 19:
        yield Problem("aws_network_cidr", "must be an IPv4 network from /16 to /19", "Write e.g. 10.20.0.0/16.")
    elif not any(mine.subnet_of(ipaddress.ip_network(private)) for private in PRIVATE_NETWORKS):  # type: ignore[arg-type]
        yield Problem(
            "aws_network_cidr",
            "must be of private addresses (RFC 1918): else the instances cannot reach whose it is",
            "Write e.g. 10.20.0.0/16.",
        )
    for docker in DOCKER_NETWORKS:
        if mine.overlaps(ipaddress.ip_network(docker)):
            mend = "Write e.g. 10.20.0.0/16."
            yield Problem("aws_network_cidr", f"must not overlap {docker}, where Docker puts containers", mend)


@rule("aws_network_vpc", "aws_network_egress", "aws_network_nat_per_zone")
def nat(vpc: str, egress: str, per_zone: bool) -> Iterator[Problem]:
    """A choice without an effect misleads."""
    if per_zone and (vpc != "own" or egress != "nat"):
        yield Problem(
            "aws_network_nat_per_zone",
            "must be false without NAT gateways (aws_network_vpc: own and aws_network_egress: nat)",
            "Remove it, or set aws_network_egress to nat.",
        )


@rule("aws_network_vpc", "aws_network_egress", "aws_fleet_public_address")
def public_address(vpc: str, egress: str, public: bool) -> Iterator[Problem]:
    """An instance without a way out cannot read its secret."""
    needed = vpc == "default" or egress == "public"
    if bool(public) != needed:
        yield Problem(
            "aws_fleet_public_address",
            f"must be {str(needed).lower()} with aws_network_vpc: {vpc} and aws_network_egress: {egress}"
            + (
                ": instances would have no way out" if needed else ": the way out is another, and costs are for nothing"
            ),
            "Remove it, so that the wiring sets it.",
        )


@rule("aws_network_egress_ports")
def egress_ports(ports: list[int]) -> Iterator[Problem]:
    """What instances need to boot."""
    for port in ports:
        if not 1 <= int(port) <= 65535:
            yield Problem("aws_network_egress_ports", "has a port that does not exist", "Ports are 1 to 65535.", port)
        if int(port) == 25:
            mend = "Use your mail provider's port 587 or 465."
            yield Problem("aws_network_egress_ports", "must not have 25, which AWS blocks by default", mend, port)
    if 443 not in map(int, ports):
        yield Problem("aws_network_egress_ports", "must have 443: secrets and covers come that way", "Add 443.")


@rule("aws_network_ssh_networks", "aws_fleet_key_name")
def ssh(networks: list[str], key: str) -> Iterator[Problem]:
    """Session Manager needs none; who wants SSH needs both."""
    for network in networks:
        bad = list(network_exists("aws_network_ssh_networks", network))
        yield from bad
        if not bad and wide(network):
            mend = "Name your own networks, or use Session Manager, which needs none."
            yield Problem("aws_network_ssh_networks", "must not admit everybody to SSH", mend, network)
    if networks and not key:
        yield Problem(
            "aws_network_ssh_networks",
            "must be empty without aws_fleet_key_name: nobody could log in",
            "Set aws_fleet_key_name, or use Session Manager.",
        )
    if key and not networks:
        yield Problem(
            "aws_fleet_key_name",
            "must be empty without aws_network_ssh_networks: no security group would let it in",
            "Name your networks there, or use Session Manager.",
        )


@rule("aws_network_front", "aws_edge_tls")
def front(who: str, tls: str) -> Iterator[Problem]:
    """CloudFront's customers come by CloudFront alone; others come by themselves."""
    wanted = "cloudfront" if tls == "cloudfront" else "world"
    if who != wanted:
        yield Problem(
            "aws_network_front",
            f"must be {wanted} with aws_edge_tls: {tls}"
            + (": the load balancer could be reached past it" if wanted == "cloudfront" else ": nobody would get in"),
            "Remove it, so that the wiring sets it.",
        )


@rule("aws_network_app_port", "aws_edge_app_port")
def app_port(admitted: int, asked: int) -> Iterator[Problem]:
    """The security group admits the port that the target group asks."""
    if int(admitted) != int(asked):
        yield Problem(
            "aws_edge_app_port",
            f"must be the port that the instances' security group admits (aws_network_app_port: {admitted})",
            "Set both to the same.",
        )


# The database and the covers.


@rule("aws_data_engine_version")
def engine_version(version: str) -> Iterator[Problem]:
    """A version that RDS has, of the series that the store is tested with."""
    able = [known for known in published.database_versions(ENGINE) if known.startswith(ENGINE_SERIES)]
    if version not in able:
        newest = max(able, key=lambda known: [int(part) for part in known.split(".")])
        yield Problem(
            "aws_data_engine_version",
            f"must be a version of MySQL {ENGINE_SERIES.rstrip('.')} that RDS has",
            f"Write one of {', '.join(able)}; the newest is {newest}.",
        )


@rule("aws_data_instance_class", "aws_data_engine_version", "aws_region")
def instance_class(kind: str, version: str, region: str) -> Iterator[Problem]:
    """A class that RDS offers for MySQL there."""
    able = published.database_classes(region, ENGINE, version)
    if able and kind not in able:
        yield Problem(
            "aws_data_instance_class",
            f"must be a class that RDS has for MySQL {version} in {region}",
            f"Did you mean {nearest(kind if kind.startswith('db.') else f'db.{kind}', able)}?",
        )


@rule("aws_data_storage_gib", "aws_data_storage_max_gib")
def storage(first: int, most: int) -> Iterator[Problem]:
    """RDS grows storage by a tenth at least."""
    if int(most) * 10 < int(first) * 11 or int(most) > 65536:
        yield Problem(
            "aws_data_storage_max_gib",
            f"must be a tenth or more above aws_data_storage_gib ({first}), 65536 at most (RDS, storage autoscaling)",
            f"Set it to {min(65536, max(int(first) * 2, 100))}.",
        )


@rule("aws_data_storage_gib", "aws_watch_database_free_gib")
def storage_alarm(first: int, free: int) -> Iterator[Problem]:
    """An alarm that is on from the beginning is soon ignored."""
    if int(free) >= int(first):
        yield Problem(
            "aws_watch_database_free_gib",
            f"must be below aws_data_storage_gib ({first}), or the alarm is raised at once",
            f"Set it to {max(1, int(first) // 5)}.",
        )


@rule("aws_data_database_name")
def database_name(name: str) -> Iterator[Problem]:
    """RDS would refuse it after the network is made."""
    if reserved(name) or name.lower() in TAKEN_DATABASES:
        yield Problem("aws_data_database_name", "must not be a word that MySQL reserves", "Write e.g. bookstore.")


@rule("aws_data_master_user", "aws_secrets_database_user")
def database_users(master: str, store: str) -> Iterator[Problem]:
    """Two users: one that makes the schema, one for the store."""
    for name, user in (("aws_data_master_user", master), ("aws_secrets_database_user", store)):
        if reserved(user) or user.lower() in TAKEN_USERS:
            yield Problem(name, "must not be a name that MySQL or RDS keeps for itself", "Write e.g. bookstore_admin.")
    if master == store:
        yield Problem(
            "aws_secrets_database_user",
            "must not be the master user: the store would have all rights",
            "Write e.g. bookstore.",
        )


@rule("aws_data_parameters")
def parameters(values: dict[str, Any]) -> Iterator[Problem]:
    """TLS is not a matter of choice."""
    if str(values.get("require_secure_transport", "")).lower() not in ("1", "on"):
        yield Problem(
            "aws_data_parameters",
            'must have require_secure_transport: "1", or passwords could pass in clear text',
            'Add require_secure_transport: "1": the variable replaces the default as a whole.',
        )
    for name, value in values.items():
        if not isinstance(value, str | int) or isinstance(value, bool):
            mend = f'Write "{int(value) if isinstance(value, bool) else value}" in quotes.'
            yield Problem("aws_data_parameters", f"must have a text or a number for {name}", mend, value)


@rule("aws_data_backup_window", "aws_data_maintenance_window")
def windows(backup: str, maintenance: str) -> Iterator[Problem]:
    """RDS takes no window below half an hour, and none that meets the other."""
    clock = r"([01]\d|2[0-3]):([0-5]\d)"
    daily = re.fullmatch(rf"{clock}-{clock}", str(backup))
    days = f"({'|'.join(DAYS)})"
    weekly = re.fullmatch(rf"{days}:{clock}-{days}:{clock}", str(maintenance))
    if not daily:
        yield Problem("aws_data_backup_window", "must be hh:mm-hh:mm (UTC)", 'Write e.g. "03:00-04:00", in quotes.')
    if not weekly:
        mend = 'Write e.g. "sun:04:30-sun:05:30", in quotes.'
        yield Problem("aws_data_maintenance_window", "must be ddd:hh:mm-ddd:hh:mm (UTC), days as mon, tue, wed", mend)
    saved, patched = [], 0
    if daily:
        start, end = minutes(*daily.groups()[:2]), minutes(*daily.groups()[2:])
        length = (end - start) % (24 * 60)
        saved = [(day * 24 * 60 + start, length) for day in range(7)]
        if length < 30:
            yield Problem("aws_data_backup_window", "must be 30 minutes or longer", "Write e.g. 03:00-04:00.")
    if weekly:
        first, *begin, last, hour, minute = weekly.groups()
        start = DAYS.index(first) * 24 * 60 + minutes(*begin)
        patched = (DAYS.index(last) * 24 * 60 + minutes(hour, minute) - start) % WEEK
        if not 30 <= patched < 24 * 60:
            yield Problem(
                "aws_data_maintenance_window", "must be 30 minutes to below 24 hours", "Write e.g. sun:04:30-sun:05:30."
            )
        if any((other - start) % WEEK < patched or (start - other) % WEEK < length for other, length in saved):
            yield Problem(
                "aws_data_maintenance_window",
                f"must not meet aws_data_backup_window ({backup})",
                "Begin it after the backup's end.",
            )


@rule("aws_data_covers_uid")
def covers_uid(uid: int) -> Iterator[Problem]:
    """The access point makes everything theirs."""
    if int(uid) != STORE_UID:
        yield Problem(
            "aws_data_covers_uid",
            f"must be {STORE_UID}, the user of the store's image: covers belong to it",
            f"Remove it, or set it to {STORE_UID}.",
        )


# Secrets and rights.


@rule("aws_secrets_recovery_days")
def recovery_days(days: int) -> Iterator[Problem]:
    """Secrets Manager's own limits."""
    if int(days) and not 7 <= int(days) <= 30:
        mend = "Set it to 7, or to 0."
        yield Problem("aws_secrets_recovery_days", "must be 7 to 30, or 0 (Secrets Manager, DeleteSecret)", mend)


@rule("aws_secrets_given")
def secrets_given(given: dict[str, Any]) -> Iterator[Problem]:
    """Lines of the store's environment."""
    for name, value in given.items():
        if name in STORE_OWN_SECRETS:
            mend = "Remove it: it is generated."
            yield Problem("aws_secrets_given", f"must not have {name}, which the role makes", mend, name)
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) or not isinstance(value, str) or "\n" in value:
            mend = "Use upper case, digits and _ for the name, and a text without a line break."
            yield Problem("aws_secrets_given", "must be the store's variables, of one line each", mend, name)
    if sum(len(name) + len(str(value)) + 8 for name, value in given.items()) > 60000:
        yield Problem("aws_secrets_given", "must fit a secret of 65536 bytes", "Shorten it.", len(given))


@rule("aws_identity_instance_profile", "aws_identity_permissions_boundary")
def boundary(profile: str, policy: str) -> Iterator[Problem]:
    """With an existing profile no role is made."""
    if profile and policy:
        yield Problem(
            "aws_identity_permissions_boundary",
            "must be empty with aws_identity_instance_profile: no role is made that it could limit",
            "Remove one of the two.",
        )


# The front door.


@rule("aws_edge_tls", "aws_edge_domain", "aws_edge_zone")
def domain(tls: str, name: str, zone: str) -> Iterator[Problem]:
    """A name that a certificate can be had for, and that can point here."""
    if tls == "cloudfront":
        for variable, value in (("aws_edge_domain", name), ("aws_edge_zone", zone)):
            if value:
                yield Problem(
                    variable,
                    "must be empty with aws_edge_tls: cloudfront: its certificate is for its own name alone",
                    "Remove it, or set aws_edge_tls to acm.",
                )
        return
    needed = [("aws_edge_domain", name)] + ([("aws_edge_zone", zone)] if tls == "acm" else [])
    for variable, value in needed:
        if not value:
            yield Problem(
                variable, f"must be set with aws_edge_tls: {tls}", "Set it, e.g. books.example.com in example.com."
            )
    for variable, value in (("aws_edge_domain", name), ("aws_edge_zone", zone)):
        if value and not HOST_NAME.fullmatch(value):
            mend = "Write the name alone: no https://, no port, no path, no *., no dot at its end."
            yield Problem(variable, "must be a host name in lower case", mend)
        elif value and tls == "acm" and not is_public(value):
            yield Problem(variable, "must be a name in the public DNS: AWS issues for no other", "Use your own domain.")
    if len(name) > 64:
        mend = "Choose a shorter name."
        yield Problem("aws_edge_domain", "must have 64 characters at most (ACM, RequestCertificate)", mend)
    if name and zone and name != zone and not name.endswith(f".{zone}"):
        yield Problem(
            "aws_edge_domain",
            f"must lie in its zone (aws_edge_zone: {zone})",
            f"Write {name.partition('.')[0]}.{zone}, or name the zone that it is in.",
        )
    if tls == "imported" and not zone and name.count(".") == 1:
        yield Problem(
            "aws_edge_domain",
            "must not be a zone's apex without aws_edge_zone: DNS allows no CNAME there (RFC 1034), and a load "
            "balancer has no fixed address",
            f"Use a name below it, e.g. www.{name}, or keep the zone in Route 53 and set aws_edge_zone.",
        )


@rule(
    "aws_edge_tls",
    "aws_edge_domain",
    "aws_edge_certificate_file",
    "aws_edge_certificate_key_file",
    "aws_edge_certificate_chain_file",
)
def certificate(tls: str, name: str, leaf: str, key: str, chain: str) -> Iterator[Problem]:
    """What ACM would refuse to import, or browsers to believe."""
    given = {
        "aws_edge_certificate_file": leaf,
        "aws_edge_certificate_key_file": key,
        "aws_edge_certificate_chain_file": chain,
    }
    if tls != "imported":
        for variable, path in given.items():
            if path:
                yield Problem(variable, f"must be empty with aws_edge_tls: {tls}", "Remove it, or use imported.")
        return
    content = {}
    for variable, path in given.items():
        if not path and variable != "aws_edge_certificate_chain_file":
            yield Problem(variable, "must be set with aws_edge_tls: imported", "Name a file in PEM.")
        elif path and not Path(path).is_absolute():
            mend = f'Write e.g. "{{{{ inventory_dir }}}}/{path}".'
            yield Problem(variable, "must be a whole path: Ansible looks for others in many places", mend)
        elif path and not Path(path).is_file():
            yield Problem(variable, "must be a file on this machine", "Correct the path.")
        elif path:
            content[variable] = Path(path).read_bytes()
    try:
        leaves = x509.load_pem_x509_certificates(content["aws_edge_certificate_file"])
    except KeyError:
        return
    except ValueError:
        yield Problem(
            "aws_edge_certificate_file", "must be a certificate in PEM", "It begins with -----BEGIN CERTIFICATE."
        )
        return
    yield from leaf_certificate(leaves, name)
    if "aws_edge_certificate_chain_file" in content:
        yield from chain_certificates(leaves[0], content["aws_edge_certificate_chain_file"])
    if "aws_edge_certificate_key_file" in content:
        yield from private_key(leaves[0], content["aws_edge_certificate_key_file"])


def leaf_certificate(leaves: Sequence[x509.Certificate], domain_name: str) -> Iterator[Problem]:
    """One certificate, for the domain, of a kind that load balancers take, and not expired."""
    variable, first = "aws_edge_certificate_file", leaves[0]
    if len(leaves) > 1:
        mend = "Put the others into aws_edge_certificate_chain_file."
        yield Problem(variable, f"must have one certificate, not {len(leaves)} (ACM, ImportCertificate)", mend)
    now = datetime.datetime.now(datetime.UTC)
    if not first.not_valid_before_utc <= now < first.not_valid_after_utc:
        ends = f"{first.not_valid_before_utc:%Y-%m-%d} to {first.not_valid_after_utc:%Y-%m-%d}"
        yield Problem(variable, f"must be valid now; it is valid from {ends}", "Renew it.")
    try:
        names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    except x509.ExtensionNotFound:
        names = []
    if domain_name and domain_name not in names and f"*.{domain_name.partition('.')[2]}" not in names:
        told = ", ".join(names) or "no name"
        yield Problem(
            variable,
            f"must be for {domain_name} (aws_edge_domain); it is for {told}",
            "Correct aws_edge_domain, or get a certificate for it.",
        )
    public = first.public_key()
    strong = (isinstance(public, rsa.RSAPublicKey) and 2048 <= public.key_size <= 4096) or (
        isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in ("secp256r1", "secp384r1")
    )
    if not strong:
        yield Problem(
            variable,
            "must have a key of RSA with 2048 to 4096 bits, or of the curve P-256 or P-384 (Elastic Load Balancing, "
            "HTTPS listeners)",
            "Have it issued for such a key.",
        )


def chain_certificates(first: x509.Certificate, text: bytes) -> Iterator[Problem]:
    """Each is issued by the one after it."""
    variable = "aws_edge_certificate_chain_file"
    try:
        path = [first, *x509.load_pem_x509_certificates(text)]
    except ValueError:
        yield Problem(variable, "must be certificates in PEM", "Each begins with -----BEGIN CERTIFICATE.")
        return
    for lower, upper in pairwise(path):
        if lower.issuer != upper.subject:
            yield Problem(
                variable,
                f"must lead from the certificate upwards: {upper.subject.rfc4514_string()} has not issued "
                f"{lower.subject.rfc4514_string()}",
                "Order it, without the certificate itself.",
            )
            return


def private_key(first: x509.Certificate, text: bytes) -> Iterator[Problem]:
    """The certificate's own, without a password."""
    variable = "aws_edge_certificate_key_file"
    try:
        key = load_pem_private_key(text, None)
    except TypeError:
        yield Problem(
            variable, "must have no password (ACM, ImportCertificate)", "Take it off: openssl pkey -in … -out …"
        )
        return
    except (ValueError, UnsupportedAlgorithm):
        yield Problem(variable, "must be a private key in PEM", "It begins with -----BEGIN PRIVATE KEY.")
        return

    def shape(public: Any) -> bytes:
        encoded: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return encoded

    if shape(key.public_key()) != shape(first.public_key()):
        yield Problem(variable, "must be the key of aws_edge_certificate_file", "Name the key that belongs to it.")


@rule("aws_edge_tls_policy")
def tls_policy(name: str) -> Iterator[Problem]:
    """TLS 1.2 at least."""
    if name not in TLS_POLICIES:
        yield Problem(
            "aws_edge_tls_policy",
            "must be one of AWS's policies with TLS 1.2 or newer and forward secrecy",
            f"Did you mean {nearest(name, TLS_POLICIES)}? All are: {', '.join(TLS_POLICIES)}.",
        )


@rule("aws_edge_health_path")
def health_path(path: str) -> Iterator[Problem]:
    """What the store answers without a Host header, the database looked at."""
    if path != STORE_HEALTH_PATH:
        yield Problem(
            "aws_edge_health_path",
            f"must be {STORE_HEALTH_PATH}: a load balancer asks by address, and the store answers only that so",
            f"Remove it, or set it to {STORE_HEALTH_PATH}.",
        )


@rule("aws_edge_waf_login_path", "aws_edge_waf")
def login_path(path: str, waf: bool) -> Iterator[Problem]:
    """A limit on a path that nobody asks for limits nobody."""
    if waf and path != STORE_LOGIN_PATH:
        mend = f"Remove it, or set it to {STORE_LOGIN_PATH}."
        yield Problem("aws_edge_waf_login_path", f"must be {STORE_LOGIN_PATH}, the store's form", mend)


@rule("aws_edge_idle_timeout")
def idle_timeout(seconds: int) -> Iterator[Problem]:
    """The load balancer must be the one that closes."""
    if int(seconds) >= NGINX_KEEPALIVE_TIMEOUT:
        yield Problem(
            "aws_edge_idle_timeout",
            f"must be below the {NGINX_KEEPALIVE_TIMEOUT} s for which nginx keeps a connection, or visitors get 502 "
            "now and then",
            "Set it to 60.",
        )


@rule("aws_edge_deregistration_delay")
def deregistration_delay(seconds: int) -> Iterator[Problem]:
    """The store must have finished before it is left."""
    if int(seconds) <= STORE_GRACEFUL_TIMEOUT:
        yield Problem(
            "aws_edge_deregistration_delay",
            f"must be above the {STORE_GRACEFUL_TIMEOUT} s that the store takes to finish its requests",
            "Set it to 60.",
        )


# The fleet.


@rule("aws_fleet_instance_type", "aws_region")
def instance_type(kind: str, region: str) -> Iterator[Problem]:
    """A type that EC2 has there, of the golden image's architecture."""
    able = published.instance_types(region)
    if kind not in able:
        yield Problem(
            "aws_fleet_instance_type",
            f"must be a type that EC2 has in {region}",
            f"Did you mean {nearest(kind, able)}?",
        )
    elif is_arm(kind):
        amd = re.sub(r"^([a-z]+\d+)g", r"\1", kind)
        yield Problem(
            "aws_fleet_instance_type",
            "must be of the golden image's architecture, x86_64; this type is arm64 (AWS Graviton)",
            f"Use {nearest(amd, [other for other in able if not is_arm(other)])}.",
        )
    elif kind.startswith("mac"):
        yield Problem("aws_fleet_instance_type", "must not need a dedicated host", "Use e.g. t3.small.")


@rule("aws_fleet_min_size", "aws_fleet_max_size", "aws_fleet_warm_pool")
def sizes(least: int, most: int, pool: int) -> Iterator[Problem]:
    """A refresh starts the new instance before it ends the old one. Asleep, a group has none."""
    if int(least) == int(most) == 0:
        return
    if int(least) == 0:
        yield Problem(
            "aws_fleet_min_size",
            "must be 1 or more: without an instance there is no store, and no request that would start one",
            "Set it to 2; to put the store to sleep, set aws_fleet_max_size to 0 too.",
        )
    elif int(most) <= int(least):
        yield Problem(
            "aws_fleet_max_size",
            f"must be above aws_fleet_min_size ({least}), so that a release and the scaling have room",
            f"Set it to {int(least) + 1} or more.",
        )
    elif int(pool) > int(most):
        yield Problem(
            "aws_fleet_warm_pool",
            f"must not be above aws_fleet_max_size ({most}): more could never be used",
            f"Set it to {int(most) - int(least)} or less.",
        )


@rule("aws_fleet_grace_seconds", "aws_fleet_warmup_seconds", "aws_fleet_timeout")
def grace(seconds: int, warmup: int, timeout: int) -> Iterator[Problem]:
    """An instance that is judged before it has booted is replaced for ever."""
    if int(seconds) <= BOOT_BUDGET:
        yield Problem(
            "aws_fleet_grace_seconds",
            f"must be above the {BOOT_BUDGET} s that an instance may take to boot, or it is ended while it boots",
            "Set it to 300.",
        )
    if int(timeout) <= (together := int(seconds) + int(warmup)):
        yield Problem(
            "aws_fleet_timeout",
            f"must be above aws_fleet_grace_seconds and aws_fleet_warmup_seconds together ({together} s), or a good "
            "release is given up",
            "Set it to 3600.",
        )


@rule("aws_fleet_drain_seconds", "aws_edge_deregistration_delay")
def drain(seconds: int, delay: int) -> Iterator[Problem]:
    """An instance is kept until the load balancer has let it go."""
    if int(seconds) <= int(delay):
        yield Problem(
            "aws_fleet_drain_seconds",
            f"must be above aws_edge_deregistration_delay ({delay} s), or last requests are cut off",
            f"Set it to {int(delay) + 30}.",
        )


@rule("aws_fleet_checkpoints", "aws_fleet_checkpoint_seconds", "aws_fleet_timeout")
def checkpoints(percentages: list[int], pause: int, timeout: int) -> Iterator[Problem]:
    """As StartInstanceRefresh asks."""
    numbers = [int(number) for number in percentages]
    if numbers and (numbers != sorted(set(numbers)) or numbers[-1] != 100 or numbers[0] < 1):
        yield Problem(
            "aws_fleet_checkpoints",
            "must rise from 1 or more to 100: after the last one the rest is not replaced (EC2 Auto Scaling, "
            "StartInstanceRefresh)",
            "Write e.g. [50, 100].",
        )
    elif len(numbers) * int(pause) >= int(timeout):
        yield Problem(
            "aws_fleet_timeout",
            f"must be above the pauses at the checkpoints ({len(numbers) * int(pause)} s)",
            "Raise it, or lower aws_fleet_checkpoint_seconds.",
        )


@rule("aws_fleet_refresh_alarms")
def refresh_alarms(names: list[str]) -> Iterator[Problem]:
    """As StartInstanceRefresh asks."""
    if len(names) > 10:
        mend = "Remove some, or use a composite alarm."
        yield Problem("aws_fleet_refresh_alarms", "must be 10 alarms at most (EC2 Auto Scaling)", mend, len(names))


@rule("aws_store_settings")
def store_settings(settings: dict[str, Any]) -> Iterator[Problem]:
    """They pass through user data, which everybody on an instance reads."""
    for name, value in settings.items():
        if re.search(r"PASS|SECRET|TOKEN|_KEY$", name):
            mend = "Put it into aws_secrets_given."
            yield Problem("aws_store_settings", "must not have a secret: user data is no place for one", mend, name)
        elif name.startswith("DB_") or name in ("STORE_URL", "TRUSTED_PROXY_COUNT"):
            yield Problem("aws_store_settings", f"must not have {name}, which is set by itself", "Remove it.", name)
        elif not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) or not isinstance(value, str) or "\n" in value:
            mend = "Use upper case, digits and _ for the name, and a text in quotes without a line break."
            yield Problem("aws_store_settings", "must be the store's variables, of one line each", mend, name)
    if sum(len(name) + len(str(value)) + 8 for name, value in settings.items()) > 12000:
        mend = "Move large ones into aws_secrets_given."
        yield Problem("aws_store_settings", "must fit user data, of 16384 bytes at most (EC2)", mend, len(settings))


@rule("aws_store_settings", "aws_secrets_given")
def store_accepts(settings: dict[str, str], given: dict[str, str]) -> Iterator[Problem]:
    """The store is asked itself: it would refuse to start."""
    from bookstore.config import ConfigError, load_config

    own = {
        "SECRET_KEY": token_hex(32),
        "DB_HOST": "x",
        "DB_USER": "x",
        "DB_NAME": "x",
        "STORE_URL": "https://x.example",
    }
    try:
        load_config({**own, **settings, **given})
    except ConfigError as error:
        mend = "Correct it there or in aws_secrets_given; docs/operations.md lists the settings."
        yield Problem("aws_store_settings", f"must be settings that the store starts with: {error}", mend, secret=True)


@rule("aws_store_settings", "aws_secrets_given", "aws_network_vpc", "aws_network_egress", "aws_network_egress_ports")
def ways_out(
    settings: dict[str, str], given: dict[str, str], vpc: str, egress: str, ports: list[int]
) -> Iterator[Problem]:
    """Mail and payments leave AWS's network."""
    port = int(settings.get("MAIL_PORT") or (465 if settings.get("MAIL_TLS") == "tls" else 587))
    mails, pays = bool(settings.get("MAIL_SERVER")), "STRIPE_SECRET_KEY" in given
    if mails and port not in map(int, ports):
        yield Problem(
            "aws_network_egress_ports",
            f"must have {port}, the mail server's port (MAIL_SERVER in aws_store_settings)",
            f"Write [{', '.join(map(str, [*ports, port]))}].",
        )
    if (mails or pays) and vpc == "own" and egress == "endpoints":
        yield Problem(
            "aws_network_egress",
            f"must not be endpoints with {'mail' if mails else 'card payments'}: they are none of AWS's services",
            "Set it to nat, or to public.",
        )


@rule("aws_fleet_user_data")
def user_data(values: dict[str, Any]) -> Iterator[Problem]:
    """Everybody on the instance, and who may describe it, reads it."""
    for name in values:
        if re.search(r"passw|secret(?!_arn)|token|private|credential", name, re.IGNORECASE):
            yield Problem(
                "aws_fleet_user_data",
                "must have names and ARNs only: user data is no place for a secret",
                "Put it into aws_secrets_given.",
                name,
            )


# What rules are made of.


def nearest(value: Any, choices: Sequence[Any]) -> Any:
    """The choice that was most likely meant."""
    if all(isinstance(choice, int) for choice in choices) and str(value).lstrip("-").isdigit():
        return min(choices, key=lambda choice: abs(choice - int(value)))
    return next(iter(difflib.get_close_matches(str(value), list(map(str, choices)), 1, 0.0)))


def is_arm(kind: str) -> bool:
    """Whether an instance type has AWS's Graviton: a g right behind the generation (EC2, instance type names)."""
    return bool(re.match(r"[a-z]+\d+g|a1\.", kind))


def reserved(word: str) -> bool:
    """Whether MySQL keeps a word for itself."""
    from sqlalchemy.dialects.mysql.reserved_words import RESERVED_WORDS_MYSQL

    return word.lower() in RESERVED_WORDS_MYSQL


def minutes(hour: str, minute: str) -> int:
    """Since midnight."""
    return int(hour) * 60 + int(minute)


class ActionModule(Preflight):
    """The action, for the one host from which AWS is asked."""

    rules = rule
    untouched = "Nothing was asked of AWS."

    def environment(self, roles: list[str]) -> Specification:
        """The same for all roles."""
        return ENVIRONMENT_SPEC

    def missing(self, groups: Mapping[str, list[str]]) -> list[str]:
        """Without an inventory there is no environment."""
        if "localhost" in groups.get("all", []):
            return []
        return [
            "localhost\n"
            "  rule   It must be in the inventory: an environment's variables are its own.\n"
            "  mend   Write the inventory as inventories/aws/hosts.yml is, and name it with -i."
        ]

    def wanted(self, groups: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """This machine, with all roles."""
        return {"localhost": self._task.args["roles"]}
