"""`make vault`: secrets that nobody has seen, encrypted from the first byte."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tests.ansible.conftest import BIN, ROOT


@pytest.fixture(scope="module")
def vaults() -> ModuleType:
    spec = importlib.util.spec_from_file_location("new_vault", ROOT / "inventories" / "new_vault.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "inventories" / "two-vms", tmp_path / "inventories" / "production", symlinks=True)
    (tmp_path / "group_vars").symlink_to(ROOT / "group_vars")
    return tmp_path


def test_it_is_encrypted_private_and_opens_with_its_password(vaults: ModuleType, root: Path) -> None:
    vault, password = vaults.new_vault("production", root)

    assert vault.read_text().startswith("$ANSIBLE_VAULT;1.1;AES256")
    assert vault.stat().st_mode & 0o777 == password.stat().st_mode & 0o777 == 0o600
    opened = subprocess.run(
        [BIN / "ansible-vault", "view", "--vault-password-file", password, vault],
        capture_output=True,
        text=True,
        check=True,
    )
    secrets = yaml.safe_load(opened.stdout)
    assert sorted(secrets) == ["vault_database_password", "vault_secret_key"]
    assert len(secrets["vault_secret_key"]) >= 48


def test_preflight_passes_with_it(vaults: ModuleType, root: Path) -> None:
    _, password = vaults.new_vault("production", root)

    run = subprocess.run(
        [BIN / "ansible-playbook", "-i", root / "inventories" / "production", ROOT / "playbooks" / "preflight.yml"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_VAULT_PASSWORD_FILE": str(password)},
        capture_output=True,
        text=True,
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_a_vault_that_exists_stays(vaults: ModuleType, root: Path) -> None:
    vault, _ = vaults.new_vault("production", root)
    before = vault.read_bytes()

    with pytest.raises(vaults.VaultError, match="exists and stays as it is"):
        vaults.new_vault("production", root)

    assert vault.read_bytes() == before


@pytest.mark.parametrize("name", ["", "prodction", "../two-vms/.."])
def test_an_unknown_environment_is_said(vaults: ModuleType, root: Path, name: str) -> None:
    with pytest.raises(vaults.VaultError, match="Name one of production"):
        vaults.new_vault(name, root)


def test_an_example_stays_without_secrets(vaults: ModuleType, root: Path) -> None:
    with pytest.raises(vaults.VaultError, match="is an example"):
        vaults.new_vault("two-vms", root)
