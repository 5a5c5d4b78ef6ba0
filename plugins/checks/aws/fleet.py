"""The instances: type, number, and how a release is rolled through them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from checks import published
from checks.store import WATCH_ALARMS
from checks.variables import Problem, Rules, nearest

# Seconds from the start of an instance to its first good answer, at most: half for EC2's own start, half for the boot
# unit with a database or covers that are late (bench/boot.py measures the unit alone).
BOOT_BUDGET = 180

rule = Rules()


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


@rule("aws_fleet_refresh_alarms", "aws_environment")
def refresh_alarms(names: list[str], environment: str) -> Iterator[Problem]:
    """As StartInstanceRefresh asks; and of the environment's own, one that is not there never rings."""
    known = [f"{environment}/{alarm}" for alarm in WATCH_ALARMS]
    for name in names:
        if name.startswith(f"{environment}/") and name not in known:
            yield Problem(
                "aws_fleet_refresh_alarms",
                "must name alarms that there are",
                f"Did you mean {nearest(name, known)}?",
                name,
            )
    if len(names) > 10:
        mend = "Remove some, or use a composite alarm."
        yield Problem("aws_fleet_refresh_alarms", "must be 10 alarms at most (EC2 Auto Scaling)", mend, len(names))


def is_arm(kind: str) -> bool:
    """Whether an instance type has AWS's Graviton: a g right behind the generation (EC2, instance type names)."""
    return bool(re.match(r"[a-z]+\d+g|a1\.", kind))
