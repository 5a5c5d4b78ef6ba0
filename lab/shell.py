"""Running other programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab.settings import ROOT, LabError

Argument = str | Path
# Seconds that another apt may take, as unattended-upgrades does.
APT_PATIENCE = 300


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"==> {text}", flush=True)


def run(*command: Argument, env: dict[str, str] | None = None, cwd: Path = ROOT, quiet: bool = False) -> None:
    """Run a command in full view; a quiet one is only heard when something is wrong.

    Raises:
        LabError: it failed; the command has said why.
    """
    sys.stdout.flush()
    completed = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.DEVNULL if quiet else None,
    )
    if completed.returncode:
        raise LabError(
            f"`{' '.join(str(word) for word in command[:3])} …` ended with {completed.returncode}; see above."
        )


def output(*command: Argument) -> str | None:
    """What a command prints, or None where it is absent or fails."""
    try:
        completed = subprocess.run(
            [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return completed.stdout.strip()


def as_root(*command: Argument) -> Sequence[Argument]:
    """The command, through sudo where this user is not root.

    Raises:
        LabError: there is no sudo.
    """
    if os.geteuid() == 0:
        return command
    if not shutil.which("sudo"):
        raise LabError("This step needs root and there is no sudo. Run the command as root.")
    return ("sudo", *command)


def install_packages(*packages: str) -> None:
    """Install packages of the distribution.

    Raises:
        LabError: the machine has no apt, or the installation failed.
    """
    if not shutil.which("apt-get"):
        raise LabError(f"Please install {', '.join(packages)}: only Debian and Ubuntu are done for you.")
    say(f"installing {' '.join(packages)} from the distribution")
    _update_package_lists()
    environment = ("env", "DEBIAN_FRONTEND=noninteractive")
    patience = ("-o", f"DPkg::Lock::Timeout={APT_PATIENCE}")
    run(*as_root(*environment, "apt-get", "install", *patience, "-y", "-qq", "--no-install-recommends", *packages))


def _update_package_lists() -> None:
    """Fetch the package lists, once nobody else does: a new machine upgrades itself in its first minutes.

    ``DPkg::Lock::Timeout`` waits for the lock of an installation, not for that of the lists.

    Raises:
        LabError: it failed, or the others do not end.
    """
    deadline = time.monotonic() + APT_PATIENCE
    waiting = False
    while True:
        done = subprocess.run(as_root("env", "LC_ALL=C", "apt-get", "update", "-qq"), stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            return
        if "Could not get lock" not in done.stderr or time.monotonic() > deadline:
            raise LabError(f"`apt-get update` failed: {done.stderr.strip()}")
        if not waiting:
            say(f"waiting for another apt, {APT_PATIENCE} s at most")
            waiting = True
        time.sleep(1)


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    part.replace(path)
