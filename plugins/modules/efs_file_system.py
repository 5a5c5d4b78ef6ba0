#!/usr/bin/python
"""Ansible module: an EFS file system with its mount targets, access point, policy and backups."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.bookstore_aws import AwsError, Changes, code, missing, run, tag_dict, tag_list
from botocore.exceptions import ClientError

DOCUMENTATION = r"""
module: efs_file_system
short_description: An encrypted EFS file system with everything that clients need
description:
  - community.aws.efs knows neither elastic throughput nor policies, access points and backups, and changes things in
    check mode. This module makes an encrypted file system with elastic throughput, a mount target in each subnet, one
    access point, and a policy that admits nobody without TLS.
  - It waits for the file system, which takes seconds, and not for its mount targets; M(aws_wait) does.
options:
  name: {type: str, required: true, description: Name of the file system.}
  state: {type: str, choices: [present, absent], default: present, description: Whether it exists.}
  subnets: {type: list, elements: str, default: [], description: Subnets of the mount targets, one a zone.}
  security_groups: {type: list, elements: str, default: [], description: Security groups of the mount targets.}
  path: {type: str, default: /covers, description: Folder that the access point shows.}
  uid: {type: int, default: 10001, description: User and group that own the folder and whom every client acts as.}
  backup: {type: bool, default: true, description: Whether AWS Backup keeps daily copies.}
  tags: {type: dict, default: {}, description: Its tags. Others are left alone.}
  timeout: {type: int, default: 300, description: Seconds that the file system, or its end, may take.}
  delay: {type: float, default: 2, description: Seconds between two looks.}
author: [BookStore team]
extends_documentation_fragment: [amazon.aws.common.modules, amazon.aws.region.modules, amazon.aws.boto3]
"""
EXAMPLES = r"""
- name: Keep the covers
  efs_file_system:
    name: bookstore
    subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
    security_groups: [sg-0123456789abcdef0]
"""
RETURN = r"""
file_system:
  description: The file system; C(id), C(arn), C(access_point_id). Empty texts in check mode.
  type: dict
  returned: always
"""


def find(efs: Any, name: str) -> dict[str, Any] | None:
    """The file system of a name, which is its creation token."""
    systems = efs.describe_file_systems(CreationToken=name)["FileSystems"]
    return next((found for found in systems if found["LifeCycleState"] not in ("deleting", "deleted")), None)


def policy(arn: str) -> dict[str, Any]:
    """Clients mount and write, with TLS or not at all (EFS user guide: Using IAM to control access).

    Root too: without that right it is nobody there, and could not give the top folder to the store's user.
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Clients",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": [f"elasticfilesystem:Client{right}" for right in ("Mount", "RootAccess", "Write")],
                "Resource": arn,
                "Condition": {"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}},
            },
            {
                "Sid": "OnlyTls",
                "Effect": "Deny",
                "Principal": {"AWS": "*"},
                "Action": "*",
                "Resource": arn,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }


def answer_or(default: Any, call: Any, key: str, *codes: str, **arguments: Any) -> Any:
    """A part of a call's answer, or a default where there is no such thing."""
    try:
        return call(**arguments)[key]
    except ClientError as error:
        if code(error) in codes:
            return default
        raise


def converge(efs: Any, given: dict[str, Any], found: dict[str, Any], changes: Changes) -> str:
    """Bring everything of the file system to what is wanted; the access point's id."""
    identity = found["FileSystemId"]
    if not found.get("Encrypted"):
        raise AwsError(f"{identity} is not encrypted, which cannot be changed. Copy its files into a new one.")
    if changes.differs("throughput", found.get("ThroughputMode"), "elastic"):
        efs.update_file_system(FileSystemId=identity, ThroughputMode="elastic")
    tags = {"Name": given["name"], **given["tags"]}
    new_tags = missing(tags, tag_dict(found.get("Tags")))
    if new_tags and changes.wanted("tags", tag_dict(found.get("Tags")), tags):
        efs.tag_resource(ResourceId=identity, Tags=tag_list(new_tags))
    mount_targets(efs, given, identity, changes)
    wanted = policy(found["FileSystemArn"])
    present = answer_or("{}", efs.describe_file_system_policy, "Policy", "PolicyNotFound", FileSystemId=identity)
    if changes.differs("policy", json.loads(present), wanted):
        efs.put_file_system_policy(FileSystemId=identity, Policy=json.dumps(wanted))
    backup = answer_or({}, efs.describe_backup_policy, "BackupPolicy", "PolicyNotFound", FileSystemId=identity)
    if changes.differs("backup", backup.get("Status") in ("ENABLED", "ENABLING"), given["backup"]):
        status = "ENABLED" if given["backup"] else "DISABLED"
        efs.put_backup_policy(FileSystemId=identity, BackupPolicy={"Status": status})
    return access_point(efs, given, identity, tags, changes)


def mount_targets(efs: Any, given: dict[str, Any], identity: str, changes: Changes) -> None:
    """One in each subnet, with the given security groups; others are removed."""
    present = {
        target["SubnetId"]: target for target in efs.describe_mount_targets(FileSystemId=identity)["MountTargets"]
    }
    for subnet in given["subnets"]:
        target = present.pop(subnet, None)
        if not target:
            if changes.wanted(f"mount target in {subnet}", None, "present"):
                efs.create_mount_target(FileSystemId=identity, SubnetId=subnet, SecurityGroups=given["security_groups"])
            continue
        groups = efs.describe_mount_target_security_groups(MountTargetId=target["MountTargetId"])["SecurityGroups"]
        if changes.differs(f"security groups in {subnet}", sorted(groups), sorted(given["security_groups"])):
            efs.modify_mount_target_security_groups(
                MountTargetId=target["MountTargetId"], SecurityGroups=given["security_groups"]
            )
    for subnet, target in present.items():
        if changes.wanted(f"mount target in {subnet}", "present", None):
            efs.delete_mount_target(MountTargetId=target["MountTargetId"])


def access_point(efs: Any, given: dict[str, Any], identity: str, tags: dict[str, str], changes: Changes) -> str:
    """The access point of the folder; one cannot be changed, so another folder or user is another one."""
    for point in efs.describe_access_points(FileSystemId=identity)["AccessPoints"]:
        same_user = int(point.get("PosixUser", {}).get("Uid", -1)) == given["uid"]
        if point["RootDirectory"].get("Path") == given["path"] and same_user:
            return str(point["AccessPointId"])
    if not changes.wanted("access point", None, given["path"]):
        return ""
    owner = {"OwnerUid": given["uid"], "OwnerGid": given["uid"], "Permissions": "0750"}
    made = efs.create_access_point(
        ClientToken=f"{identity}{given['path']}-{given['uid']}"[:64],
        FileSystemId=identity,
        PosixUser={"Uid": given["uid"], "Gid": given["uid"]},
        RootDirectory={"Path": given["path"], "CreationInfo": owner},
        Tags=tag_list(tags),
    )
    return str(made["AccessPointId"])


def create(efs: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Make the file system and wait until it can have mount targets."""
    efs.create_file_system(
        CreationToken=given["name"],
        Encrypted=True,
        PerformanceMode="generalPurpose",
        ThroughputMode="elastic",
        Tags=tag_list({"Name": given["name"], **given["tags"]}),
    )
    until = time.monotonic() + given["timeout"]
    while True:
        found = find(efs, given["name"])
        if found and found["LifeCycleState"] == "available":
            return found
        if time.monotonic() > until:
            raise AwsError(f"It is not available after {given['timeout']} s. Run the playbook again.")
        time.sleep(given["delay"])


def delete(efs: Any, given: dict[str, Any], identity: str) -> None:
    """Delete the file system once its mount targets are gone."""
    for point in efs.describe_access_points(FileSystemId=identity)["AccessPoints"]:
        efs.delete_access_point(AccessPointId=point["AccessPointId"])
    until = time.monotonic() + given["timeout"]
    while targets := efs.describe_mount_targets(FileSystemId=identity)["MountTargets"]:
        for target in targets:
            if target["LifeCycleState"] not in ("deleting", "deleted"):
                efs.delete_mount_target(MountTargetId=target["MountTargetId"])
        if time.monotonic() > until:
            raise AwsError(f"Its mount targets are still there after {given['timeout']} s. Run the playbook again.")
        time.sleep(given["delay"])
    efs.delete_file_system(FileSystemId=identity)


def work(efs: Any, given: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Bring the file system to its state and describe it."""
    found = find(efs, given["name"])
    if given["state"] == "absent":
        if found and changes.wanted("file system", found["FileSystemId"], None):
            delete(efs, given, found["FileSystemId"])
        return {"file_system": {}}
    if not found and changes.wanted("file system", None, given["name"]):
        found = create(efs, given)
    point = converge(efs, given, found, changes) if found else ""
    found = found or {}
    return {
        "file_system": {
            "id": found.get("FileSystemId", ""),
            "arn": found.get("FileSystemArn", ""),
            "access_point_id": point,
        }
    }


def main() -> None:
    """Run the module."""
    run(
        work,
        "efs",
        about="File system {name}",
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "subnets": {"type": "list", "elements": "str", "default": []},
            "security_groups": {"type": "list", "elements": "str", "default": []},
            "path": {"type": "str", "default": "/covers"},
            "uid": {"type": "int", "default": 10001},
            "backup": {"type": "bool", "default": True},
            "tags": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 300},
            "delay": {"type": "float", "default": 2},
        },
    )


if __name__ == "__main__":
    main()
