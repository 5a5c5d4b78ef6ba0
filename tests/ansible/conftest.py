"""Environments made for a test: the two-vms example, changed in one place."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# Read when Ansible is imported.
os.environ.setdefault("ANSIBLE_CONFIG", str(ROOT / "ansible.cfg"))
SECRETS = {
    "vault_database_password": "an-unguessable-one-for-these-tests",
    "vault_secret_key": "4f9c1d7e2ab84c3fa6d05e9b7c81f2d3",
}
# A folder with ansible-playbook: the tests' own virtual environment.
BIN = Path(sys.executable).parent


def load(path: Path) -> ModuleType:
    """Import a file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Run:
    """How a playbook ended, all that it printed, and the calls of ssh that it made."""

    code: int
    text: str
    contacts: str


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A copy of inventories/two-vms with secrets, below a root that shares the repository's group_vars."""
    inventory = copied("two-vms", tmp_path)
    (inventory / "group_vars" / "all" / "vault.yml").unlink(missing_ok=True)
    (inventory / "group_vars" / "all" / "secrets.yml").write_text(yaml.safe_dump(SECRETS))
    return inventory


@pytest.fixture
def aws_environment(tmp_path: Path) -> Path:
    """A copy of inventories/aws, below a root that shares the repository's group_vars."""
    return copied("aws", tmp_path)


def copied(name: str, root: Path) -> Path:
    """A copy of an example environment."""
    inventory = root / "inventories" / name
    shutil.copytree(ROOT / "inventories" / name, inventory, symlinks=True)
    (root / "group_vars").symlink_to(ROOT / "group_vars")
    return inventory


@pytest.fixture
def playbook(environment: Path, tmp_path: Path) -> Callable[..., Run]:
    """Run a playbook against the environment, with extra group variables, and note whether it calls ssh."""
    ssh, contacts = tmp_path / "ssh", tmp_path / "contacts"
    ssh.write_text(f'#!/bin/sh\necho "$*" >> {contacts}\nexit 255\n')
    ssh.chmod(0o755)

    def run(name: str, *options: str, **variables: Any) -> Run:
        code, text = run_playbook(environment, name, *options, ANSIBLE_SSH_EXECUTABLE=str(ssh), **variables)
        return Run(code, text, contacts.read_text() if contacts.exists() else "")

    return run


def run_playbook(environment: Path, name: str, *options: str, **variables: Any) -> tuple[int, str]:
    """The exit code and the text of a playbook with extra group variables; those in upper case are the process's."""
    given = {key: value for key, value in variables.items() if not key.isupper()}
    (environment / "group_vars" / "all" / "test.yml").write_text(yaml.safe_dump(given))
    completed = subprocess.run(
        [BIN / "ansible-playbook", "-i", environment / "hosts.yml", ROOT / "playbooks" / name, *options],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1", **{key: variables[key] for key in variables.keys() - given.keys()}},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return completed.returncode, completed.stdout + completed.stderr


@pytest.fixture
def check(environment: Path) -> Callable[..., list[str]]:
    """Ask the preflight action in this process, and return what is to be mended."""
    return checker(environment, "preflight")


@pytest.fixture
def aws_check(aws_environment: Path) -> Callable[..., list[str]]:
    """Ask the preflight action for AWS in this process, and return what is to be mended."""
    return checker(aws_environment, "aws_preflight")


def checker(environment: Path, name: str, roles: Any = None) -> Callable[..., list[str]]:
    """A function that asks a preflight action with extra group variables, for these roles instead of its playbook's."""
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar
    from ansible.utils.collection_loader import AnsibleCollectionConfig
    from ansible.vars.hostvars import HostVars
    from ansible.vars.manager import VariableManager

    if not AnsibleCollectionConfig.collection_finder:
        init_plugin_loader()
    plugin = load(ROOT / "plugins" / "action" / f"{name}.py")
    [play] = yaml.safe_load((ROOT / "playbooks" / f"{name.replace('_', '-')}.yml").read_text())
    # What a playbook that imports it may set, it takes from its variables.
    its_own = play["vars"]["aws_preflight_roles"] if "vars" in play else play["tasks"][0][name]["roles"]
    task = SimpleNamespace(action=name, args={"roles": roles or its_own}, async_val=0, check_mode=False)
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="unused"))

    def run(**variables: Any) -> list[str]:
        (environment / "group_vars" / "all" / "test.yml").write_text(yaml.safe_dump(variables, sort_keys=False))
        loader = DataLoader()
        loader.set_basedir(str(ROOT / "playbooks"))
        inventory = InventoryManager(loader=loader, sources=[str(environment / "hosts.yml")])
        manager = VariableManager(loader=loader, inventory=inventory)
        hostvars = HostVars(inventory=inventory, variable_manager=manager, loader=loader)
        action = plugin.ActionModule(task, connection, SimpleNamespace(), loader, Templar(loader=loader), None)
        result = action.run(task_vars={"groups": inventory.get_groups_dict(), "hostvars": hostvars})
        problems: list[str] = result.get("problems", [])
        assert bool(problems) == bool(result.get("failed"))
        return problems

    return run
