#!/usr/bin/env python3
"""Makes apt repositories as vendors have them: their layout, names and relations, with the distribution's programs.

Runs on the host that stands in for the vendors', and reads what to make (group_vars/repositories.yml) from its input.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

# As debhelper writes them: a failed start does not break the installation off.
POSTINST = """#!/bin/sh
set -e
{configure}
systemctl daemon-reload
for unit in {services}; do
    deb-systemd-helper unmask "$unit"
    deb-systemd-helper enable "$unit"
    deb-systemd-invoke start "$unit" || true
done
"""
PRERM = """#!/bin/sh
set -e
if [ "$1" = remove ]; then deb-systemd-invoke stop {services}; fi
"""


def main() -> None:
    run("apt-get", "update", "--quiet")
    for name, vendor in json.load(sys.stdin).items():
        make(vendor, Path("/srv/work") / name, Path("/srv/repositories") / name / vendor["path"])


def make(vendor: dict[str, Any], work: Path, repository: Path) -> None:
    pool = repository / vendor["pool"]
    pool.mkdir(parents=True)
    libraries: set[str] = set()
    for deb in download(vendor, work / "debs"):
        if re.match(vendor["repack"], deb.name):
            run("dpkg-deb", "--extract", deb, work / "tree")
            needed = output("dpkg-deb", "--field", deb, "Depends").split(", ")
            libraries |= {one for one in needed if one.startswith("lib")}
        else:
            # Comes along: what the programs need of another suite, which the hosts do not have.
            shutil.copy(deb, pool)
    for name, package in vendor["packages"].items():
        lay_out(name, package, sorted(libraries), work / "tree", work / name)
        run("dpkg-deb", "--root-owner-group", "-Znone", "--build", work / name, pool)
    write_lists(vendor, repository)


def download(vendor: dict[str, Any], folder: Path) -> list[Path]:
    (folder / "partial").mkdir(parents=True)
    run(
        *["apt-get", "install", "--download-only", "--yes", "--quiet", "--no-install-recommends"],
        *["--target-release", vendor["suite"], f"--option=Dir::Cache::archives={folder}", *vendor["download"]],
    )
    return sorted(folder.glob("*.deb"))


def lay_out(name: str, package: dict[str, Any], libraries: list[str], tree: Path, root: Path) -> None:
    """Put a package's files, control file and scripts where dpkg-deb expects them."""
    control = root / "DEBIAN"
    control.mkdir(parents=True)
    for pattern in package.get("files", []):
        found = list(tree.glob(pattern))
        if not found:
            sys.exit(f"{name}: there is no {pattern} in what the distribution has.")
        for path in found:
            target = root / path.relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            run("cp", "--archive", path, target)
    relations = {key.capitalize(): package[key] for key in ("conflicts", "replaces", "provides") if key in package}
    relations["Depends"] = package.get("depends", []) + (libraries if package.get("files") else [])
    fields = {
        "Package": name,
        "Version": package["version"],
        "Architecture": output("dpkg", "--print-architecture"),
        "Maintainer": "Vendor <nobody@vendor.example>",
        **{key: ", ".join(packages) for key, packages in relations.items() if packages},
        "Description": "stands in for the vendor's package of this name",
    }
    (control / "control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    settings = [f"/{path.relative_to(root)}\n" for path in root.glob("etc/**/*") if path.is_file()]
    (control / "conffiles").write_text("".join(settings))
    if services := " ".join(package.get("services", [])):
        for script, text in (("postinst", POSTINST), ("prerm", PRERM)):
            (control / script).write_text(text.format(configure=package.get("configure", ""), services=services))
            (control / script).chmod(0o755)


def write_lists(vendor: dict[str, Any], repository: Path) -> None:
    """Write the lists that apt reads. They are yet to be signed."""
    architecture = output("dpkg", "--print-architecture")
    release = repository / "dists" / vendor["release"]
    lists = release / vendor["component"] / f"binary-{architecture}"
    lists.mkdir(parents=True)
    (lists / "Packages").write_text(output("apt-ftparchive", "packages", vendor["pool"], cwd=repository) + "\n")
    settings = {
        "Origin": vendor["origin"],
        "Suite": vendor["release"],
        "Codename": vendor["release"],
        "Components": vendor["component"],
        "Architectures": architecture,
    }
    options = [f"--option=APT::FTPArchive::Release::{key}={value}" for key, value in settings.items()]
    (release / "Release").write_text(output("apt-ftparchive", *options, "release", ".", cwd=release) + "\n")


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def output(*command: str | Path, cwd: Path | None = None) -> str:
    return subprocess.run(command, check=True, cwd=cwd, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
