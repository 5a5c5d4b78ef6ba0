"""What a lab is made with: where things lie, and what LAB_PORT, LAB_SUBNET and LAB_BASE say."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".lab"
# What `make dev` keeps; the lab comes and goes without it.
DEV = ROOT / ".dev"
CACHE = ROOT / ".cache"
VENV = ROOT / ".venv"
INVENTORY = ROOT / "inventories" / "lab"


class LabError(Exception):
    """Something that the user can mend. Its text is one line: what is wrong and what to do."""


@dataclass(frozen=True)
class Settings:
    """The three things that can be set, checked.

    Attributes:
        port: port on 127.0.0.1 that the store is reached at.
        subnet: network of the hosts, at least 16 addresses.
        base: image that the hosts are made from, e.g. ``debian:trixie``.
    """

    port: int
    subnet: ipaddress.IPv4Network
    base: str

    @property
    def name(self) -> str:
        """Starts the name of everything that this checkout makes."""
        return "bookstore-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]

    @property
    def url(self) -> str:
        """Address of the store."""
        return f"https://localhost:{self.port}"

    @property
    def suite(self) -> str:
        """Name of the base's release, e.g. ``trixie``."""
        return self.base.partition(":")[2]

    @property
    def is_debian(self) -> bool:
        """Whether the hosts run Debian, which has no MySQL of its own."""
        return self.base.startswith("debian:")

    @property
    def host_image(self) -> str:
        """The hosts' image."""
        return f"bookstore-lab-host:{self.suite}"

    def address(self, host: str) -> str:
        """Address of one of the hosts in the subnet."""
        return str(self.subnet[{"db": 10, "app": 11, "acme": 12}[host]])

    @property
    def gateway(self) -> str:
        """This machine's own address in the subnet."""
        return str(self.subnet[1])


def read_settings() -> Settings:
    """Read the environment.

    Raises:
        LabError: a variable has a value that cannot be used.
    """
    port = os.environ.get("LAB_PORT", "8443")
    if not port.isdigit() or not 1 <= int(port) <= 65535:
        raise LabError(f"LAB_PORT={port} is not a port. Give a number from 1 to 65535.")
    subnet = os.environ.get("LAB_SUBNET", "10.87.12.0/24")
    try:
        network = ipaddress.IPv4Network(subnet)
    except ValueError as error:
        raise LabError(f"LAB_SUBNET={subnet} is not a network ({error}). Give one like 10.87.12.0/24.") from error
    if network.num_addresses < 16 or not network.is_private:
        raise LabError(f"LAB_SUBNET={subnet} must be a private network of at least 16 addresses, like 10.87.12.0/24.")
    base = os.environ.get("LAB_BASE", "debian:trixie")
    if not re.fullmatch(r"debian:trixie|ubuntu:(22\.04|24\.04)", base):
        raise LabError(f"LAB_BASE={base} is not supported. Give debian:trixie, ubuntu:24.04 or ubuntu:22.04.")
    return Settings(int(port), network, base)
