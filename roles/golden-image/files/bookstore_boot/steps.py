"""Steps that tell how they went: their errors, their pauses, and the small things that all of them use."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LONGEST_PAUSE = 15.0


class BootError(Exception):
    """A step failed and may go well another time. Its text is one line."""


class Refused(BootError):
    """A step failed and will fail again: somebody must mend its cause."""


def tell(text: str) -> None:
    """Write a line; systemd takes it to the journal and to the console."""
    print(f"bookstore-boot: {text}", flush=True)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Name a step in its failure.

    Raises:
        BootError, Refused: as the step raised them, with its name.
    """
    try:
        yield
    except BootError as error:
        raise type(error)(f"{name}: {error}") from error


@contextmanager
def step(name: str) -> Iterator[None]:
    """The same, and tell how long it took."""
    began = time.monotonic()
    with named(name):
        yield
    tell(f"{name}: done in {time.monotonic() - began:.2f} s")


def persist(name: str, attempt: Callable[[], T], patience: float) -> T:
    """Attempt something until it goes well, with pauses of 1, 2, 4 … 15 seconds.

    Raises:
        BootError: it had not gone well when ``patience`` seconds were over.
        Refused: as raised by the attempt, at once.
    """
    deadline, pause = time.monotonic() + patience, 1.0
    while True:
        try:
            return attempt()
        except Refused:
            raise
        except BootError as error:
            if time.monotonic() + pause > deadline:
                raise
            tell(f"{name}: {error}; trying again in {pause:.0f} s")
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def http_request(method: str, url: str, headers: Mapping[str, str]) -> bytes:
    """Ask for something nearby; what the answer holds."""
    request = urllib.request.Request(url, method=method, headers=dict(headers))
    # No proxy: it would ask for its own metadata.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=3) as response:
        content: bytes = response.read()
    return content


def write_private(path: Path, text: str) -> None:
    """Write a file that root alone can read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def systemctl(verb: str, unit: str) -> None:
    """Ask systemd for something.

    Raises:
        BootError: it failed.
    """
    done = subprocess.run(["systemctl", verb, unit], capture_output=True, text=True)
    if done.returncode:
        raise BootError(f"systemctl {verb} {unit}: {last_line(done.stderr)}")


def reason(error: BaseException) -> str:
    """Why, in one line."""
    found = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return str(found).splitlines()[0] if str(found) else type(error).__name__


def last_line(text: str) -> str:
    """What a program said last."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
