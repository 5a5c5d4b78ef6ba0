"""The store: the container that the bake described, its environment, and nginx's pointer at it."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import socket
import subprocess
import time
import urllib.error
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .steps import BootError, Refused, http_request, last_line, persist, reason, step, systemctl, tell

RUN = Path("/run/bookstore")
ENVIRONMENT = RUN / "environment"


@dataclass(frozen=True)
class Image:
    """How the image's container is started, as the bake wrote it down."""

    release: str
    image: str
    arguments: list[str]
    settings: dict[str, str]
    ports: dict[str, int]
    upstream_file: Path
    proxy_check: list[str]
    proxy_service: str
    ready_timeout: int
    drain_seconds: int
    stop_timeout: int

    @classmethod
    def read(cls, path: Path) -> Image:
        """Read the description.

        Raises:
            Refused: it is missing or not whole.
        """
        try:
            values = json.loads(path.read_text())
            return cls(**{**values, "upstream_file": Path(values["upstream_file"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Refused(f"{path} does not describe the store's container ({error}); bake the image anew") from None


def environment(image: Image, data: Mapping[str, Any], secret: Mapping[str, str]) -> dict[str, str]:
    """The store's whole environment; a secret's word comes last."""
    settings: dict[str, str] = {**image.settings, **data.get("settings", {})}
    if data.get("trial"):
        settings.pop("DB_SSL_CA", None)
        return {**settings, "SECRET_KEY": secrets.token_urlsafe(40), "DATABASE_URL": "sqlite:////tmp/trial.sqlite"}
    database = {
        "DB_HOST": data["database_host"],
        "DB_PORT": str(data.get("database_port", 3306)),
        "DB_NAME": data.get("database_name", "bookstore"),
        "DB_USER": "bookstore",
    }
    return {**settings, **database, **secret}


def environment_text(variables: Mapping[str, str]) -> str:
    """A file for ``docker run --env-file``."""
    return "".join(f"{name}={value}\n" for name, value in sorted(variables.items()))


def docker(*arguments: str) -> str:
    """Run docker; return what it prints.

    Raises:
        BootError: it failed, with the last line that it said.
    """
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise BootError(f"docker {arguments[0]}: {last_line(done.stderr) or last_line(done.stdout)}")
    return done.stdout + done.stderr


class Store:
    """The store's containers, of which nginx is pointed at one at most."""

    def __init__(self, image: Image) -> None:
        self.image = image

    def live_color(self) -> str:
        """What nginx is pointed at: blue, green or nothing."""
        try:
            text = self.image.upstream_file.read_text()
        except OSError:
            return ""
        found = re.search(r"The live container: (blue|green)\.", text)
        return found[1] if found else ""

    def release(self, patience: float) -> None:
        """Start a container on the written environment beside the live one, prove it, let it take over.

        Raises:
            BootError: it did not become ready; the live one goes on.
        """
        live = self.live_color()
        color = "green" if live == "blue" else "blue"
        try:
            with step("start"):
                self._run(color)
            with step("ready"):
                persist("ready", lambda: self._prove(color), patience)
        except BootError:
            subprocess.run(["docker", "rm", "--force", f"bookstore-{color}"], capture_output=True)
            raise
        with step("serve"):
            self._point(color)
        if live:
            time.sleep(self.image.drain_seconds)
            docker("stop", "-t", str(self.image.stop_timeout), f"bookstore-{live}")
            docker("rm", "--force", f"bookstore-{live}")

    def _run(self, color: str) -> None:
        subprocess.run(["docker", "rm", "--force", f"bookstore-{color}"], capture_output=True)
        labels = [f"--label=bookstore.color={color}", f"--label=bookstore.release={self.image.release}"]
        docker(
            "run",
            "--detach",
            # Not after the engine's own start: what it ran with before the reboot may be out of date.
            "--restart=on-failure",
            f"--name=bookstore-{color}",
            f"--env-file={ENVIRONMENT}",
            f"--publish=127.0.0.1:{self.image.ports[color]}:8000",
            *labels,
            *self.image.arguments,
            self.image.image,
        )

    def _prove(self, color: str) -> None:
        """Wait until a container is ready; migrate on the way if the schema is not its own.

        Raises:
            BootError: it is not, for a reason that may pass.
            Refused: the container does not run.
        """
        deadline = time.monotonic() + self.image.ready_timeout
        while time.monotonic() < deadline:
            answer = ready(self.image.ports[color])
            if answer.get("status") == "healthy":
                return
            if answer.get("schema") == "different":
                began = time.monotonic()
                # One instance migrates under the database's lock; the others wait there and find it done.
                docker("exec", f"bookstore-{color}", "flask", "--app", "bookstore", "db", "upgrade")
                tell(f"migrate: done in {time.monotonic() - began:.2f} s")
            elif answer.get("database") == "unavailable":
                raise BootError(f"the store cannot use the database: {self._complaint(color)}")
            elif not answer and self._is_stopped(color):
                raise Refused(f"the store does not start: {self._complaint(color)}")
            time.sleep(0.1)
        raise BootError(f"the store was not ready within {self.image.ready_timeout} s: {self._complaint(color)}")

    def _is_stopped(self, color: str) -> bool:
        state = docker("inspect", "--format", "{{.State.Running}} {{.RestartCount}}", f"bookstore-{color}").split()
        return state[0] != "true" or int(state[1]) > 2

    def _complaint(self, color: str) -> str:
        """The line of a container's log that says best what is wrong."""
        lines = docker("logs", "--tail", "40", f"bookstore-{color}").splitlines()
        told = [line for line in lines if "database unavailable" in line] or lines[-1:] or ["its log is empty"]
        return told[-1].strip()[:400]

    def _point(self, color: str) -> None:
        text = f"# The live container: {color}. Written at boot.\nserver 127.0.0.1:{self.image.ports[color]};\n"
        before = self.image.upstream_file.read_text() if self.image.upstream_file.exists() else ""
        self.image.upstream_file.write_text(text)
        if not self.image.proxy_service:
            return
        if self.image.proxy_check:
            checked = subprocess.run(self.image.proxy_check, capture_output=True, text=True)
            if checked.returncode:
                self.image.upstream_file.write_text(before)
                raise BootError(f"{' '.join(self.image.proxy_check)}: {last_line(checked.stderr)}")
        systemctl("reload-or-restart", self.image.proxy_service)


def ready(port: int) -> dict[str, Any]:
    """What a container answers at /ready; nothing where it does not, or where it is no JSON object."""
    try:
        try:
            body = http_request("GET", f"http://127.0.0.1:{port}/ready", {})
        except urllib.error.HTTPError as error:
            body = error.read()
        answer = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


def reach(host: str, port: int) -> None:
    """Connect to the database's port.

    Raises:
        BootError: nothing answers there, or the name leads nowhere.
    """
    try:
        socket.create_connection((host, port), timeout=3).close()
    except socket.gaierror as error:
        raise BootError(f'"database_host" is {host}, and the name leads nowhere ({reason(error)})') from None
    except OSError as error:
        raise BootError(f'{host}:{port} does not answer ({reason(error)}); is "database_host" right?') from None
