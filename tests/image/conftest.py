"""The clones of `make image`, and further ones on a network that leads nowhere else."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from lab import image
from lab.python import playbook

Given = dict[str, Any] | str


def pytest_configure() -> None:
    if not image.FACTS.exists():
        pytest.exit("There are no clones: run `make image` first.", returncode=2)


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(image.FACTS.read_text())
    return content


@dataclass(frozen=True)
class Clone:
    """A clone of the golden image."""

    container: str

    def run(self, *command: str) -> str:
        """Run a command in it; what it prints."""
        done = subprocess.run(["docker", "exec", self.container, *command], capture_output=True, text=True)
        return (done.stdout + done.stderr).strip()

    @property
    def address(self) -> str:
        return image.address(self.container)

    def get(self, path: str, **headers: str) -> requests.Response:
        """Ask its nginx, as the load balancer does."""
        return requests.get(f"http://{self.address}{path}", headers=headers, timeout=10)

    def journal(self) -> str:
        """What its boot told."""
        return self.run("journalctl", "--unit=bookstore-boot", "--output=cat", "--no-pager")

    def wait_for(self, what: str, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until something is so.

        Raises:
            AssertionError: it is not, with what the boot told.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except requests.RequestException:
                pass
            assert time.monotonic() < deadline, f"{self.container}: not {what}:\n{self.journal()}"
            time.sleep(0.2)

    def wait_until_healthy(self) -> None:
        self.wait_for("healthy", lambda: self.get("/health").status_code == 200)


@pytest.fixture
def clones(facts: dict[str, Any]) -> dict[str, Clone]:
    """The two behind the load balancer."""
    return {name: Clone(one["container"]) for name, one in facts["clones"].items()}


@pytest.fixture
def boot(facts: dict[str, Any], tmp_path: Path) -> Iterator[Callable[[dict[str, Given]], dict[str, Clone]]]:
    """Boots further clones, each on what it is given, where only the database can be reached; all at once."""
    lab = facts["image"].partition(":")[2]
    frozen = image.Frozen.of(lab)
    cut = f"{lab}-cut"
    values = {"lab_name": cut, "lab_directory": str(tmp_path), "lab_inventory": str(tmp_path / "hosts.yml")}

    def create(hosts: list[image.Host]) -> None:
        playbook("lab/create.yml", "-e", json.dumps({**values, "lab_internal": True, "lab_hosts": hosts}))

    def start(given: dict[str, Given]) -> dict[str, Clone]:
        create([])
        image.run("docker", "network", "connect", "--alias", "db", cut, facts["database"]["container"])
        hosts, waiting = [], {}
        for name, data in given.items():
            folder = image.given(name, {})
            (folder / "user-data.json").unlink()
            hosts.append(image.Frozen(cut, frozen.image, frozen.volume).host(name, folder, f"{cut}-covers"))
            waiting[folder / "user-data.json"] = data if isinstance(data, str) else json.dumps(data)
        create(hosts)
        for file, text in waiting.items():
            file.write_text(text)
        return {name: Clone(f"{cut}-{name}") for name in given}

    try:
        yield start
    finally:
        subprocess.run(["docker", "network", "disconnect", cut, facts["database"]["container"]], capture_output=True)
        image.remove(cut)
