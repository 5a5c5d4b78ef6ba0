"""The virtual environment that everything else runs from."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from lab.settings import ROOT, VENV, LabError
from lab.shell import install_packages, output, run, say

# ansible-core 2.19 runs on Python 3.11 to 3.13 on the controller (its release notes); so do the
# store's libraries.
PYTHONS = ("python3.13", "python3.12", "python3.11", "python3")
REQUIREMENTS = (
    ROOT / "requirements.txt",
    ROOT / "bookstore" / "requirements.txt",
    ROOT / "requirements.yml",
)


def ensure_venv() -> None:
    """Make the virtual environment, or bring it up to what requirements.txt pins.

    Raises:
        LabError: there is no suitable Python, or the installation failed.
    """
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in REQUIREMENTS)).hexdigest()
    stamp = VENV / "requirements.sha256"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if not (VENV / "bin" / "pip").exists():
        python = _find_python()
        say(f"making the virtual environment .venv with {python}")
        run(python, "-m", "venv", "--clear", VENV)
    say("installing what requirements.txt pins (a minute, the first time)")
    run(
        VENV / "bin" / "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        "-r",
        ROOT / "requirements.txt",
    )
    run(VENV / "bin" / "ansible-galaxy", "collection", "install", "-r", ROOT / "requirements.yml")
    stamp.write_text(wanted)


def venv_environment() -> dict[str, str]:
    """Environment in which the virtual environment's programs find each other."""
    return {"PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(VENV)}


def playbook(*arguments: str | Path, env: dict[str, str] | None = None) -> None:
    """Run ansible-playbook from the virtual environment, in colour where somebody looks."""
    own = venv_environment()
    if sys.stdout.isatty():
        own["ANSIBLE_FORCE_COLOR"] = "1"
    # What makes the hosts has none to begin with.
    if "-i" not in arguments:
        own |= {"ANSIBLE_INVENTORY_UNPARSED_WARNING": "False", "ANSIBLE_LOCALHOST_WARNING": "False"}
    run(VENV / "bin" / "ansible-playbook", *arguments, env={**own, **(env or {})})


def _find_python() -> str:
    candidates = [sys.executable, *(path for name in PYTHONS if (path := shutil.which(name)))]
    suitable = [python for python in candidates if _is_suitable(python)]
    if complete := [python for python in suitable if output(python, "-c", "import ensurepip, venv") is not None]:
        return complete[0]
    if suitable:
        version = output(suitable[0], "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
        install_packages(f"python{version}-venv")
        return suitable[0]
    # Ubuntu 22.04: its own Python is too old, but it packages a newer one beside it.
    install_packages("python3.11", "python3.11-venv")
    if not (python := shutil.which("python3.11")):
        raise LabError("Python 3.11, 3.12 or 3.13 is needed. Install one and run the command again.")
    return python


def _is_suitable(python: str | Path) -> bool:
    return output(python, "-c", "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))") is not None
