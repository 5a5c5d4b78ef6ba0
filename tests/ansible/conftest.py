"""Environments made for a test: the two-vms example, changed in one place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "vault_database_password": "a-password-for-these-tests",
    "vault_secret_key": "4f9c1d7e2ab84c3fa6d05e9b7c81f2d3",
}
# A folder with ansible-playbook: the tests' own virtual environment.
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Run:
    """How a playbook ended, and all that it printed."""

    code: int
    text: str


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A copy of inventories/two-vms with secrets, below a root that shares the repository's group_vars."""
    inventory = tmp_path / "inventories" / "two-vms"
    shutil.copytree(ROOT / "inventories" / "two-vms", inventory, symlinks=True)
    (tmp_path / "group_vars").symlink_to(ROOT / "group_vars")
    (inventory / "group_vars" / "all" / "secrets.yml").write_text(yaml.safe_dump(SECRETS))
    return inventory


@pytest.fixture
def playbook(environment: Path) -> Callable[..., Run]:
    """Run a playbook against the environment, with extra group variables."""

    def run(name: str, /, **variables: Any) -> Run:
        (environment / "group_vars" / "all" / "test.yml").write_text(yaml.safe_dump(variables))
        completed = subprocess.run(
            [BIN / "ansible-playbook", "-i", environment, ROOT / "playbooks" / name],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Run(completed.returncode, completed.stdout + completed.stderr)

    return run
