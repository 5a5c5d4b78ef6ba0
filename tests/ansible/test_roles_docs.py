"""Each role's specification, defaults and README say the same, and every variable has a reader."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import pytest

from tests.ansible.conftest import ROOT, load

ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/meta/argument_specs.yml"))


@pytest.fixture(scope="module")
def readmes() -> ModuleType:
    return load(ROOT / "docs" / "role_readmes.py")


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_nothing_drifts(readmes: ModuleType, role: Path) -> None:
    assert list(readmes.drift(role)) == []


@pytest.fixture
def role(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "roles" / "docker", tmp_path / "docker"))


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("defaults/main.yml", "docker_source: distribution", "docker_source: docker", "'docker' by default"),
        ("defaults/main.yml", "\ndocker_users: []", "", "docker_users has a default in only one of"),
        (
            "defaults/main.yml",
            "docker_users: []",
            "docker_users: []\n# x\ndocker_group: y",
            "docker_group has a default but",
        ),
        ("meta/argument_specs.yml", "      docker_users:", "      docker_people:", "docker_people is read nowhere"),
        ("README.md", "Docker", "docker", "README.md is not what"),
    ],
)
def test_each_drift_is_noticed(readmes: ModuleType, role: Path, file: str, old: str, new: str, told: str) -> None:
    text = (role / file).read_text()
    assert old in text
    (role / file).write_text(text.replace(old, new))

    assert any(told in drift for drift in readmes.drift(role))


def test_a_default_without_a_comment_is_noticed(readmes: ModuleType, role: Path) -> None:
    defaults = role / "defaults" / "main.yml"
    lines = [line for line in defaults.read_text().splitlines() if not line.startswith("#")]
    defaults.write_text("\n".join(lines) + "\n")

    assert "docker_users has no comment in defaults/main.yml" in list(readmes.drift(role))
