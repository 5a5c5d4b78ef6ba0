"""What can be known to fail before anything is changed."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import socket
import subprocess
import time

from lab.engine import answers
from lab.settings import ROOT, LabError, Settings
from lab.shell import output

# The virtual environment, three images, three hosts and their packages took 3.4 GB on Debian 13.
NEEDED_BYTES = 6 * 1024**3


def check_machine(settings: Settings) -> None:
    """Refuse what would fail later.

    Raises:
        LabError: a right is missing, the disk is full, the port or the network is taken.
    """
    check_ground()
    if not _is_own_lab(settings):
        check_port(settings.port)
        _check_subnet(settings)


def check_ground() -> None:
    """Refuse a machine that can have no lab at all.

    Raises:
        LabError: a right is missing or the disk is full.
    """
    _check_rights()
    _check_disk()


def _check_rights() -> None:
    if os.geteuid() != 0 and not answers():
        _check_sudo()
    if not os.access(ROOT, os.W_OK):
        raise LabError(f"{ROOT} cannot be written by this user. Clone the repository into a folder of your own.")


def _check_sudo() -> None:
    why = "No Docker engine answers, and starting one needs root"
    if not shutil.which("sudo"):
        raise LabError(f"{why}: run this as root, or install sudo.")
    # Not `sudo -v`, which may ask for a password where commands need none. It asks on the terminal, not on stderr.
    tried = subprocess.run(["sudo", "true"], stderr=subprocess.PIPE, text=True)
    if tried.returncode:
        said = tried.stderr.strip(" .\n").splitlines() or ["sudo failed"]
        raise LabError(
            f"{why}, which sudo does not allow ({said[-1]}). Run this as root, or as a user who may use sudo."
        )


def _check_disk() -> None:
    for path in {str(ROOT), _engine_root()}:
        if (free := shutil.disk_usage(path).free) < NEEDED_BYTES:
            raise LabError(
                f"{path} has {free / 1024**3:.1f} GiB free and the lab needs {NEEDED_BYTES / 1024**3:.0f}. Make room."
            )


def _engine_root() -> str:
    root = output("docker", "info", "--format", "{{.DockerRootDir}}") or "/var/lib/docker"
    return root if os.path.isdir(root) else "/"


def _is_own_lab(settings: Settings) -> bool:
    """Whether this checkout's hosts run, or begin to: the engine goes on with what a run that was broken off asked."""
    own = f"label=bookstore.lab={settings.name}"
    for _ in range(10):
        if output("docker", "ps", "-q", "--filter", own):
            return True
        if not output("docker", "ps", "-aq", "--filter", own, "--filter", "status=created"):
            return False
        time.sleep(0.5)
    return False


def check_port(port: int, variable: str = "LAB_PORT", target: str = "up") -> None:
    """Refuse a port of this machine that cannot be listened on, and say how to choose another.

    Raises:
        LabError: it is taken, or is root's alone.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise LabError(
                f"Port {port} may only be used by root. Choose another: {variable}=8443 make {target}"
            ) from error
        except OSError as error:
            raise LabError(f"Port {port} is taken. Choose another: {variable}={port + 1} make {target}") from error


def _check_subnet(settings: Settings) -> None:
    for name, network in _networks():
        if name != settings.name and network.overlaps(settings.subnet):
            # The first one behind the network that is in the way.
            other = ipaddress.IPv4Network((int(network.broadcast_address) + 1, 24))
            raise LabError(
                f"The network {settings.subnet} is taken by {name} ({network}). Choose another: "
                f"LAB_SUBNET={other} make up"
            )


def _networks() -> list[tuple[str, ipaddress.IPv4Network]]:
    """Networks that this machine knows by name: Docker's, and those of its routes."""
    found: list[tuple[str, str]] = []
    if ids := output("docker", "network", "ls", "-q"):
        for network in json.loads(output("docker", "network", "inspect", *ids.split()) or "[]"):
            found += [(network["Name"], config["Subnet"]) for config in network["IPAM"]["Config"] or []]
    for route in json.loads(output("ip", "-4", "-json", "route") or "[]"):
        if not route.get("dev", "").startswith(("br-", "docker")):
            found.append((route.get("dev", "a route"), route["dst"]))
    return [
        (name, ipaddress.IPv4Network(subnet, strict=False))
        for name, subnet in found
        if subnet != "default" and ":" not in subnet
    ]
