"""Where the store under test is: `make up`'s by default, any other by options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.system.customer import Customer
from tests.system.names import send_to

LAB = Path(__file__).resolve().parents[2] / ".lab" / "lab.json"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--url", help="address of the store, e.g. https://shop.example")
    parser.addoption("--ca", help="file with the CA that its certificate is from; without it, the system's")
    parser.addoption("--address", help="address to connect to instead of the one that the URL's name has")


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest) -> tuple[str, str | bool]:
    """URL of the store and what to verify its certificate with."""
    url, ca = request.config.getoption("--url"), request.config.getoption("--ca")
    if url:
        return url, ca or True
    if not LAB.exists():
        pytest.exit("No store is named: give --url, or run `make up` first.", returncode=2)
    lab = json.loads(LAB.read_text())
    return lab["url"], lab["ca_file"]


@pytest.fixture(scope="session", autouse=True)
def name_resolution(request: pytest.FixtureRequest) -> None:
    """Connect to --address, where one is given."""
    if address := request.config.getoption("--address"):
        send_to(request.config.getoption("--url"), address)


@pytest.fixture
def customer(store: tuple[str, str | bool]) -> Customer:
    """Somebody with a fresh cookie jar."""
    return Customer(*store)


@pytest.fixture
def other_customer(store: tuple[str, str | bool]) -> Customer:
    """Somebody else."""
    return Customer(*store)
