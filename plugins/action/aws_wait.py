"""Waits for resources of AWS, all at once, and prints their progress. plugins/modules/aws_wait.py documents it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError as ConnectError, HTTPClientError

Clients = Callable[[str], Any]
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")


@dataclass(frozen=True)
class Look:
    """What a resource looks like now.

    Attributes:
        state: in a few words, for people.
        ready: whether it is as awaited.
        failed: whether it never will be.
        facts: what Ansible is told.
    """

    state: str
    ready: bool = False
    failed: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


class WaitError(Exception):
    """A resource will not become what it is awaited to be, or not in time."""


def database(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """An RDS instance that can be connected to; where RDS manages its master password, with the secret."""
    found = clients("rds").describe_db_instances(DBInstanceIdentifier=entry["id"])["DBInstances"][0]
    status = found["DBInstanceStatus"]
    host, secret = found.get("Endpoint", {}).get("Address", ""), found.get("MasterUserSecret", {}).get("SecretArn", "")
    # What RDS does to an instance that answers meanwhile (RDS user guide: DB instance status).
    well = status in ("available", "backing-up", "modifying", "storage-optimization", "configuring-enhanced-monitoring")
    return Look(
        status,
        ready=well and bool(host),
        failed=status in ("failed", "incompatible-network", "incompatible-parameters", "storage-full", "restore-error"),
        facts={"host": host, "master_secret_arn": secret},
    )


def master_secret(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """The secret with an RDS instance's master password."""
    found = clients("rds").describe_db_instances(DBInstanceIdentifier=entry["id"])["DBInstances"][0]
    secret = found.get("MasterUserSecret", {})
    # RDS user guide, "Viewing the details about a secret": creating, active, rotating, impaired.
    return Look(
        secret.get("SecretStatus", "none yet"),
        ready=secret.get("SecretStatus") in ("active", "rotating"),
        failed=secret.get("SecretStatus") == "impaired",
        facts={"arn": secret.get("SecretArn", "")},
    )


def no_database(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """An RDS instance that is gone."""
    try:
        found = clients("rds").describe_db_instances(DBInstanceIdentifier=entry["id"])["DBInstances"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("DBInstanceNotFound", "DBInstanceNotFoundFault"):
            raise
        return Look("gone", ready=True)
    return Look(found["DBInstanceStatus"])


def mount_targets(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """A file system's mount targets, all available."""
    found = clients("efs").describe_mount_targets(FileSystemId=entry["id"])["MountTargets"]
    states = [target["LifeCycleState"] for target in found]
    return Look(
        ", ".join(sorted(states)), ready=bool(states) and set(states) == {"available"}, failed="error" in states
    )


def certificate(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """A certificate that was issued."""
    status = clients("acm").describe_certificate(CertificateArn=entry["id"])["Certificate"]["Status"]
    return Look(status, ready=status == "ISSUED", failed=status not in ("ISSUED", "PENDING_VALIDATION"))


def distribution(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """A CloudFront distribution that is deployed everywhere."""
    status = clients("cloudfront").get_distribution(Id=entry["id"])["Distribution"]["Status"]
    return Look(status, ready=status == "Deployed")


def balancer(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """A load balancer that takes requests."""
    state = clients("elbv2").describe_load_balancers(LoadBalancerArns=[entry["id"]])["LoadBalancers"][0]["State"]
    return Look(state["Code"], ready=state["Code"] == "active", failed=state["Code"] == "failed")


def group(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """An Auto Scaling group with so many instances that its target groups call healthy."""
    [found] = clients("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[entry["id"]])[
        "AutoScalingGroups"
    ]
    live = {instance["InstanceId"] for instance in found["Instances"] if instance["LifecycleState"] == "InService"}
    for arn in found.get("TargetGroupARNs", []):
        told = clients("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        live &= {target["Target"]["Id"] for target in told if target["TargetHealth"]["State"] == "healthy"}
    return Look(f"{len(live)} of {entry['count']} healthy", ready=len(live) >= int(entry["count"]))


def no_group(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """An Auto Scaling group that is gone, its instances with it."""
    found = clients("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[entry["id"]])[
        "AutoScalingGroups"
    ]
    return Look(f"{len(found[0]['Instances'])} instances left" if found else "gone", ready=not found)


def refresh(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """An instance refresh that has come to its end. One that was rolled back is told, for the playbook to judge."""
    name, _, identity = entry["id"].rpartition("/")
    [found] = clients("autoscaling").describe_instance_refreshes(
        AutoScalingGroupName=name, InstanceRefreshIds=[identity]
    )["InstanceRefreshes"]
    status = found["Status"]
    return Look(
        f"{status}, {found.get('PercentageComplete', 0)} %, {found.get('InstancesToUpdate', 0)} instances to go",
        ready=status in ("Successful", "RollbackSuccessful", "Failed", "Cancelled", "RollbackFailed"),
        facts={"status": status, "reason": found.get("StatusReason", "")},
    )


def agent(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """An instance that takes Run Commands."""
    wanted = [{"Key": "InstanceIds", "Values": [entry["id"]]}]
    found = clients("ssm").describe_instance_information(Filters=wanted)["InstanceInformationList"]
    status = found[0]["PingStatus"] if found else "not heard of yet"
    return Look(status, ready=status == "Online")


def command(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """A Run Command that has ended, well or not; told, for the playbook to judge."""
    identity, _, instance = entry["id"].partition("/")
    try:
        found = clients("ssm").get_command_invocation(CommandId=identity, InstanceId=instance)
    except ClientError as error:
        # The invocation is known a moment after the command (Systems Manager API: GetCommandInvocation).
        if error.response["Error"]["Code"] != "InvocationDoesNotExist":
            raise
        return Look("sent")
    return Look(
        found["Status"],
        ready=found["Status"] not in ("Pending", "InProgress", "Delayed", "Cancelling"),
        facts={
            "status": found["Status"],
            "output": found.get("StandardOutputContent", ""),
            "error": found.get("StandardErrorContent", ""),
        },
    )


def no_interfaces(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """Security groups (ids with commas) that no network interface uses any more."""
    wanted = [{"Name": "group-id", "Values": entry["id"].split(",")}]
    found = clients("ec2").describe_network_interfaces(Filters=wanted)["NetworkInterfaces"]
    return Look(f"{len(found)} left" if found else "gone", ready=not found)


KINDS: dict[str, Callable[[Clients, Mapping[str, Any]], Look]] = {
    look.__name__: look
    for look in (
        database, master_secret, no_database, mount_targets, certificate, distribution, balancer, group, no_group,
        refresh, agent, command, no_interfaces,
    )
}  # fmt: skip


def look_at(clients: Clients, entry: Mapping[str, Any]) -> Look:
    """Look at a resource. A network that fails for a moment is no reason to give up what takes half an hour.

    Raises:
        WaitError: AWS does not know the credentials any more.
    """
    try:
        return KINDS[entry["kind"]](clients, entry)
    except (ConnectError, HTTPClientError):
        return Look("AWS does not answer")
    except ClientError as error:
        if error.response["Error"]["Code"] not in EXPIRED:
            raise
        raise WaitError(
            "Your credentials have expired: get new ones, then run the playbook again to go on waiting."
        ) from None


def wait(
    clients: Clients,
    entries: list[dict[str, Any]],
    timeout: float,
    delay: float,
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Look at all of the resources until each is ready.

    Args:
        clients: makes a client for a service of AWS.
        entries: what is awaited; ``kind``, ``id`` and for a group ``count``.
        timeout: seconds for all of it.
        delay: seconds between two looks.
        tell: is given a line whenever something has changed.
        sleep: waits for some seconds.

    Returns:
        The facts of each resource, by its kind.

    Raises:
        WaitError: one has failed, or the time is over.
    """
    began, seen, facts, waiting = time.monotonic(), dict[str, str](), dict[str, Any](), list(entries)
    while True:
        for entry in list(waiting):
            name = f"{entry['kind'].replace('_', ' ')} {entry['id'].rpartition(':')[2]}"
            look = look_at(clients, entry)
            if seen.get(name) != look.state:
                tell(f"  {time.monotonic() - began:5.0f} s  {name}: {look.state}")
                seen[name] = look.state
            if look.failed:
                raise WaitError(f"{name} is {look.state} and will not be ready. AWS's console tells why in its events.")
            if look.ready:
                facts[entry["kind"]] = look.facts
                waiting.remove(entry)
        if not waiting:
            return facts
        if time.monotonic() - began > timeout:
            names = "; ".join(f"{name}: {state}" for name, state in seen.items() if state)
            left = ", ".join(f"{entry['kind']} {entry['id']}" for entry in waiting)
            raise WaitError(
                f"Not ready after {timeout:g} s: {left} ({names}). Run the playbook again to go on waiting."
            )
        sleep(delay)


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action, on the controller and without a connection."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Wait, unless nothing was made."""
        super().run(tmp, task_vars)
        entry_spec = {
            "kind": {"type": "str", "required": True, "choices": list(KINDS)},
            "id": {"type": "str", "required": True},
            "count": {"type": "int"},
        }
        _, given = self.validate_argument_spec(
            argument_spec={
                "for": {"type": "list", "elements": "dict", "required": True, "options": entry_spec},
                "region": {"type": "str"},
                "timeout": {"type": "int", "default": 3600},
                "delay": {"type": "float", "default": 15},
            }
        )
        entries = [entry for entry in given["for"] if entry["id"].strip("/")]
        if self._task.check_mode or not entries:
            return {"changed": False, "results": {}}
        session = boto3.session.Session(region_name=given["region"] or None)
        clients: dict[str, Any] = {}

        def client(service: str) -> Any:
            if service not in clients:
                clients[service] = session.client(service)
            return clients[service]

        try:
            facts = wait(client, entries, given["timeout"], given["delay"], Display().display)
        except (WaitError, ClientError, BotoCoreError) as error:
            raise AnsibleActionFail(str(error)) from None
        return {"changed": False, "results": facts}
