#!/usr/bin/python3
"""Brings the store up on a clone of the golden image, and takes up secrets that were changed since.

``bookstore-boot`` at boot, ``bookstore-boot --refresh`` by a timer. Both read what the instance was given (user data:
names and ARNs, never a secret), fetch the secret that it names, and start the store's container as the image's own
description of it says. Until the store is ready nginx is pointed at nothing and answers 503: the load balancer sends
nobody here.

Each step tells its seconds, each failure is one line that names the step. What may mend itself is tried again with
growing pauses; what cannot, such as a malformed user data, ends with 78 (EX_CONFIG) and is not tried again.
"""

from __future__ import annotations

import argparse
import difflib
import http.client
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

RUN = Path("/run/bookstore")
# A database that is being made or restored takes minutes; systemd starts the unit again after this.
PATIENCE_SECONDS = 600.0
LONGEST_PAUSE = 15.0
EX_CONFIG = 78
EX_TEMPFAIL = 75
MIN_SECRET_LENGTH = 32

ENVIRONMENT_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html#iam-resources
SECRET_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):\d{12}:secret:[A-Za-z0-9/_+=.@-]+")
# https://docs.aws.amazon.com/efs/latest/ug/API_FileSystemDescription.html
FILE_SYSTEM = re.compile(r"fs-[0-9a-f]{8,40}")
ACCESS_POINT = re.compile(r"fsap-[0-9a-f]{8,40}")

# Keys of the user data: their type, and what they say.
KEYS: dict[str, tuple[type, str]] = {
    "environment": (str, "name of the environment, for people"),
    "region": (str, "AWS region of the secret and of the file system"),
    "release": (str, "release that the instance is to run, which must be the image's"),
    "secret_arn": (str, "secret in Secrets Manager, a JSON object of environment variables"),
    "secret_file": (str, "the same in a file, where there is no Secrets Manager"),
    "database_host": (str, "address of the MySQL server"),
    "database_port": (int, "its port, 3306 where it is left out"),
    "database_name": (str, "name of the database, bookstore where it is left out"),
    "file_system_id": (str, "EFS file system of the covers"),
    "access_point_id": (str, "its access point"),
    "covers_address": (str, "address of the covers' NFS server, where it is not EFS"),
    "settings": (dict, "further environment variables of the store, none of them secret"),
    "trial": (bool, "true: an empty database of its own, to prove an image without any other host"),
}


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


# What the instance was given.


@dataclass(frozen=True)
class Metadata:
    """Instance metadata, version 2 (token required).

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    """

    url: str

    def user_data(self) -> bytes:
        """The instance's user data.

        Raises:
            Refused: it was given none.
            BootError: the service did not answer.
        """
        try:
            seconds = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
            token = _http("PUT", f"{self.url}/latest/api/token", seconds).decode()
            return _http("GET", f"{self.url}/latest/user-data", {"X-aws-ec2-metadata-token": token})
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise Refused("this instance was given none; the launch template must name the database") from None
            raise BootError(f"the instance's metadata answered {error.code}") from None
        except (OSError, http.client.HTTPException) as error:
            raise BootError(f"the instance's metadata at {self.url} does not answer ({_reason(error)})") from None


def _http(method: str, url: str, headers: Mapping[str, str]) -> bytes:
    request = urllib.request.Request(url, method=method, headers=dict(headers))
    # No proxy: it would ask for its own metadata.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=3) as response:
        content: bytes = response.read()
    return content


def read_user_data(source: str) -> bytes:
    """User data from the metadata service (an address) or from a file.

    Raises:
        BootError: it is not there, perhaps not yet.
    """
    if source.startswith("http"):
        return Metadata(source.rstrip("/")).user_data()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise BootError(f"{source} cannot be read ({_reason(error)})") from None


def check_user_data(raw: bytes) -> dict[str, Any]:
    """The user data's keys, all known and each of its form.

    Raises:
        Refused: it is not that; the text says where and how to mend it.
    """
    try:
        data = json.loads(raw.decode())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Refused(f"it is no JSON ({error}); give one object with names and ARNs") from None
    if not isinstance(data, dict):
        raise Refused("it is no JSON object; write {" + '"database_host": "…", …}')
    for key, value in data.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            mend = f'did you mean "{near[0]}"?' if near else f"the keys are {', '.join(KEYS)}"
            raise Refused(f'"{key}" is no key that this image knows; {mend}')
        if type(value) is not KEYS[key][0]:
            kind = {str: "text", int: "number", bool: "true or false", dict: "object"}[KEYS[key][0]]
            raise Refused(f'"{key}" must be {kind} ({KEYS[key][1]})')
    # An environment without covers on EFS leaves their names empty.
    data = {key: value for key, value in data.items() if value != ""}
    if data.get("trial"):
        return data
    _check_names(data)
    return data


def _check_names(data: Mapping[str, Any]) -> None:
    if "database_host" not in data:
        raise Refused('"database_host" is missing: the address of the MySQL server')
    if ("secret_arn" in data) == ("secret_file" in data):
        raise Refused('give either "secret_arn" or "secret_file": where the session key and the password are')
    if arn := data.get("secret_arn"):
        found = SECRET_ARN.fullmatch(arn)
        if not found:
            raise Refused(f'"secret_arn" is {arn}, which is no ARN of a secret (arn:aws:secretsmanager:…:secret:…)')
        if data.get("region", found[1]) != found[1]:
            raise Refused(f'"secret_arn" is of {found[1]} and "region" is {data["region"]}; use one region')
    for key, form in (("file_system_id", FILE_SYSTEM), ("access_point_id", ACCESS_POINT)):
        if key in data and not form.fullmatch(data[key]):
            raise Refused(
                f'"{key}" is {data[key]}, which is none; it looks like {form.pattern.partition("[")[0]}0123abcd'
            )
    if "access_point_id" in data and "file_system_id" not in data:
        raise Refused('"access_point_id" needs "file_system_id"')
    if not 1 <= data.get("database_port", 3306) <= 65535:
        raise Refused('"database_port" must be from 1 to 65535')
    for name, value in data.get("settings", {}).items():
        _check_variable(f'"settings" has {name}', name, value)


def _check_variable(where: str, name: str, value: object) -> None:
    if not ENVIRONMENT_NAME.fullmatch(name) or not isinstance(value, str) or "\n" in value or "\r" in value:
        raise Refused(f"{where}, which is no environment variable: upper case, and a text of one line")


# Secrets.


def fetch_secret(data: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables of the secret that the user data names.

    Raises:
        Refused: there is no such secret, or it lacks something.
        BootError: it could not be read this time.
    """
    name = data.get("secret_arn") or data["secret_file"]
    text = _from_secrets_manager(name) if "secret_arn" in data else _from_file(name)
    try:
        secret = json.loads(text)
    except json.JSONDecodeError:
        # The text is not shown: it is a secret, only a damaged one.
        raise Refused(f"{name} is no JSON object of environment variables") from None
    if not isinstance(secret, dict):
        raise Refused(f"{name} is no JSON object of environment variables")
    for variable, value in secret.items():
        _check_variable(f"{name} has {variable}", variable, value)
    for variable in ("SECRET_KEY", "DB_PASS"):
        if not secret.get(variable):
            raise Refused(f"{name} has no {variable}")
    if len(secret["SECRET_KEY"]) < MIN_SECRET_LENGTH:
        raise Refused(f"{name} has a SECRET_KEY of less than {MIN_SECRET_LENGTH} characters")
    return secret


def _from_file(name: str) -> str:
    try:
        return Path(name).read_text()
    except FileNotFoundError:
        raise Refused(f"{name} does not exist") from None
    except OSError as error:
        raise BootError(f"{name} cannot be read ({_reason(error)})") from None


def _from_secrets_manager(arn: str) -> str:
    # Here, because a clone that reads its secret from a file does without.
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise Refused(
            f'{arn} is in Secrets Manager, and this image was baked without boto3; give "secret_file", or bake it with '
            "the metadata service as golden_image_user_data"
        ) from None

    try:
        client = boto3.client("secretsmanager", region_name=arn.split(":")[3])
        text: str = client.get_secret_value(SecretId=arn)["SecretString"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("ResourceNotFoundException", "InvalidRequestException", "ValidationException"):
            raise Refused(f"{arn} does not exist or is being deleted ({code})") from None
        # A role that was made a moment ago may not be known everywhere yet.
        raise BootError(f"{arn} was not given to this instance ({code})") from None
    except BotoCoreError as error:
        raise BootError(f"{arn} could not be fetched ({type(error).__name__}: {_reason(error)})") from None
    except KeyError:
        raise Refused(f"{arn} holds bytes, not a text") from None
    return text


# The store.


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


def write_private(path: Path, text: str) -> None:
    """Write a file that root alone can read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def docker(*arguments: str) -> str:
    """Run docker; return what it prints.

    Raises:
        BootError: it failed, with the last line that it said.
    """
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise BootError(f"docker {arguments[0]}: {_last_line(done.stderr) or _last_line(done.stdout)}")
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
            f"--name=bookstore-{color}",
            f"--env-file={RUN / 'environment'}",
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
                raise BootError(f"{' '.join(self.image.proxy_check)}: {_last_line(checked.stderr)}")
        systemctl("reload-or-restart", self.image.proxy_service)


def ready(port: int) -> dict[str, Any]:
    """What a container answers at /ready; nothing where it does not, or where it is no JSON object."""
    try:
        try:
            body = _http("GET", f"http://127.0.0.1:{port}/ready", {})
        except urllib.error.HTTPError as error:
            body = error.read()
        answer = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


def systemctl(verb: str, unit: str) -> None:
    """Ask systemd for something.

    Raises:
        BootError: it failed.
    """
    done = subprocess.run(["systemctl", verb, unit], capture_output=True, text=True)
    if done.returncode:
        raise BootError(f"systemctl {verb} {unit}: {_last_line(done.stderr)}")


def reach(host: str, port: int) -> None:
    """Connect to the database's port.

    Raises:
        BootError: nothing answers there, or the name leads nowhere.
    """
    try:
        socket.create_connection((host, port), timeout=3).close()
    except socket.gaierror as error:
        raise BootError(f'"database_host" is {host}, and the name leads nowhere ({_reason(error)})') from None
    except OSError as error:
        raise BootError(f'{host}:{port} does not answer ({_reason(error)}); is "database_host" right?') from None


# The whole.


@dataclass(frozen=True)
class Options:
    """What the unit says."""

    user_data: str
    container: Path
    covers_service: str
    covers_unit: str
    patience: float


def read_wishes(options: Options) -> tuple[Image, dict[str, Any]]:
    """The image's description and the instance's user data.

    Raises:
        BootError, Refused: one of them cannot be used.
    """
    with step("user data"):
        image = Image.read(options.container)
        raw = persist("user data", lambda: read_user_data(options.user_data), options.patience)
        data = check_user_data(raw)
        if data.get("release", image.release) != image.release:
            raise Refused(f'"release" is {data["release"]}, and this image holds {image.release}')
    return image, data


def boot(options: Options) -> None:
    """Bring the store up.

    Raises:
        BootError, Refused: a step failed; nginx goes on answering 503.
    """
    began = time.monotonic()
    image, data = read_wishes(options)
    secret: dict[str, str] = {}
    if not data.get("trial"):
        with step("secret"):
            secret = persist("secret", lambda: fetch_secret(data), options.patience)
    with step("environment"):
        write_private(RUN / "environment", environment_text(environment(image, data, secret)))
    mounting = mount_covers(options, data)
    if not data.get("trial"):
        with step("database"):
            where = data["database_host"], data.get("database_port", 3306)
            persist("database", lambda: reach(*where), options.patience)
    store, deadline = Store(image), time.monotonic() + options.patience
    while True:
        try:
            # A minute at a time: a password that was changed since is in the secret by now.
            store.release(min(60.0, options.patience))
            break
        except Refused:
            raise
        except BootError as error:
            if time.monotonic() > deadline:
                raise
            tell(f"{error}; fetching the secret again")
        renew(image, data)
    tell(f"healthy {time.monotonic() - began:.2f} s after it began, {uptime():.2f} s after the machine did")
    if mounting:
        mounting.join()


def mount_covers(options: Options, data: Mapping[str, Any]) -> threading.Thread | None:
    """Begin to mount the covers' file system, if one is named.

    Nobody waits for it: without it the store sells all the same, /ready says so, and it is mounted when it comes.

    Raises:
        Refused: the image cannot mount one.
    """
    if not {"file_system_id", "covers_address"} & data.keys():
        tell("covers: no shared file system is named; they stay on this host")
        return None
    if not options.covers_service:
        raise Refused("covers: a file system is named, and this image was baked without the means to mount one")
    names = {
        "EFS_FILE_SYSTEM_ID": "file_system_id",
        "EFS_ACCESS_POINT": "access_point_id",
        "EFS_REGION": "region",
        "EFS_ADDRESS": "covers_address",
    }
    text = environment_text({name: data[key] for name, key in names.items() if key in data})
    Path(f"/run/{options.covers_service}.conf").write_text(text)
    mounting = threading.Thread(target=_mount, args=(options.covers_service, options.covers_unit), daemon=True)
    mounting.start()
    return mounting


def _mount(service: str, unit: str) -> None:
    try:
        with step("covers"):
            systemctl("restart", service)
            systemctl("start", unit)
    except BootError as error:
        tell(f"{error} `journalctl -u {service}` says why. The store sells without covers; the mounting goes on.")


def renew(image: Image, data: Mapping[str, Any]) -> bool:
    """Fetch the secret again and write the environment; tell whether it changed."""
    if data.get("trial"):
        return False
    with named("secret"):
        secret = fetch_secret(data)
    text = environment_text(environment(image, data, secret))
    if text == (RUN / "environment").read_text():
        return False
    write_private(RUN / "environment", text)
    return True


def refresh(options: Options) -> None:
    """Take up a secret that was changed, such as a rotated password, without a pause.

    Raises:
        BootError, Refused: the secret could not be read, or no store became ready on it; the live one goes on.
    """
    image = Image.read(options.container)
    store = Store(image)
    if not store.live_color():
        return
    with named("user data"):
        data = check_user_data(read_user_data(options.user_data))
    before = (RUN / "environment").read_text()
    if not renew(image, data):
        return
    tell("refresh: the secret was changed")
    try:
        store.release(options.patience)
    except BootError:
        # As if it had not been read: the next run tries again.
        write_private(RUN / "environment", before)
        raise


def uptime() -> float:
    """Seconds since this host's first process began; in a lab host that is not the kernel's boot."""
    started = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return str(reason).splitlines()[0] if str(reason) else type(error).__name__


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def main() -> int:
    """Boot or refresh; a failure is one line."""
    parser = argparse.ArgumentParser(prog="bookstore-boot", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--refresh", action="store_true", help="take up a secret that was changed")
    parser.add_argument("--user-data", required=True, help="address of the metadata service, or a file")
    parser.add_argument("--container", required=True, type=Path, help="how the container is started (JSON)")
    parser.add_argument("--covers-service", default="", help="service that mounts what /run/<service>.conf names")
    parser.add_argument("--covers-unit", default="", help="unit of that mount")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, help="seconds that a step may take")
    arguments = parser.parse_args()
    options = Options(**{name: value for name, value in vars(arguments).items() if name != "refresh"})
    try:
        (refresh if arguments.refresh else boot)(options)
    except Refused as error:
        tell(f"FAILED at {error}. This is not tried again until the cause is mended.")
        return EX_CONFIG
    except BootError as error:
        tell(f"FAILED at {error}.")
        return EX_TEMPFAIL
    except OSError as error:
        # A full disk, a file that somebody removed: the error names it.
        tell(f"FAILED: {error}.")
        return EX_TEMPFAIL
    return 0


if __name__ == "__main__":
    sys.exit(main())
