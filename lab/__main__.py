"""`python3 -m lab up`, `down`, `image`, `distclean`, `prepare`, `dev` and what else `make` calls."""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lab import dev as development, engine, image, images
from lab.checks import check_machine
from lab.python import ensure_venv, playbook
from lab.settings import CACHE, DEV, INVENTORY, ROOT, STATE, VENV, LabError, Settings, read_settings
from lab.shell import output, run, say, write_private

ADMIN_EMAIL = "admin@bookstore.example"
ADMIN_PASSWORD = STATE / "admin-password"
CA_FILE = STATE / "acme-root-ca.pem"
LAB_VARS = INVENTORY / "group_vars" / "all" / "lab.yml"
LAB_HOSTS = INVENTORY / "hosts.yml"


def up(settings: Settings) -> None:
    """Bring the lab up, or what is missing of it."""
    began = time.monotonic()
    check_machine(settings)
    ensure_venv()
    engine.ensure_engine()
    images.ensure_host_image(settings)
    images.ensure_store_build()
    STATE.mkdir(mode=0o700, exist_ok=True)
    _write_once(ADMIN_PASSWORD, lambda: secrets.token_urlsafe(18) + "\n")
    _write_lab_vars(settings)
    say("starting the hosts db, app and acme")
    playbook("lab/create.yml", "-e", json.dumps(_create_vars(settings)))
    playbook("lab/acme.yml", "-i", INVENTORY)
    # One by one: in a command with two playbooks, profile_roles adds up nonsense.
    for name in ("site.yml", "sample-data.yml"):
        say(f"ansible-playbook -i inventories/lab playbooks/{name}")
        playbook(f"playbooks/{name}", "-i", INVENTORY)
    _write_lab_json(settings)
    _print_welcome(settings, time.monotonic() - began)


def down(settings: Settings) -> None:
    """Remove everything that `up` and `image` made, but for caches."""
    _remove_hosts(settings)
    if engine.answers():
        engine.release_engine()
    say("nothing of the lab is left but caches (`make distclean` removes those)")


def distclean(settings: Settings) -> None:
    """Remove the lab and its caches: images, wheels, the virtual environment; and the store of `make dev`."""
    _remove_hosts(settings)
    if engine.answers():
        images.remove_images()
        engine.release_engine()
    for path in (CACHE, DEV, VENV):
        shutil.rmtree(path, ignore_errors=True)
    say("nothing of the lab is left")


def _remove_hosts(settings: Settings) -> None:
    image.down(settings)
    if engine.answers():
        names = output("docker", "ps", "-aq", "--filter", f"label=bookstore.lab={settings.name}")
        if names:
            say("removing the hosts")
            run("docker", "rm", "--force", "--volumes", *names.split(), quiet=True)
        if output("docker", "network", "ls", "-q", "--filter", f"name=^{settings.name}$"):
            run("docker", "network", "rm", settings.name, quiet=True)
    for path in (LAB_HOSTS, LAB_VARS):
        path.unlink(missing_ok=True)
    shutil.rmtree(STATE, ignore_errors=True)


def dev(settings: Settings) -> None:
    """Serve the store alone, without hosts."""
    ensure_venv()
    development.serve()


def prepare(settings: Settings) -> None:
    """Make what tests need: the virtual environment, the engine and the images."""
    ensure_venv()
    engine.ensure_engine()
    images.ensure_host_image(settings)
    images.ensure_store_build()


def prepare_nfs(settings: Settings) -> None:
    """Make what the tests of shared covers need besides: a host that can mount NFS, which takes minutes."""
    prepare(settings)
    images.ensure_nfs_image()


def rehearsal(name: str, settings: Settings) -> None:
    """Rehearse the playbooks for AWS, or end a rehearsal that was kept. Imported late: its libraries are in .venv."""
    import importlib

    getattr(importlib.import_module("lab.rehearsal"), name)(settings)


def _create_vars(settings: Settings) -> dict[str, object]:
    return {
        "lab_name": settings.name,
        "lab_directory": str(STATE),
        "lab_inventory": str(LAB_HOSTS),
        "lab_subnet": str(settings.subnet),
        "lab_image": settings.host_image,
        "lab_hosts": [
            {"name": "db", "groups": ["database"], "address": settings.address("db")},
            {
                "name": "app",
                "groups": ["application"],
                "address": settings.address("app"),
                "ports": [f"127.0.0.1:{settings.port}:443"],
            },
            {
                "name": "acme",
                "groups": ["acme_server"],
                "address": settings.address("acme"),
                "image": images.ACME_IMAGE,
            },
        ],
    }


def _write_lab_vars(settings: Settings) -> None:
    """Write the values that only this machine can know, and secrets that nobody needs to know."""
    known: dict[str, object] = {}
    if LAB_VARS.exists():
        known = json.loads(LAB_VARS.read_text().partition("\n")[2])
    values: dict[str, object] = {
        "vault_secret_key": known.get("vault_secret_key") or secrets.token_urlsafe(48),
        "vault_database_password": known.get("vault_database_password") or secrets.token_urlsafe(24),
        "lab_https_port": settings.port,
        "lab_subnet": str(settings.subnet),
        "admin_networks": [f"{settings.gateway}/32"],
        "mysql_apt_suite": "sid" if settings.is_debian else "",
    }
    values |= json.loads(images.STORE_BUILD.read_text())
    text = "# Written by `make up`, read by Ansible. JSON is YAML too.\n" + json.dumps(values, indent=2) + "\n"
    if not LAB_VARS.exists() or LAB_VARS.read_text() != text:
        write_private(LAB_VARS, text)


def _write_lab_json(settings: Settings) -> None:
    facts = {
        "url": settings.url,
        "ca_file": str(CA_FILE),
        "inventory": str(INVENTORY.relative_to(ROOT)),
        "hosts": {
            name: {
                "address": settings.address(name),
                "user": "root",
                "ssh_key": str(STATE / "ssh_key"),
                "container": f"{settings.name}-{name}",
            }
            for name in ("db", "app", "acme")
        },
        "admin": {"email": ADMIN_EMAIL, "password_file": str(ADMIN_PASSWORD)},
    }
    (STATE / "lab.json").write_text(json.dumps(facts, indent=2) + "\n")


def _print_welcome(settings: Settings, seconds: float) -> None:
    key, hosts = STATE.relative_to(ROOT) / "ssh_key", STATE.relative_to(ROOT) / "known_hosts"
    print(f"""
The store is open ({seconds:.0f} s):

    {settings.url}

  Its certificate is from the lab's own authority. Trust that one authority in your browser
  (Settings, Certificates, Authorities, Import), or pass it to curl:
    {CA_FILE.relative_to(ROOT)}
    curl --cacert {CA_FILE.relative_to(ROOT)} {settings.url}/health

  Register to sell and buy, or look behind the counter as the administrator:
    {ADMIN_EMAIL}, password in {ADMIN_PASSWORD.relative_to(ROOT)}

  What to try next:
    source .venv/bin/activate
    ansible-playbook -i inventories/lab playbooks/site.yml      nothing changes
    ansible-playbook -i inventories/lab playbooks/deploy.yml    after an edit below bookstore/
    ssh -i {key} -o UserKnownHostsFile={hosts} root@{settings.address("app")}
    make down                                                   removes all of it
""")


def _write_once(path: Path, content: Callable[[], str]) -> None:
    if not path.exists():
        write_private(path, content())


COMMANDS: dict[str, Callable[[Settings], None]] = {
    "up": up,
    "down": down,
    "distclean": distclean,
    "prepare": prepare,
    "prepare-nfs": prepare_nfs,
    "venv": lambda _: ensure_venv(),
    "dev": dev,
    "rehearse": lambda settings: rehearsal("rehearse", settings),
    "rehearse-down": lambda settings: rehearsal("down", settings),
    "image": image.up,
    "image-down": image.down,
}


def main() -> int:
    """Run one command; a LabError is one line, not a traceback."""
    parser = argparse.ArgumentParser(prog="python3 -m lab", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    arguments = parser.parse_args()
    try:
        COMMANDS[arguments.command](read_settings())
    except LabError as error:
        print(f"make {arguments.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted. `make {arguments.command}` takes up what it can.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
