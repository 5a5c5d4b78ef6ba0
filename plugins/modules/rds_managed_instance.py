#!/usr/bin/python
"""Ansible module: an RDS instance whose master password RDS keeps in Secrets Manager."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.bookstore_aws import AwsError, Changes, code, missing, run, tag_dict, tag_list
from botocore.exceptions import ClientError

DOCUMENTATION = r"""
module: rds_managed_instance
short_description: An RDS instance for MySQL with a managed master password
description:
  - amazon.aws.rds_instance cannot let RDS manage the master password. This module makes such an instance, encrypted,
    on gp3 and never public, and brings one that is there to the given settings.
  - It does not wait until the instance is available; M(aws_wait) does, for several resources at once.
options:
  name: {type: str, required: true, description: Identifier of the instance.}
  state: {type: str, choices: [present, absent], default: present, description: Whether it exists.}
  engine_version: {type: str, description: Version of MySQL. A lower one than the instance has is left alone.}
  instance_class: {type: str, description: Class of the instance.}
  storage_gib: {type: int, description: Storage to begin with, in GiB. Never made smaller.}
  storage_max_gib: {type: int, description: How far RDS may grow it, in GiB.}
  multi_az: {type: bool, description: Whether there is a standby in a second zone.}
  database_name: {type: str, description: Database that is made with the instance.}
  master_user: {type: str, description: Name of the master user.}
  subnet_group: {type: str, description: Its subnet group.}
  security_groups: {type: list, elements: str, description: Its security groups.}
  parameter_group: {type: str, description: Its parameter group.}
  backup_days: {type: int, description: Days that automatic backups are kept.}
  backup_window: {type: str, description: When it is backed up (UTC).}
  maintenance_window: {type: str, description: When it may be patched (UTC).}
  deletion_protection: {type: bool, description: Whether AWS refuses to delete it.}
  restore_snapshot: {type: str, default: "", description: Snapshot that a new instance begins with.}
  final_snapshot: {type: str, default: "", description: Name of the last snapshot when it is deleted; empty for none.}
  tags: {type: dict, default: {}, description: Its tags. Others are left alone.}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Keep a database
  rds_managed_instance:
    name: bookstore
    engine_version: "8.4.7"
    instance_class: db.t4g.micro
    storage_gib: 20
    storage_max_gib: 100
    database_name: bookstore
    master_user: bookstore_admin
    subnet_group: bookstore
    security_groups: [sg-0123456789abcdef0]
    parameter_group: bookstore
"""
RETURN = r"""
instance:
  description: The instance; C(id), C(arn), C(status), C(host), C(master_secret_arn). Empty texts in check mode.
  type: dict
  returned: always
"""

# Option, RDS's name of the setting when it is made and changed, and its name in what RDS describes.
SETTINGS = {
    "instance_class": ("DBInstanceClass", "DBInstanceClass"),
    "storage_max_gib": ("MaxAllocatedStorage", "MaxAllocatedStorage"),
    "multi_az": ("MultiAZ", "MultiAZ"),
    "backup_days": ("BackupRetentionPeriod", "BackupRetentionPeriod"),
    "backup_window": ("PreferredBackupWindow", "PreferredBackupWindow"),
    "maintenance_window": ("PreferredMaintenanceWindow", "PreferredMaintenanceWindow"),
    "deletion_protection": ("DeletionProtection", "DeletionProtection"),
}
LOGS = ["error", "slowquery"]


def find(rds: Any, name: str) -> dict[str, Any] | None:
    """The instance as RDS describes it."""
    try:
        found: dict[str, Any] = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    except ClientError as error:
        if code(error) in ("DBInstanceNotFound", "DBInstanceNotFoundFault"):
            return None
        raise
    return found


def create(rds: Any, given: dict[str, Any]) -> None:
    """Start to make the instance, new or from a snapshot."""
    settings = {theirs: given[ours] for ours, (theirs, _) in SETTINGS.items() if given[ours] is not None}
    settings |= {
        "DBInstanceIdentifier": given["name"],
        "StorageType": "gp3",
        "PubliclyAccessible": False,
        "CopyTagsToSnapshot": True,
        "AutoMinorVersionUpgrade": True,
        "DBSubnetGroupName": given["subnet_group"],
        "VpcSecurityGroupIds": given["security_groups"],
        "DBParameterGroupName": given["parameter_group"],
        "EnableCloudwatchLogsExports": LOGS,
        "Tags": tag_list(given["tags"]),
    }
    if given["restore_snapshot"]:
        # RDS takes these for an instance that is there alone, and its master password too, but for Oracle's (RDS API:
        # RestoreDBInstanceFromDBSnapshot, ManageMasterUserPassword). Run again when it is there, this module sets them.
        for name in ("MaxAllocatedStorage", "PreferredMaintenanceWindow"):
            settings.pop(name, None)
        rds.restore_db_instance_from_db_snapshot(DBSnapshotIdentifier=given["restore_snapshot"], **settings)
        return
    rds.create_db_instance(
        Engine="mysql",
        EngineVersion=given["engine_version"],
        AllocatedStorage=given["storage_gib"],
        StorageEncrypted=True,
        MasterUsername=given["master_user"],
        ManageMasterUserPassword=True,
        DBName=given["database_name"],
        **settings,
    )


def converge(rds: Any, given: dict[str, Any], found: dict[str, Any], changes: Changes) -> None:
    """Change what differs; what needs a restart waits for the maintenance window."""
    name = given["name"]
    pending = found.get("PendingModifiedValues", {})
    change: dict[str, Any] = {}
    for ours, (theirs, described) in SETTINGS.items():
        if given[ours] is None:
            continue
        now = pending.get(described, found.get(described))
        if changes.differs(ours, now, given[ours]):
            change[theirs] = given[ours]
    version = pending.get("EngineVersion", found["EngineVersion"])
    if _newer(given["engine_version"], version) and changes.wanted("engine_version", version, given["engine_version"]):
        change["EngineVersion"] = given["engine_version"]
    if given["storage_gib"] > found["AllocatedStorage"] and changes.wanted(
        "storage_gib", found["AllocatedStorage"], given["storage_gib"]
    ):
        change["AllocatedStorage"] = given["storage_gib"]
    groups = sorted(group["VpcSecurityGroupId"] for group in found.get("VpcSecurityGroups", []))
    if changes.differs("security_groups", groups, sorted(given["security_groups"])):
        change["VpcSecurityGroupIds"] = given["security_groups"]
    # While it is being made RDS does not tell of the secret yet.
    by_hand = found["DBInstanceStatus"] == "available" and not found.get("MasterUserSecret")
    if by_hand and changes.wanted("master_secret", "by hand", "managed by RDS"):
        change["ManageMasterUserPassword"] = True
    if change:
        rds.modify_db_instance(DBInstanceIdentifier=name, ApplyImmediately=False, **change)
    new_tags = missing(given["tags"], tag_dict(found.get("TagList")))
    if new_tags and changes.wanted("tags", tag_dict(found.get("TagList")), given["tags"]):
        rds.add_tags_to_resource(ResourceName=found["DBInstanceArn"], Tags=tag_list(new_tags))


def _newer(wanted: str, present: str) -> bool:
    """Whether a version is above another. RDS upgrades minor versions by itself, so equal or lower is well."""
    return [int(part) for part in wanted.split(".")] > [int(part) for part in present.split(".")]


def delete(rds: Any, given: dict[str, Any], found: dict[str, Any]) -> None:
    """Start to delete the instance."""
    if found["DBInstanceStatus"] == "deleting":
        return
    if found["DBInstanceStatus"] == "creating" and given["final_snapshot"]:
        raise AwsError(
            "It is still being made, and AWS takes no last snapshot of it. Wait until it is available, or set "
            "aws_final_snapshot to false."
        )
    if found.get("DeletionProtection"):
        rds.modify_db_instance(DBInstanceIdentifier=given["name"], DeletionProtection=False, ApplyImmediately=True)
    keep = (
        {"FinalDBSnapshotIdentifier": given["final_snapshot"]}
        if given["final_snapshot"]
        else {"SkipFinalSnapshot": True}
    )
    rds.delete_db_instance(DBInstanceIdentifier=given["name"], DeleteAutomatedBackups=True, **keep)


def work(rds: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Bring the instance to its state and describe it."""
    name = given["name"]
    found = find(rds, name)
    if given["state"] == "absent":
        if found and changes.wanted("instance", name, None):
            delete(rds, given, found)
        return {"instance": {"id": name}}
    if found and found["DBInstanceStatus"] == "deleting":
        raise AwsError("It is being deleted. Wait until it is gone, then run the playbook again.")
    if not found:
        if changes.wanted("instance", None, name):
            create(rds, given)
            found = find(rds, name)
    else:
        if not found.get("StorageEncrypted"):
            raise AwsError(
                "It exists without encryption, which cannot be changed. "
                "Restore an encrypted copy of its snapshot under another name, or give the environment another one."
            )
        # RDS takes no changes before; it was made with these settings.
        if found["DBInstanceStatus"] != "creating":
            converge(rds, given, found, changes)
    found = found or {}
    return {
        "instance": {
            "id": name,
            "arn": found.get("DBInstanceArn", ""),
            "status": found.get("DBInstanceStatus", ""),
            "host": found.get("Endpoint", {}).get("Address", ""),
            "master_secret_arn": found.get("MasterUserSecret", {}).get("SecretArn", ""),
        }
    }


def main() -> None:
    """Run the module."""
    settings: dict[str, dict[str, Any]] = {
        name: {"type": "str"}
        for name in (
            "engine_version", "instance_class", "database_name", "master_user", "subnet_group", "parameter_group",
            "backup_window", "maintenance_window",
        )
    }  # fmt: skip
    settings |= {name: {"type": "int"} for name in ("storage_gib", "storage_max_gib", "backup_days")}
    settings |= {name: {"type": "bool"} for name in ("multi_az", "deletion_protection")}
    run(
        work,
        "rds",
        about="Database {name}",
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "security_groups": {"type": "list", "elements": "str"},
            "restore_snapshot": {"type": "str", "default": ""},
            "final_snapshot": {"type": "str", "default": ""},
            "tags": {"type": "dict", "default": {}},
            **settings,
        },
        required_if=[
            (
                "state",
                "present",
                ["engine_version", "instance_class", "storage_gib", "master_user", "subnet_group", "security_groups"],
            )
        ],
    )


if __name__ == "__main__":
    main()
