"""The hosts' image, and what the store's image is built from where no registry can be reached."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from lab.settings import CACHE, ROOT, VENV, LabError, Settings
from lab.shell import as_root, install_packages, output, run, say


class Keyring(NamedTuple):
    """The keys that a distribution signs its packages with, as that distribution and the other one package them."""

    package: str
    file: str
    # Id of the key that signs today's suites. An old distribution's package may not have it yet.
    key: bytes
    # The base that has them too, for a machine that has not.
    elsewhere: str


# Where a base's packages come from, when its image cannot be pulled: sources as apt knows them, and their keys.
DEBIAN = "deb http://deb.debian.org/debian %s main"
UBUNTU = "deb http://archive.ubuntu.com/ubuntu %s%s main universe"
POCKETS = ("", "-updates", "-security")
DEBIAN_KEYS = Keyring(
    "debian-archive-keyring", "debian-archive-keyring.gpg", bytes.fromhex("6ED0E7B82643E131"), "ubuntu:24.04"
)
UBUNTU_KEYS = Keyring(
    "ubuntu-keyring", "ubuntu-archive-keyring.gpg", bytes.fromhex("871920D1991BC93C"), "debian:trixie"
)
ARCHIVES = {
    "debian:trixie": ("trixie", [DEBIAN % "trixie"], DEBIAN_KEYS),
    "ubuntu:24.04": ("noble", [UBUNTU % ("noble", pocket) for pocket in POCKETS], UBUNTU_KEYS),
    "ubuntu:22.04": ("jammy", [UBUNTU % ("jammy", pocket) for pocket in POCKETS], UBUNTU_KEYS),
}
KEYRINGS = Path("/usr/share/keyrings")
# What other hosts of the lab are made from, whatever LAB_BASE is.
TRIXIE = "bookstore-lab-host:trixie"
ACME_IMAGE = "bookstore-lab-host:acme"
NFS_IMAGE = "bookstore-lab-host:nfs"
PYTHON_IMAGE = "bookstore-python:trixie"
REPOSITORIES = ("bookstore-lab-host", "bookstore-lab-base", "bookstore-python")
PYTHON_ARCHIVE = CACHE / "bookstore-python-trixie.tar.gz"
PYTHON_VERSION = "3.13"
WHEELHOUSE = CACHE / "wheelhouse"
STORE_BUILD = CACHE / "store-build.json"
BUILT_FROM = "bookstore.built-from"


@cache
def registry_answers() -> bool:
    """Whether Docker Hub can be reached from this machine."""
    try:
        urllib.request.urlopen("https://registry-1.docker.io/v2/", timeout=5)
    except urllib.error.HTTPError:
        return True  # It asks for a token: it is there.
    except OSError:
        return False
    return True


def ensure_host_image(settings: Settings) -> None:
    """Build the hosts' image, and that of their ACME server, where it is missing or older than its files.

    Raises:
        LabError: neither the registry nor the distribution's archive gave a base.
    """
    _build_host_image(settings.base, settings.host_image)
    _build_host_image("debian:trixie", TRIXIE)
    _build_host_image(TRIXIE, ACME_IMAGE, folder="acme")


@cache
def has_nfs() -> bool:
    """Whether this machine's kernel can mount NFS 4."""
    output(*as_root("modprobe", "nfsv4"))
    return "nfs4" in Path("/proc/filesystems").read_text().split()


def ensure_nfs_image() -> None:
    """Build the image of a host that can mount NFS: one with a kernel of its own where this machine's cannot.

    Raises:
        LabError: the distribution's archive did not answer.
    """
    _build_host_image("debian:trixie", TRIXIE)
    if has_nfs():
        run("docker", "tag", TRIXIE, NFS_IMAGE)
    else:
        _build_host_image(TRIXIE, NFS_IMAGE, folder="vm")


def _built_from(tag: str) -> str:
    return output("docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{BUILT_FROM}"}}}}', tag) or ""


def _build_host_image(base: str, tag: str, folder: str = "host") -> None:
    files = sorted((ROOT / "lab" / folder).iterdir())
    digest = hashlib.sha256(
        b"".join([f"{base}{_built_from(base)}".encode(), *(path.read_bytes() for path in files)])
    ).hexdigest()[:16]
    if _built_from(tag) == digest:
        return
    image = _base_image(base)
    say(f"building the hosts' image {tag}")
    build = ("docker", "build", "--quiet", "--tag", tag, "--label", f"{BUILT_FROM}={digest}")
    # Without buildx the client falls back to the classic builder by itself, or says what it wants.
    env = {} if output("docker", "buildx", "version") else {"DOCKER_BUILDKIT": "0"}
    run(*build, "--build-arg", f"BASE={image}", ROOT / "lab" / folder, env=env)


def _base_image(base: str) -> str:
    """Name of a local image that holds the base."""
    tag = f"bookstore-lab-base:{base.partition(':')[2]}"
    for image in (base, tag):
        if output("docker", "image", "inspect", image):
            return image
    try:
        # Asked of the engine, which may know a mirror of the registry.
        run("docker", "pull", base)
        return base
    except LabError:
        say(f"no registry gave {base}: making it from its distribution's packages instead")
    _bootstrap(base, ("apt",), tag)
    return tag


def _bootstrap(base: str, packages: tuple[str, ...], tag: str) -> None:
    """Make an image from a distribution's packages."""
    suite, sources, keyring = ARCHIVES[base]
    if not shutil.which("mmdebstrap"):
        install_packages("mmdebstrap")
    # Without manuals, as the distributions' slim images: each host gets its own copy.
    without = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "info", "locale", "man")]
    include = f"--include={','.join(packages)}"
    # Asked for before the two run at once.
    if os.geteuid() != 0:
        run("sudo", "true")
    label = f"--change=LABEL {BUILT_FROM}={base}"
    with _keys(keyring) as keys:
        # As root: without, it needs user namespaces, which many machines do not grant.
        command = as_root(
            *("mmdebstrap", "--quiet", "--variant=minbase", include, *without, f"--keyring={keys}"),
            *(suite, "-", *sources),
        )
        with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE) as bootstrap:
            imported = subprocess.run(
                ["docker", "import", label, "-", tag], stdin=bootstrap.stdout, stdout=subprocess.DEVNULL
            )
    if bootstrap.returncode or imported.returncode:
        # What was imported is a part, and would be taken for the whole next time.
        output("docker", "image", "rm", "--force", tag)
        raise LabError(f"{base} could not be made from packages either: this machine needs a registry or a mirror.")


@contextmanager
def _keys(keyring: Keyring) -> Iterator[Path]:
    """A distribution's keys: this machine's, or those that the other distribution packages.

    Raises:
        LabError: neither has them.
    """
    own = KEYRINGS / keyring.file
    if not own.exists():
        with suppress(LabError):
            install_packages(keyring.package)
    if own.exists() and keyring.key in own.read_bytes():
        yield own
        return
    say(f"this machine has no {keyring.package} that is new enough: taking that of {keyring.elsewhere}")
    suite, sources, others = ARCHIVES[keyring.elsewhere]
    known = KEYRINGS / others.file
    if not known.exists():
        install_packages(others.package)
    include = f"--include={keyring.package}"
    extract = as_root("mmdebstrap", "--quiet", "--variant=extract", include, f"--keyring={known}", suite, "-", *sources)
    extracted = subprocess.run([str(word) for word in extract], stdout=subprocess.PIPE)
    if extracted.returncode:
        raise LabError(f"{keyring.package} could not be had: this machine needs a registry or a mirror.")
    with tarfile.open(fileobj=BytesIO(extracted.stdout)) as files:
        file = files.extractfile(f".{KEYRINGS / keyring.file}")
        found = file.read() if file else b""
    # In a public place, for all to read: apt does so as a user of its own, to whom a home may be closed.
    with NamedTemporaryFile(suffix=".gpg") as kept:
        kept.write(found)
        kept.flush()
        os.chmod(kept.name, 0o644)
        yield Path(kept.name)


def ensure_store_build() -> None:
    """Write down what the store's image is built from, for the lab and for molecule.

    The hosts pull its base and its requirements themselves. Where no registry answers, this
    machine makes a base and collects wheels for them.

    Raises:
        LabError: the distribution's archive or the package index did not answer.
    """
    values: dict[str, str] = {}
    if not registry_answers():
        _make_python_image()
        _collect_wheels()
        values = {
            "bookstore_app_base_image": PYTHON_IMAGE,
            "bookstore_app_base_image_archive": str(PYTHON_ARCHIVE),
            "bookstore_app_wheelhouse": str(WHEELHOUSE),
        }
    CACHE.mkdir(exist_ok=True)
    STORE_BUILD.write_text(json.dumps(values, indent=2) + "\n")


def _make_python_image() -> None:
    if not PYTHON_ARCHIVE.exists():
        say("no registry answers: making the store's base image from Debian's packages instead")
        CACHE.mkdir(exist_ok=True)
        _bootstrap("debian:trixie", ("python3", "python3-venv"), PYTHON_IMAGE)
        part = PYTHON_ARCHIVE.with_suffix(".part")
        # Each host gets a copy over SSH: a third of the size is worth a second's work.
        run("sh", "-c", f"docker save {PYTHON_IMAGE} | gzip -1 > '{part}'")
        part.rename(PYTHON_ARCHIVE)


def _collect_wheels() -> None:
    requirements = ROOT / "bookstore" / "requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = CACHE / "wheelhouse.sha256"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say("collecting the store's wheels")
    shutil.rmtree(WHEELHOUSE, ignore_errors=True)
    platforms = (f"--platform=manylinux{generation}_{platform.machine()}" for generation in ("_2_34", "_2_28", "2014"))
    run(
        VENV / "bin" / "pip",
        "download",
        "-qq",
        "--disable-pip-version-check",
        "--only-binary=:all:",
        f"--python-version={PYTHON_VERSION}",
        "--implementation=cp",
        *platforms,
        f"--dest={WHEELHOUSE}",
        f"--requirement={requirements}",
    )
    stamp.write_text(wanted)


def remove_images() -> None:
    """Remove every image that a lab made, but for those that another checkout's hosts run from."""
    references = (f"--filter=reference={name}" for name in REPOSITORIES)
    for name in (output("docker", "images", "--format={{.Repository}}:{{.Tag}}", *references) or "").split():
        if output("docker", "ps", "--all", "--quiet", f"--filter=ancestor={name}"):
            say(f"leaving the image {name}, which another checkout's hosts run from")
        else:
            run("docker", "image", "rm", name, quiet=True)
    # Those whose name a newer one has taken.
    run("docker", "image", "prune", "--force", f"--filter=label={BUILT_FROM}", quiet=True)
