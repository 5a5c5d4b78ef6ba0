"""What `make image` does with what a run that was broken off left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.baking import Frozen

LAB = "lab"
FROZEN = Frozen(LAB, "golden:lab", "lab-golden-docker")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[str]]:
    """A docker that has a clone's volume and, where asked, its container; returns what it is asked while a clone is made."""

    def clone(*, container: bool) -> list[str]:
        (tmp_path / "docker").write_text(f"""#!/bin/sh
echo "$@" >> {tmp_path}/asked
case "$1 $2" in "container inspect") exit {0 if container else 1};; "volume inspect") echo '[{{}}]';; esac
""")
        (tmp_path / "docker").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        FROZEN.host("clone-1", tmp_path)
        return (tmp_path / "asked").read_text().splitlines()

    return clone


def test_half_a_copy_of_the_disk_is_made_anew(engine: Callable[..., list[str]]) -> None:
    asked = engine(container=False)

    removed = asked.index("volume rm --force lab-clone-1-docker")
    copied = next(number for number, line in enumerate(asked) if line.endswith("cp --archive /from/. /to/"))
    # The engine goes on copying when the one who asked it to is dead.
    assert asked.index("rm --force lab-clone-1-docker-copy") < removed < copied
    assert "--name lab-clone-1-docker-copy" in asked[copied]
    assert f"--label bookstore.lab={LAB}" in asked[copied]


def test_the_disk_of_a_clone_that_is_there_stays(engine: Callable[..., list[str]]) -> None:
    assert not [line for line in engine(container=True) if line.startswith(("run", "volume rm", "volume create"))]
