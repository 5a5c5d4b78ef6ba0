"""Checks an environment's variables for AWS on the controller, before any call is made.

::

    aws_preflight:
      roles: [aws-network, aws-data, aws-secrets, aws-identity, aws-edge, aws-watch, aws-fleet]

It asks what plugins/checks/variables.py asks of every environment, and the rules in plugins/checks/aws/: what AWS
would refuse after minutes, or take and then fail with, is refused here. Versions, classes and types are those that AWS
publishes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

# Ansible loads this file by its path and knows no packages of a repository's: these, and the store.
sys.path += map(str, Path(__file__).resolve().parents[1:3])
# Loaded in Ansible's own process, before the first module for AWS is forked from it (normal.py).
import ansible_collections.amazon.aws.plugins.module_utils.modules  # noqa: F401
from checks.aws import certificate, data, edge, environment, fleet, limits, network, secrets
from checks.aws.environment import ENVIRONMENT_SPEC
from checks.variables import Preflight, Rules, Specification

ROOMS = (limits, environment, network, data, secrets, edge, certificate, fleet)


class ActionModule(Preflight):
    """The action, for the one host from which AWS is asked."""

    rules = Rules(rule for room in ROOMS for rule in room.rule)
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
