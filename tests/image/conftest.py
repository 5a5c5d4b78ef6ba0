"""The clones of `make image`, and further ones on a network that leads nowhere else."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from lab import baking, image


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
    network: str

    def run(self, *command: str) -> str:
        """Run a command in it; what it prints."""
        done = subprocess.run(["docker", "exec", self.container, *command], capture_output=True, text=True)
        return (done.stdout + done.stderr).strip()

    @property
    def address(self) -> str:
        return baking.address(self.container, self.network)

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
def clones(facts: dict[str, Any], lab: str) -> dict[str, Clone]:
    """The two behind the load balancer."""
    return {name: Clone(one["container"], lab) for name, one in facts["clones"].items()}


@pytest.fixture
def lab(facts: dict[str, Any]) -> str:
    """Starts the names of everything of `make image`."""
    return str(facts["image"]).partition(":")[2]


@pytest.fixture
def boot(lab: str) -> Iterator[Callable[[dict[str, object]], dict[str, Clone]]]:
    """Boots further clones where only the database can be reached, all at once, each on what it is given."""
    with image.secluded(lab) as start:
        yield lambda given: {name: Clone(container, f"{lab}-secluded") for name, container in start(given).items()}


@pytest.fixture
def good(lab: str) -> dict[str, object]:
    """User data of a further clone that lack nothing."""
    return {**image.GIVEN, "database_host": str(image.secluded_subnet(lab)[10])}
