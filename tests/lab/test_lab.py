"""What `make up` refuses, and how it says so: one line, before anything is changed."""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest

from lab import __main__ as main, checks, dev, engine, images, settings, shell
from lab.settings import LabError, read_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("variable", "value", "mend"),
    [
        ("LAB_PORT", "https", "Give a number from 1 to 65535"),
        ("LAB_PORT", "65536", "Give a number from 1 to 65535"),
        ("LAB_SUBNET", "10.1.2.3/24", "Give one like 10.87.12.0/24"),
        ("LAB_SUBNET", "10.1.2.0/30", "at least 16 addresses"),
        ("LAB_SUBNET", "8.8.8.0/24", "private network"),
        ("LAB_BASE", "fedora:42", "debian:trixie, ubuntu:24.04 or ubuntu:22.04"),
    ],
)
def test_a_bad_setting_is_named_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, mend: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(LabError) as refusal:
        read_settings()

    assert f"{variable}={value}" in str(refusal.value)
    assert mend in str(refusal.value)


def test_a_bad_setting_is_one_line_and_no_traceback() -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "lab", "up"],
        cwd=ROOT,
        env={"LAB_PORT": "none", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )

    assert completed.returncode == 1
    assert completed.stdout == ""
    assert completed.stderr.count("\n") == 1
    assert completed.stderr.startswith("make up: LAB_PORT=none")


def test_a_taken_port_is_named_with_another(taken_port: int) -> None:
    with pytest.raises(LabError, match=f"Port {taken_port} is taken.*LAB_PORT={taken_port + 1} make up"):
        checks.check_port(taken_port)


def test_hosts_that_a_broken_off_run_still_starts_are_the_labs_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The engine goes on with what it was asked for: the port is taken, and no host runs yet.
    turns = tmp_path / "turns"
    (tmp_path / "docker").write_text(
        f"""#!/bin/sh
case "$*" in
*status=created*) echo app;;
"ps -q"*) echo >> {turns}; [ "$(wc -l < {turns})" -lt 3 ] || echo app;;
esac
"""
    )
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert checks._is_own_lab(read_settings())


def test_hosts_that_were_never_started_are_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "docker").write_text('#!/bin/sh\ncase "$*" in *status=created*) echo app;; esac\n')
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(checks.time, "sleep", lambda _: None)

    assert not checks._is_own_lab(read_settings())


def test_a_taken_network_is_named_with_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_networks", lambda: [("office-vpn", ipaddress.IPv4Network("10.87.0.0/16"))])

    with pytest.raises(
        LabError,
        match=r"10\.87\.12\.0/24 is taken by office-vpn.*LAB_SUBNET=10\.88\.0\.0/24 make up",
    ):
        checks._check_subnet(read_settings())


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "NEEDED_BYTES", 2**62)

    with pytest.raises(LabError, match=r"GiB free and the lab needs .* Make room"):
        checks._check_disk()


def test_a_missing_right_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(checks, "answers", lambda: False)
    monkeypatch.setattr(checks.shutil, "which", lambda _: None)

    with pytest.raises(LabError, match=r"needs root.*install sudo"):
        checks._check_rights()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Ana is not in the sudoers file.' >&2; exit 1", r"needs root.*[(]Ana is not in the sudoers file[)]"),
        # As of a cloud's user: one who needs no password, and is in a group that does.
        ('[ "$1" = true ]', ""),
    ],
)
def test_a_sudo_that_does_not_serve_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, said: str
) -> None:
    (tmp_path / "sudo").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(checks.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(checks, "answers", lambda: False)

    with pytest.raises(LabError, match=said) if said else nullcontext():
        checks._check_rights()


def test_a_missing_browser_is_named_before_the_long_run_begins(tmp_path: Path) -> None:
    planned = subprocess.run(["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, text=True, check=True)
    first = planned.stdout.splitlines()[0].split()

    completed = subprocess.run(
        [sys.executable, *first[1:]], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )

    assert completed.returncode == 1
    assert "Debian: sudo apt-get install -y chromium\n" in completed.stderr
    assert "Ubuntu: " in completed.stderr


@pytest.fixture
def busy_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stands for apt-get while another one has the lists, until there is a file ``over``; it notes its calls."""
    (tmp_path / "apt-get").write_text(
        f"""#!/bin/sh
        echo "$*" >> {tmp_path}/calls
        [ "$1" != update ] || [ -e {tmp_path}/over ] || {{
            echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4348 (apt-get)' >&2
            exit 100
        }}
        """
    )
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(shell, "as_root", lambda *command: command)
    return tmp_path


def test_an_installation_waits_until_another_apt_is_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], busy_apt: Path
) -> None:
    monkeypatch.setattr(shell.time, "sleep", lambda _: (busy_apt / "over").touch())

    shell.install_packages("jq")

    updated, again, installed = (busy_apt / "calls").read_text().splitlines()
    assert updated == again == "update -qq"
    assert installed.startswith("install -o DPkg::Lock::Timeout=")
    assert capsys.readouterr().out.count("waiting for another apt") == 1


def test_an_apt_that_never_ends_is_named(monkeypatch: pytest.MonkeyPatch, busy_apt: Path) -> None:
    monkeypatch.setattr(shell, "APT_PATIENCE", -1)

    with pytest.raises(LabError, match=r"held by process 4348"):
        shell.install_packages("jq")


def test_images_are_removed_but_those_that_another_checkout_runs_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    removed = []

    def output(*command: str) -> str:
        if command[1] == "images":
            return f"{images.TRIXIE}\n{images.ACME_IMAGE}"
        return "af1d9fc0c7b1" if command[-1] == f"--filter=ancestor={images.TRIXIE}" else ""

    monkeypatch.setattr(images, "output", output)
    monkeypatch.setattr(images, "run", lambda *command, quiet: removed.append(command[-1]))

    images.remove_images()

    assert images.ACME_IMAGE in removed
    assert images.TRIXIE not in removed
    assert f"leaving the image {images.TRIXIE}" in capsys.readouterr().out


def test_distclean_ends_the_hosts_before_their_images_and_the_engine_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = []
    monkeypatch.setattr(main.image, "down", lambda _: None)
    monkeypatch.setattr(main.engine, "answers", lambda: True)
    monkeypatch.setattr(main, "output", lambda *_: "af1d9fc0c7b1")
    monkeypatch.setattr(main, "run", lambda *command, quiet: done.append(command[1]))
    monkeypatch.setattr(main.images, "remove_images", lambda: done.append("images"))
    monkeypatch.setattr(main.engine, "release_engine", lambda: done.append("engine"))
    for path in ("LAB_HOSTS", "LAB_VARS", "STATE", "CACHE", "DEV", "VENV"):
        monkeypatch.setattr(main, path, tmp_path / path)

    main.distclean(read_settings())

    assert done == ["rm", "network", "images", "engine"]


def test_an_engine_that_another_lab_is_about_to_use_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = []
    for name in ("USERS", "OWNED", "BORROWED"):
        monkeypatch.setattr(engine, name, tmp_path / name)
    # It keeps what it has opened.
    monkeypatch.setattr(engine, "_users", cache(engine._users.__wrapped__))
    (tmp_path / "OWNED").touch()
    monkeypatch.setattr(engine, "output", lambda *_: "")
    monkeypatch.setattr(engine, "run", lambda *command: done.append(command))
    # What its preparing process holds; nothing of it runs on the engine yet.
    code = f"""
from pathlib import Path
from lab import engine
engine.USERS, engine.answers = Path({str(tmp_path / "USERS")!r}), lambda: True
engine.ensure_engine()
print("ready", flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=settings.ROOT
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"ready\n"
        engine.release_engine()
        other.communicate(b"\n")

    assert not done
    assert "another lab" in capsys.readouterr().out
    engine.release_engine()
    assert len(done) == 1


def test_a_socket_that_was_opened_to_this_user_is_closed_by_the_last_lab(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("USERS", "OWNED", "BORROWED", "SOCKET"):
        monkeypatch.setattr(engine, name, tmp_path / name)
    monkeypatch.setattr(engine, "_users", cache(engine._users.__wrapped__))
    monkeypatch.setattr(engine, "as_root", lambda *command: command)
    (tmp_path / "setfacl").write_text(f"#!/bin/sh\necho $1 $2 >> {tmp_path}/rights\n")
    (tmp_path / "docker").write_text(f"#!/bin/sh\ncat {tmp_path}/containers\n")
    for name in ("setfacl", "docker"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    engine._borrow_socket()
    for containers in ("af1d9fc0c7b1", "", ""):
        (tmp_path / "containers").write_text(containers)
        engine.release_engine()

    user = f"user:{os.getuid()}"
    assert (tmp_path / "rights").read_text().splitlines() == [f"--modify {user}:rw", f"--remove {user}"]


def test_two_checkouts_have_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    here = read_settings().name
    monkeypatch.setattr(settings, "ROOT", Path("/somewhere/else"))

    assert read_settings().name != here


def test_half_a_base_image_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, script in {
        "mmdebstrap": "echo part; exit 1",
        "docker": f'echo "$@" >> {tmp_path}/asked; case $1 in import) cat > /dev/null;; esac',
        "sudo": "exit 0",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    with pytest.raises(LabError, match="debian:trixie could not be made"):
        images._bootstrap("debian:trixie", ("apt",), "bookstore-test:half")

    assert (tmp_path / "asked").read_text().splitlines()[-1] == "image rm --force bookstore-test:half"


@pytest.mark.parametrize("pulled", [True, False])
def test_a_base_is_made_from_packages_only_where_the_engine_cannot_pull_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pulled: bool
) -> None:
    # The engine may know a mirror that this machine itself does not ask.
    made: list[str] = []
    monkeypatch.setattr(images, "registry_answers", lambda: not pulled)
    monkeypatch.setattr(images, "_bootstrap", lambda base, packages, tag: made.append(tag))
    (tmp_path / "docker").write_text(f"#!/bin/sh\n[ $1 = pull ] && exit {0 if pulled else 1}\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    base = images._base_image("debian:trixie")

    assert (base, made) == (("debian:trixie", []) if pulled else ("bookstore-lab-base:trixie", [base]))


@pytest.mark.parametrize("own", [None, b"keys of 2021"])
def test_keys_that_this_machine_lacks_come_from_the_other_distribution(tmp_path, monkeypatch, own):
    """Debian 12 has no package of Ubuntu's keys, and Ubuntu 22.04's of Debian's is older than Debian 13."""
    keyrings, started = tmp_path / "keyrings", []
    keyrings.mkdir()
    (keyrings / images.UBUNTU_KEYS.file).touch()
    if own:
        (keyrings / images.DEBIAN_KEYS.file).write_bytes(own)

    def nothing_to_install(*packages):
        raise LabError(f"there is no {packages}")

    def mmdebstrap(command, stdout):
        started.append(command)
        archive = BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as files:
            entry = tarfile.TarInfo(f".{keyrings / images.DEBIAN_KEYS.file}")
            entry.size = 4
            files.addfile(entry, BytesIO(b"keys"))
        return subprocess.CompletedProcess(command, 0, archive.getvalue())

    monkeypatch.setattr(images, "KEYRINGS", keyrings)
    monkeypatch.setattr(images, "install_packages", nothing_to_install)
    monkeypatch.setattr(images.subprocess, "run", mmdebstrap)

    with images._keys(images.DEBIAN_KEYS) as keys:
        assert keys.read_bytes() == b"keys"
        # apt reads them as a user of its own.
        assert keys.stat().st_mode & 0o777 == 0o644
        assert not keys.is_relative_to(ROOT)

    assert f"--keyring={keyrings / images.UBUNTU_KEYS.file}" in started[0]
    assert "noble" in started[0]


def test_keys_that_this_machine_has_are_taken(tmp_path, monkeypatch):
    own = tmp_path / images.DEBIAN_KEYS.file
    own.write_bytes(b"before" + images.DEBIAN_KEYS.key + b"after")
    monkeypatch.setattr(images, "KEYRINGS", tmp_path)

    with images._keys(images.DEBIAN_KEYS) as keys:
        assert keys == own


def test_a_taken_port_of_make_dev_is_said_before_anything_is_made(taken_port, tmp_path, monkeypatch):
    monkeypatch.setenv("DEV_PORT", str(taken_port))
    monkeypatch.setattr(dev, "DEV", tmp_path / "dev")
    with pytest.raises(
        LabError, match=f"Port {taken_port} is taken. Choose another: DEV_PORT={taken_port + 1} make dev"
    ):
        dev.serve()
    assert not (tmp_path / "dev").exists()
