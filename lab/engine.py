"""The Docker engine: the one that answers, or one that is installed and started here."""

from __future__ import annotations

import fcntl
import grp
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from lab.settings import LabError
from lab.shell import as_root, install_packages, output, run, say

SOCKET = Path("/var/run/docker.sock")
# Says that the running engine was started by a lab, so that the last lab to go may stop it.
OWNED = Path("/run/bookstore-lab-engine.pid")
# Says that a lab let this user talk to the running engine, for the last one to take that back.
BORROWED = Path(f"/run/bookstore-lab-socket.{os.getuid()}")
# Held by every lab that uses the engine, to the end of its command: it may have no container yet.
USERS = Path("/run/lock/bookstore-lab-engine")


def answers() -> bool:
    """Whether an engine answers to this user."""
    return output("docker", "version", "--format", "{{.Server.Version}}") is not None


def ensure_engine() -> None:
    """Use the engine that answers; install and start one where none does.

    Raises:
        LabError: no engine could be brought to answer.
    """
    # Waits for a lab that is just stopping it.
    fcntl.flock(_users(), fcntl.LOCK_SH)
    if answers():
        return
    if not _listens():
        if not (shutil.which("docker") and shutil.which("dockerd")):
            # Debian 13 packages the client by itself and only recommends it.
            client = ["docker-cli"] if output("apt-cache", "show", "docker-cli") else []
            install_packages("docker.io", *client, "iptables")
        if not _listens():
            _start()
    _wait(_listens)
    if not os.access(SOCKET, os.R_OK | os.W_OK):
        _borrow_socket()
    _wait(answers)


def release_engine() -> None:
    """Undo what a lab did to have the engine, if nothing runs on it any more and nobody is about to use it."""
    if not OWNED.exists() and not BORROWED.exists():
        return
    try:
        fcntl.flock(_users(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("the Docker engine goes on: another lab is using it")
        return
    if output("docker", "ps", "-aq"):
        return
    if OWNED.exists():
        say("stopping the Docker engine that was started for the lab")
        # Until it is gone: while it stops, its pid file keeps the next one from starting.
        stop = f"pid=$(cat {OWNED}); kill $pid && while kill -0 $pid 2>/dev/null; do sleep 0.2; done; rm {OWNED}"
        run(*as_root("sh", "-c", f"{stop} && rm --force {BORROWED}"))
    else:
        say("taking back that this user may talk to the Docker engine")
        run(*as_root("sh", "-c", f"setfacl --remove user:{os.getuid()} {SOCKET} && rm {BORROWED}"))


@cache
def _users() -> int:
    """A descriptor of USERS, open as long as this process lives."""
    if not USERS.exists():
        made = os.open(USERS, os.O_RDONLY | os.O_CREAT)
        # Whoever runs a lab next may be another user.
        os.fchmod(made, 0o644)
        os.close(made)
    # Without O_CREAT: in a folder like this Linux refuses that for another user's file.
    return os.open(USERS, os.O_RDONLY)


def _listens() -> bool:
    """Whether somebody listens on the engine's socket; one that died leaves its socket behind."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(SOCKET))
        except PermissionError:
            return True
        except OSError:
            return False
    return True


def _start() -> None:
    say("starting the Docker engine")
    if Path("/run/systemd/system").is_dir():
        run(*as_root("systemctl", "start", "docker"))
        return
    group = grp.getgrgid(os.getgid()).gr_name
    log = "/var/log/bookstore-lab-engine.log"
    command = f"echo $$ > {OWNED}; exec dockerd --group {group} >> {log} 2>&1"
    if os.geteuid() != 0:
        run("sudo", "true")
    subprocess.Popen(
        [str(word) for word in as_root("sh", "-c", command)],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _borrow_socket() -> None:
    """Let this user talk to the engine, until release_engine or until its socket is made anew."""
    say("allowing this user to talk to the Docker engine until `make down`")
    if not shutil.which("setfacl"):
        install_packages("acl")
    # First the mark: a right that is not known of stays.
    run(*as_root("sh", "-c", f"touch {BORROWED} && setfacl --modify user:{os.getuid()}:rw {SOCKET}"))


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise LabError("The Docker engine does not answer. Look at `docker info` and at the engine's log.")
        time.sleep(0.3)
