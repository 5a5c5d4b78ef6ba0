"""`make image`: bakes a lab host and boots clones of it behind a load balancer."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab import images
from lab.baking import Bakery, Frozen, Host, address, register_base, remove, tell_boot
from lab.checks import check_ground, check_port
from lab.engine import answers, ensure_engine
from lab.python import ensure_venv, playbook
from lab.settings import ROOT, STATE, VENV, LabError, Settings
from lab.shell import as_root, output, run, say, write_private

INVENTORY = ROOT / "inventories" / "image"
HERE = STATE / "image"
PROVEN = HERE / "proven"
FACTS = STATE / "image.json"
CA_FILE = HERE / "ca.pem"
# As lab/file_server.yml has it.
SHARE = "/var/lib/docker/share"
WATCHES = Path("/proc/sys/fs/inotify/max_user_instances")
# A host's systemd and what it runs take seven.
ENOUGH_WATCHES = 1024
# A clone finds its secret in the folder that it is given.
GIVEN = {"secret_file": "/srv/instance/secret.json"}
CLONES = ("clone-1", "clone-2")
# An emulator takes any; real ones must not be sent to it.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab", "AWS_SESSION_TOKEN": ""}


def up(settings: Settings) -> None:
    """Bake an image, and boot two clones of it with a database behind a load balancer; or what is missing of that."""
    began = time.monotonic()
    check_ground()
    ensure_venv()
    ensure_engine()
    _allow_many_hosts()
    if FACTS.exists() and serves(settings):
        _print_welcome(settings, "serve already")
        return
    around: list[Host] = [
        {"name": "db", "groups": ["database"]},
        {"name": "balancer", "groups": ["balancers"], "ports": [f"127.0.0.1:{port(settings)}:443"]},
    ]
    if images.has_nfs():
        around.append({"name": "covers", "groups": ["file_servers"]})
    else:
        say("this machine's kernel has no NFS: instead of a covers server, the clones share a volume")
    here = bakery(name(settings))
    if not PROVEN.exists():
        down(settings)
        check_port(port(settings))
        here.prepare(settings)
        _bake(settings, here, around)
    say("booting two clones, each with its copy of the disk")
    here.create(settings, [*around, *(clone(here, one) for one in CLONES)])
    playbook("lab/image.yml", "-i", INVENTORY, "--limit", "balancers:localhost")
    _wait_until_all_serve(settings)
    _write_facts(settings)
    _print_welcome(settings, f"serve after {time.monotonic() - began:.0f} s")


def _allow_many_hosts() -> None:
    """Let a dozen hosts run: they share root's inotify instances, and a systemd that gets none does not start."""
    if int(WATCHES.read_text()) >= ENOUGH_WATCHES:
        return
    raised = output(*as_root("sysctl", "--write", f"fs.inotify.max_user_instances={ENOUGH_WATCHES}"))
    say(f"{raised}, until this machine's next boot" if raised else f"{WATCHES} stays low: eight clones may not start")


def _bake(settings: Settings, here: Bakery, around: list[Host]) -> None:
    """Bake a host by the pipeline, beside what its clones will need."""
    with here.builder(settings, around), emulator() as environment:
        here.write_vars(
            settings,
            lab_https_port=port(settings),
            lab_secluded_database=str(secluded_subnet(here.lab)[10]),
        )
        playbook("lab/image.yml", "-i", INVENTORY, "--limit", "all:localhost:!balancers")
        say("baking the builder: ansible-playbook -i inventories/image playbooks/bake.yml")
        bake(environment, "--skip-tags", "prove")
        here.freeze(settings, around)
        say("proving the image: bake.yml goes on with a clone of it")
        bake(environment)
    PROVEN.touch()


def down(settings: Settings) -> None:
    """Remove what ``up`` made."""
    if answers():
        remove(name(settings))
        # What a test that was cut off left behind.
        remove(secluded_name(name(settings)))
    here = bakery(name(settings))
    for path in (here.hosts, here.vars, FACTS):
        path.unlink(missing_ok=True)
    shutil.rmtree(HERE, ignore_errors=True)


def name(settings: Settings) -> str:
    """Starts the name of everything of this lab."""
    return f"{settings.name}-image"


def bakery(lab: str) -> Bakery:
    """Where the image of a lab of this name is baked."""
    return Bakery(lab, HERE, INVENTORY)


def port(settings: Settings) -> int:
    """Port on 127.0.0.1 of the load balancer: the one after `make up`'s."""
    return settings.port + 1


def url(settings: Settings) -> str:
    """Address of the load balancer."""
    return f"https://localhost:{port(settings)}"


def bake(environment: dict[str, str], *arguments: str) -> None:
    """Run the pipeline against the emulator."""
    playbook("playbooks/bake.yml", "-i", INVENTORY, *arguments, env=environment)


@contextmanager
def emulator() -> Iterator[dict[str, str]]:
    """EC2's API on this machine, with one base image.

    Yields:
        The environment in which Ansible's modules talk to it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{free}"
    environment = {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
    log = (HERE / "emulator.log").open("w")
    command = [str(VENV / "bin" / "python"), "-m", "lab.emulator", "--port", str(free)]
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_for(endpoint)
            register_base(environment)
            yield environment
        finally:
            process.terminate()


def _wait_for(endpoint: str) -> None:
    for _ in range(100):
        with suppress(OSError):
            urllib.request.urlopen(endpoint, timeout=1).close()
            return
        time.sleep(0.2)
    raise LabError(f"The emulator of EC2 does not answer; see {HERE / 'emulator.log'}")


def clone(here: Bakery, host: str) -> Host:
    """A clone that is given the lab's database, and its covers."""
    lab = here.lab
    data = {"environment": "lab", **GIVEN, "database_host": address(f"{lab}-db", lab)}
    if not images.has_nfs():
        return here.frozen.host(host, here.given(host, data), f"{lab}-covers")
    return here.frozen.host(host, here.given(host, {**data, "covers_address": address(f"{lab}-covers", lab)}))


@contextmanager
def secluded(lab: str) -> Iterator[Callable[..., dict[str, str]]]:
    """A network on which a lab's database can be reached and nothing else: no registry, no package index.

    Yields:
        A function that boots clones, all at once, each on the user data that it is given, and returns their containers'
        names. With ``later=True`` none has booted yet: starting its container is its first boot.
    """
    here, network, database = bakery(lab), secluded_name(lab), f"{lab}-db"
    with tempfile.TemporaryDirectory() as directory:
        values = {
            "lab_name": network,
            "lab_directory": directory,
            "lab_inventory": f"{directory}/hosts.yml",
            "lab_subnet": str(secluded_subnet(lab)),
            "lab_internal": True,
        }

        def create(hosts: list[Host]) -> None:
            playbook("lab/create.yml", "-e", json.dumps({**values, "lab_hosts": hosts}))

        def boot(wanted: dict[str, object], later: bool = False) -> dict[str, str]:
            hosts: list[Host] = []
            files = {}
            for host, data in wanted.items():
                folder = here.given(host, data)
                # None boots before the last one has started.
                if not later:
                    files[folder / "user-data.json"] = (folder / "user-data.json").read_text()
                    (folder / "user-data.json").unlink()
                one = Frozen(network, here.frozen.image, here.frozen.volume).host(host, folder)
                hosts.append({**one, "later": later})
            create(hosts)
            for file, text in files.items():
                file.write_text(text)
            return {host: f"{network}-{host}" for host in wanted}

        try:
            create([])
            inside = str(secluded_subnet(lab)[10])
            run("docker", "network", "connect", "--ip", inside, network, database)
            yield boot
        finally:
            output("docker", "network", "disconnect", network, database)
            remove(network)


def secluded_name(lab: str) -> str:
    """Starts the name of everything on a lab's network that leads nowhere."""
    return f"{lab}-secluded"


def secluded_subnet(lab: str) -> ipaddress.IPv4Network:
    """Its addresses, of those that are for tests of networks (RFC 2544), by checkout; the database has the tenth."""
    return ipaddress.IPv4Network(f"198.18.{hashlib.sha256(lab.encode()).digest()[0]}.0/24")


def serves(settings: Settings, seconds: float = 0) -> bool:
    """Whether the load balancer and a clone behind it answer, within some seconds."""
    return CA_FILE.exists() and _answers(f"{url(settings)}/health", seconds, ssl.create_default_context(cafile=CA_FILE))


def _answers(address: str, seconds: float, trust: ssl.SSLContext | None = None) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        with suppress(OSError), urllib.request.urlopen(address, timeout=3, context=trust) as response:
            return bool(response.status == 200)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)


def _wait_until_all_serve(settings: Settings) -> None:
    """Wait for each clone, and for the load balancer to have noticed.

    Raises:
        LabError: one of them does not become healthy; what its boot told is shown.
    """
    lab = name(settings)
    for one in CLONES:
        if not _answers(f"http://{address(f'{lab}-{one}', lab)}/health", 120):
            tell_boot(f"{lab}-{one}")
            raise LabError(f"{one} is not healthy; above is what its boot told. `make image` waits for it again.")
    if not serves(settings, 30):
        raise LabError(f"The clones are healthy and {url(settings)} does not answer. See HAProxy on {lab}-balancer.")


def _print_welcome(settings: Settings, how: str) -> None:
    facts = json.loads(FACTS.read_text())
    ca, here = CA_FILE.relative_to(ROOT), HERE.relative_to(ROOT)
    ssh = f"ssh -i {here}/ssh_key -o UserKnownHostsFile={here}/known_hosts root@"
    clones = "\n".join(f"    {one:<10}{ssh}{where['address']}" for one, where in facts["clones"].items())
    print(f"""
Two clones of the golden image {how}, behind a load balancer:

    {url(settings)}

  Its certificate is from the lab's own authority:
    curl --cacert {ca} {url(settings)}/health

  Log in, and read what a clone's boot told (journalctl -u bookstore-boot):
{clones}

  What is in the image: {here}/manifest.json. Where everything is: {FACTS.relative_to(ROOT)}

  What to try next:
    pytest tests/image       breaks and kills clones, and boots eight at once
    python -m bench.boot     the seconds of a boot, step by step
    make image-down
""")


def _write_facts(settings: Settings) -> None:
    """Write what tools rely on."""
    lab = name(settings)

    def host(one: str) -> dict[str, str]:
        container = f"{lab}-{one}"
        return {"address": address(container, lab), "ssh_key": str(HERE / "ssh_key"), "container": container}

    manifest = output("docker", "exec", f"{lab}-{CLONES[0]}", "cat", "/etc/bookstore/manifest.json")
    write_private(HERE / "manifest.json", f"{manifest}\n")
    facts = {
        "url": url(settings),
        "ca_file": str(CA_FILE),
        "manifest": str(HERE / "manifest.json"),
        "clones": {one: host(one) for one in CLONES},
        "database": {**host("db"), "name": "bookstore", "user": "bookstore", "secret_file": str(bakery(lab).secret)},
        "covers": {**host("covers"), "path": SHARE} if images.has_nfs() else {"volume": f"{lab}-covers"},
        "balancer": host("balancer"),
        "image": bakery(lab).frozen.image,
    }
    FACTS.write_text(json.dumps(facts, indent=2) + "\n")
