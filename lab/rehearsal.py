"""`make rehearse`: every playbook for AWS against the emulator, from an empty account to an empty account.

A golden image is baked of a lab host. Four environments stand beside each other and have between them every way that
an environment can be made. After each step it is asked what it must have done: changed nothing, sent no mutating call,
failed for the right reason.
"""

from __future__ import annotations

import json
import os
import time

from lab.rehearsal_account import (
    ENVIRONMENTS,
    FOLDER,
    FOREIGN_NETWORK,
    HEAD,
    KEPT,
    RECORD,
    Rehearsal,
    Stop,
    bakery,
    down,
    prepare,
    record,
    releases,
    start,
    stop,
    write_certificate,
)
from lab.rehearsal_checks import (
    awaited_with_cloudfront,
    began_together,
    ended,
    gateways,
    interrupted,
    launch,
    leaves_nothing,
    migrated_first,
    note_state,
    only_looked,
    refreshed,
    refused,
    scale,
    serves,
    state,
    unchanged,
    well,
)
from lab.settings import ROOT, LabError, Settings
from lab.shell import say

# An environment is removed whatever its operator has written down since it was made.
OTHERWISE = {
    "academy": (
        *("-e", "aws_network_vpc=own", "-e", "aws_edge_tls=imported", "-e", "aws_edge_domain=other.example.org"),
        *("-e", '{"aws_edge_waf": false, "aws_edge_access_logs_days": 0}'),
    )
}


def rehearse(settings: Settings) -> None:
    """All of it; with KEEP=1 the first environment and the emulator are left standing.

    Raises:
        LabError: a step did not do what it must, or the emulator did not start.
    """
    keep = os.environ.get("KEEP", "") not in ("", "0")
    down(settings)
    began = time.monotonic()
    rehearsal = start()
    try:
        prepare(rehearsal)
        print(HEAD)
        golden(rehearsal, settings)
        single(rehearsal)
        if os.environ.get("REHEARSE", "") != "short":
            side_by_side(rehearsal)
        if keep:
            record(rehearsal)
        else:
            end(rehearsal)
    finally:
        (FOLDER / "calls.json").write_text(json.dumps(rehearsal.recorded, indent=1))
        if not keep or not RECORD.exists():
            stop(rehearsal.process)
    say(f"rehearsed in {time.monotonic() - began:.0f} s" + (f"; {RECORD.relative_to(ROOT)} says where" if keep else ""))


def golden(rehearsal: Rehearsal, settings: Settings) -> None:
    """Release 1.0: a lab host that the pipeline bakes, and that has booted before it is called good."""
    with bakery(settings) as here:
        rehearsal.step("golden: bake a host", well, "bake", "bake", "--skip-tags", "prove")
        here.freeze(settings)
        rehearsal.step("golden: prove a clone of it", well, "bake", "bake")
        rehearsal.step("golden: bake again", unchanged, "bake", "bake")
    releases(rehearsal)


def single(rehearsal: Rehearsal) -> None:
    """One environment: made, looked at, released, released badly, taken back."""
    first = f"aws_fleet_image={rehearsal.images['1.0']}"
    second, bad = rehearsal.images["1.1"], rehearsal.images["1.2"]
    broken = rehearsal.images["1.3"]
    rehearsal.step("shop: check on an empty account", only_looked, "aws", "shop", "--check", "-e", first)
    rehearsal.step("shop: create", began_together, "aws", "shop", "-e", first)
    note_state(rehearsal, "shop")
    rehearsal.step("shop: create again", unchanged, "aws", "shop")
    rehearsal.step("shop: check on the live one", unchanged, "aws", "shop", "--check", "--diff")
    nobody = f"aws_fleet_smoke_url={rehearsal.endpoint}/_emulator/front/nobody"
    told = refused("Release 1.1", "was taken back", "did not answer 200")
    silent = ("-e", f"aws_fleet_image={second}", "-e", nobody)
    rehearsal.step(
        "shop: release 1.1, interrupted in its refresh", interrupted, "aws-release", "shop", *silent,
        stop_after="StartInstanceRefresh",
    )  # fmt: skip
    refreshed(rehearsal, "shop")
    rehearsal.step("shop: release 1.1, silent at the door, goes back", told, "aws-release", "shop", *silent)
    serves(rehearsal, "shop", "1.0")
    forgotten = launch(rehearsal, broken, Name="shop-migrate", Environment="shop")
    rehearsal.step("shop: release 1.1", migrated_first, "aws-release", "shop", "-e", f"aws_fleet_image={second}")
    serves(rehearsal, "shop", "1.1")
    ended(rehearsal, forgotten)
    scale(rehearsal, "shop", 3)
    told = refused("Release 1.2", "was not deployed", "serves as before")
    rehearsal.step("shop: bad release 1.2 goes back", told, "aws-release", "shop", "-e", f"aws_fleet_image={bad}")
    serves(rehearsal, "shop", "1.1", size=3)
    told = refused("was not brought to release 1.3", "have not been touched")
    rehearsal.step("shop: release 1.3 does not migrate", told, "aws-release", "shop", "-e", f"aws_fleet_image={broken}")
    serves(rehearsal, "shop", "1.1", size=3)
    rehearsal.step("shop: release where nothing is better", unchanged, "aws-release", "shop")
    rehearsal.step("shop: roll back", well, "aws-rollback", "shop")
    serves(rehearsal, "shop", "1.0", size=3)
    nothing = refused("There is no release before the live one")
    rehearsal.step("shop: roll back with nothing left", nothing, "aws-rollback", "shop")


def side_by_side(rehearsal: Rehearsal) -> None:
    """Three more environments, made in other ways and removed; the first is not touched."""
    first = f"aws_fleet_image={rehearsal.images['1.0']}"
    others = [name for name in ENVIRONMENTS if name != "shop"]
    # Each is taken up by the one after it, the last by what creates the rest.
    stops: tuple[Stop, ...] = (10, 20, 30, "CreateAutoScalingGroup")
    for stop_after in stops:
        where = f"after {stop_after} changes" if isinstance(stop_after, int) else "before it is healthy"
        rehearsal.step(
            f"brought: create, interrupted {where}", interrupted, "aws", "brought", "-e", first,
            stop_after=stop_after,
        )  # fmt: skip
    for name in others:
        check = awaited_with_cloudfront if name == "academy" else well
        rehearsal.step(f"{name}: create", check, "aws", name, "-e", first)
        note_state(rehearsal, name)
        rehearsal.step(f"{name}: create again", unchanged, "aws", name)
        rehearsal.step(f"{name}: check on the live one", unchanged, "aws", name, "--check")
    change_ways(rehearsal)
    for name in others:
        rehearsal.step(f"{name}: destroy", well, "aws-destroy", name, *OTHERWISE.get(name, ()))
        rehearsal.step(f"{name}: destroy again", unchanged, "aws-destroy", name)
        leaves_nothing(rehearsal, name, *KEPT.get(name, ()))
    asked = {call["service"] for step, calls in rehearsal.recorded.items() if "academy" in step for call in calls}
    if "iam" in asked:
        raise LabError("rehearsal: IAM was called in an account that may not.")
    once_more(rehearsal)
    rehearsal.step("shop: untouched by the others' end", unchanged, "aws", "shop")


def change_ways(rehearsal: Rehearsal) -> None:
    """A live environment goes another way out, loses its firewall and has its certificate renewed.

    Raises:
        LabError: what was left is still there and billed, or the certificate is another one.
    """
    before = state(rehearsal, "brought")
    write_certificate()
    unprotected = ("-e", '{"aws_edge_waf": false}')
    by_gateway = (*unprotected, "-e", "aws_network_egress=nat")
    rehearsal.step("brought: by a gateway, unprotected, renewed", well, "aws", "brought", *by_gateway)
    rehearsal.step("brought: the same again", unchanged, "aws", "brought", *by_gateway)
    after = state(rehearsal, "brought")
    if after["endpoints"] or after["web_acls"] or len(after["nat_gateways"]) != 1:
        left = {kind: len(after[kind]) for kind in ("endpoints", "web_acls", "nat_gateways")}
        raise LabError(f"rehearsal: brought changed its ways and has {left}.")
    [old], [new] = before["certificates"], after["certificates"]
    if old["CertificateArn"] != new["CertificateArn"] or old["Serial"] == new["Serial"]:
        raise LabError("rehearsal: brought did not renew its certificate in its place.")
    by_addresses = (*unprotected, "-e", "aws_network_egress=public")
    rehearsal.step("brought: by public addresses", well, "aws", "brought", *by_addresses)
    if gateways(rehearsal, "brought"):
        raise LabError("rehearsal: brought goes out by public addresses and has a NAT gateway left.")


def once_more(rehearsal: Rehearsal) -> None:
    """An environment that was destroyed is made again by its old name, of its last snapshot and with other ways out."""
    [snapshot] = rehearsal.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    options = (
        *("-e", f"aws_fleet_image={rehearsal.images['1.0']}"),
        *("-e", f"aws_data_restore_snapshot={snapshot['DBSnapshotIdentifier']}"),
        *("-e", "aws_network_egress=nat", "-e", json.dumps({"aws_network_nat_per_zone": True})),
    )
    rehearsal.step("brought: create once more, from the last snapshot", well, "aws", "brought", *options)
    rehearsal.step("brought: create again", unchanged, "aws", "brought", *options)
    zones = {gateway["SubnetId"] for gateway in gateways(rehearsal, "brought")}
    if len(zones) != 2:
        raise LabError(f"rehearsal: brought has NAT gateways in {len(zones)} zones, not in each of 2.")
    rehearsal.step("brought: destroy once more", well, "aws-destroy", "brought", *options)
    rehearsal.step("brought: destroy again", unchanged, "aws-destroy", "brought", *options)
    leaves_nothing(rehearsal, "brought", *KEPT["brought"])


def end(rehearsal: Rehearsal) -> None:
    """Bake and release once more, which changes nothing, and remove the first environment, twice."""
    # In one command, as docs/aws.md has it. What is baked is live: everything else was found bad.
    both = ("playbooks/aws-release.yml", "-i", str(FOLDER / "inventories" / "bake" / "hosts.yml"))
    rehearsal.step("shop: bake and release what is live", unchanged, "bake", "shop", *both)
    rehearsal.step("shop: destroy", well, "aws-destroy", "shop")
    rehearsal.step("shop: destroy again", unchanged, "aws-destroy", "shop")
    leaves_nothing(rehearsal, "shop")
    foreign = [{"Name": "cidr-block", "Values": [FOREIGN_NETWORK]}]
    if not rehearsal.client("ec2").describe_vpcs(Filters=foreign)["Vpcs"]:
        raise LabError("rehearsal: somebody else's VPC, which was called shop too, was removed.")
