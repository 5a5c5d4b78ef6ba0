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
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .given import check_user_data, fetch_secret, read_user_data
from .steps import BootError, Refused, named, persist, step, systemctl, tell, write_private
from .store import ENVIRONMENT, Image, Store, environment, environment_text, reach

# A database that is being made or restored takes minutes; systemd starts the unit again after this.
PATIENCE_SECONDS = 600.0
EX_CONFIG = 78
EX_TEMPFAIL = 75


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
        write_private(ENVIRONMENT, environment_text(environment(image, data, secret)))
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
    if text == ENVIRONMENT.read_text():
        return False
    write_private(ENVIRONMENT, text)
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
    before = ENVIRONMENT.read_text()
    if not renew(image, data):
        return
    tell("refresh: the secret was changed")
    try:
        store.release(options.patience)
    except BootError:
        # As if it had not been read: the next run tries again.
        write_private(ENVIRONMENT, before)
        raise


def uptime() -> float:
    """Seconds since this host's first process began; in a lab host that is not the kernel's boot."""
    started = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


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
