"""`make image`: bakes a lab host, freezes it, and boots clones of it behind a load balancer."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lab import images
from lab.checks import check_ground, check_port
from lab.engine import answers, ensure_engine
from lab.python import ensure_venv, playbook, venv_environment
from lab.settings import ROOT, STATE, VENV, LabError, Settings
from lab.shell import as_root, output, run, say, write_private

INVENTORY = ROOT / "inventories" / "image"
HOSTS = INVENTORY / "hosts.yml"
VARS = INVENTORY / "group_vars" / "all" / "lab.yml"
HERE = STATE / "image"
SECRET = HERE / "secret.json"
PROVEN = HERE / "proven"
FACTS = STATE / "image.json"
CA_FILE = HERE / "ca.pem"
DOCKER = "/var/lib/docker"
# As lab/file_server.yml has it.
SHARE = "/var/lib/docker/share"
WATCHES = Path("/proc/sys/fs/inotify/max_user_instances")
# A host's systemd and what it runs take seven.
ENOUGH_WATCHES = 1024
Host = dict[str, object]


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
    frozen = Frozen.of(name(settings))
    if not PROVEN.exists():
        down(settings)
        prepare(settings)
        _bake(settings, frozen, around)
    say("booting two clones, each with its copy of the disk")
    create(settings, [*around, *(clone(settings, frozen, one) for one in CLONES)])
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


def _bake(settings: Settings, frozen: Frozen, around: list[Host]) -> None:
    """Bake a host by the pipeline; the frozen host stands for the AMI, a clone of it for the instance on trial."""
    lab = frozen.lab
    say(f"starting the hosts {', '.join(str(host['name']) for host in around)} and builder")
    try:
        create(settings, [*around, {"name": "builder", "groups": ["golden_image"]}])
        _write_vars(settings, f"{lab}-builder")
        playbook("lab/image.yml", "-i", INVENTORY, "--limit", "all:localhost:!balancers")
        with emulator() as environment:
            say("baking the builder: ansible-playbook -i inventories/image playbooks/bake.yml")
            bake(environment, "--skip-tags", "prove")
            say("freezing the sealed builder: its disk is the image")
            frozen.freeze(f"{lab}-builder")
            say("proving the image: bake.yml goes on with a clone of it")
            # In the builder's place: the pipeline goes on with the image that is there.
            trial = frozen.host("trial", given("trial", {"trial": True}))
            create(settings, [*around, {**trial, "groups": ["golden_image"]}])
            bake(environment)
    except LabError:
        _tell_boot(f"{lab}-trial")
        raise
    finally:
        # Whatever happened: neither is to be left running.
        for host in ("trial", "builder"):
            remove_host(lab, host)
    PROVEN.touch()


def down(settings: Settings) -> None:
    """Remove what ``up`` made."""
    if answers():
        remove(name(settings))
        # What a test that was cut off left behind.
        remove(secluded_name(name(settings)))
    for path in (HOSTS, VARS, FACTS):
        path.unlink(missing_ok=True)
    shutil.rmtree(HERE, ignore_errors=True)


def name(settings: Settings) -> str:
    """Starts the name of everything of this lab."""
    return f"{settings.name}-image"


def port(settings: Settings) -> int:
    """Port on 127.0.0.1 of the load balancer: the one after `make up`'s."""
    return settings.port + 1


def url(settings: Settings) -> str:
    """Address of the load balancer."""
    return f"https://localhost:{port(settings)}"


def prepare(settings: Settings) -> None:
    """Make what a bake needs: a free port, images, secrets."""
    check_port(port(settings))
    images.ensure_host_image(settings)
    images.ensure_store_build()
    HERE.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(SECRET, json.dumps({"SECRET_KEY": secrets.token_urlsafe(48), "DB_PASS": secrets.token_urlsafe(24)}))


def create(settings: Settings, hosts: list[Host]) -> None:
    """Start hosts that are not there yet, and write the inventory of all of them."""
    values = {
        "lab_name": name(settings),
        "lab_directory": str(HERE),
        "lab_inventory": str(HOSTS),
        "lab_image": settings.host_image,
        "lab_hosts": hosts,
    }
    playbook("lab/create.yml", "-e", json.dumps(values))


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
            _register_base({**os.environ, **environment, **venv_environment()})
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


def _register_base(environment: dict[str, str]) -> None:
    """Give the emulator an image that stands for the distribution's."""
    script = (
        "import boto3; boto3.client('ec2', region_name='eu-west-1').register_image("
        "Name='lab-base', Architecture='x86_64', RootDeviceName='/dev/sda1', VirtualizationType='hvm')"
    )
    subprocess.run([VENV / "bin" / "python", "-c", script], env=environment, check=True)


def given(host: str, user_data: object) -> Path:
    """A folder as an instance finds it: its user data, as they are where they are a text, and the secret."""
    folder = HERE / "instances" / host
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "user-data.json").write_text(user_data if isinstance(user_data, str) else json.dumps(user_data))
    shutil.copy(SECRET, folder / "secret.json")
    return folder


def clone(settings: Settings, frozen: Frozen, host: str) -> Host:
    """A clone that is given the lab's database, and its covers."""
    lab = frozen.lab
    data = {"environment": "lab", **GIVEN, "database_host": address(f"{lab}-db", lab)}
    if not images.has_nfs():
        return frozen.host(host, given(host, data), f"{lab}-covers")
    return frozen.host(host, given(host, {**data, "covers_address": address(f"{lab}-covers", lab)}))


@contextmanager
def secluded(lab: str) -> Iterator[Callable[[dict[str, object]], dict[str, str]]]:
    """A network on which a lab's database can be reached and nothing else: no registry, no package index.

    Yields:
        A function that boots clones, all at once, each on the user data that it is given, and returns their containers'
        names.
    """
    frozen, network, database = Frozen.of(lab), secluded_name(lab), f"{lab}-db"
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

        def boot(wanted: dict[str, object]) -> dict[str, str]:
            hosts, files = [], {}
            for host, data in wanted.items():
                folder = given(host, data)
                # None boots before the last one has started.
                files[folder / "user-data.json"] = (folder / "user-data.json").read_text()
                (folder / "user-data.json").unlink()
                hosts.append(Frozen(network, frozen.image, frozen.volume).host(host, folder))
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


def address(container: str, network: str) -> str:
    """Address of a host in a network.

    Raises:
        LabError: there is no such host.
    """
    template = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    if not (found := output("docker", "inspect", "--format", template, container)):
        raise LabError(f"The host {container} does not run. `make image-down` and `make image` make it anew.")
    return found


def remove_host(lab: str, host: str) -> None:
    """Remove one host and its disk."""
    run("docker", "rm", "--force", "--volumes", f"{lab}-{host}", quiet=True)
    run("docker", "volume", "rm", "--force", f"{lab}-{host}-docker", quiet=True)


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
            _tell_boot(f"{lab}-{one}")
            raise LabError(f"{one} is not healthy; above is what its boot told. `make image` waits for it again.")
    if not serves(settings, 30):
        raise LabError(f"The clones are healthy and {url(settings)} does not answer. See HAProxy on {lab}-balancer.")


def _tell_boot(container: str) -> None:
    """Print what a clone's boot told, if there is such a clone."""
    if told := output("docker", "exec", container, "journalctl", "--unit=bookstore-boot", "--output=cat", "--no-pager"):
        print(told, flush=True)


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


def _write_vars(settings: Settings, builder: str) -> None:
    """Write the values that only this machine can know, and secrets that nobody needs to know."""
    network = output("docker", "network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", name(settings))
    secret = json.loads(SECRET.read_text())
    values = {
        "vault_secret_key": secret["SECRET_KEY"],
        "vault_database_password": secret["DB_PASS"],
        "lab_state": str(HERE),
        "lab_https_port": port(settings),
        "lab_network": network,
        "lab_builder_address": address(builder, name(settings)),
        "lab_secluded_database": str(secluded_subnet(name(settings))[10]),
        "mysql_apt_suite": "sid" if settings.is_debian else "",
        **json.loads(images.STORE_BUILD.read_text()),
    }
    write_private(
        VARS, "# Written by `make image`, read by Ansible. JSON is YAML too.\n" + json.dumps(values, indent=2)
    )


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
        "database": {**host("db"), "name": "bookstore", "user": "bookstore", "secret_file": str(SECRET)},
        "covers": {**host("covers"), "path": SHARE} if images.has_nfs() else {"volume": f"{lab}-covers"},
        "balancer": host("balancer"),
        "image": Frozen.of(lab).image,
    }
    FACTS.write_text(json.dumps(facts, indent=2) + "\n")


@dataclass(frozen=True)
class Frozen:
    """A host's disk: the root as an image, what its own engine holds as a volume.

    As an AMI and its snapshot are: a clone gets a copy of both before it boots; nothing is loaded or unpacked then.

    Attributes:
        lab: starts the name of everything of this lab.
        image: the root file system.
        volume: /var/lib/docker.
    """

    lab: str
    image: str
    volume: str

    @classmethod
    def of(cls, lab: str) -> Frozen:
        """The frozen host of a lab."""
        return cls(lab, f"bookstore-golden:{lab}", f"{lab}-golden-docker")

    def freeze(self, container: str) -> None:
        """Stop a sealed host and keep its disk.

        Raises:
            LabError: the engine refused.
        """
        mounts = json.loads(output("docker", "inspect", "--format", "{{json .Mounts}}", container) or "[]")
        found = [mount["Name"] for mount in mounts if mount["Destination"] == DOCKER]
        if not found:
            raise LabError(f"{container} has no volume at {DOCKER}. Make it with lab/create.yml.")
        run("docker", "stop", container, quiet=True)
        run("docker", "commit", container, self.image, quiet=True)
        self._copy(found[0], self.volume)

    def host(self, name: str, given: Path, covers: str = "") -> Host:
        """A clone as lab/create.yml takes it, with a copy of the disk.

        Args:
            name: its host name.
            given: folder with its user-data.json, and what that refers to.
            covers: volume that stands for the covers' file system, mounted already, where none is mounted at boot.
        """
        volume = f"{self.lab}-{name}-docker"
        # A clone is made of a whole copy: where there is none, a volume is what a run that was broken off left.
        if output("docker", "container", "inspect", f"{self.lab}-{name}") is None:
            self._copy(self.volume, volume)
        volumes = [f"{volume}:{DOCKER}", f"{given}:/srv/instance:ro"]
        if covers:
            self._make(covers)
            volumes.append(f"{covers}:/srv/bookstore/uploads")
        return {"name": name, "groups": ["clones"], "image": self.image, "volumes": volumes}

    def _copy(self, source: str, target: str) -> None:
        # The engine goes on copying when the one who asked it to is dead.
        copier = f"{target}-copy"
        output("docker", "rm", "--force", copier)
        run("docker", "volume", "rm", "--force", target, quiet=True)
        self._make(target)
        # With the attributes that an overlay's layers carry, which only an administrator may set.
        run(
            *("docker", "run", "--rm", "--name", copier, "--label", f"bookstore.lab={self.lab}"),
            *("--cap-add=SYS_ADMIN", "--network=none"),
            *(f"--volume={source}:/from:ro", f"--volume={target}:/to", self.image),
            *("cp", "--archive", "/from/.", "/to/"),
        )

    def _make(self, volume: str) -> None:
        """Make a volume that `remove` finds again, where there is none."""
        run("docker", "volume", "create", "--label", f"bookstore.lab={self.lab}", volume, quiet=True)


def remove(lab: str) -> None:
    """Remove every container, volume, image and network of a lab."""
    label = f"label=bookstore.lab={lab}"
    for kind, arguments in (
        ("container", ("ls", "--all", "--quiet", "--filter", label)),
        ("volume", ("ls", "--quiet", "--filter", label)),
        ("image", ("ls", "--quiet", Frozen.of(lab).image)),
        ("network", ("ls", "--quiet", "--filter", label)),
    ):
        if names := output("docker", kind, *arguments):
            force = () if kind == "network" else ("--force",)
            volumes = ("--volumes",) if kind == "container" else ()
            # As they are listed, the newest first: a covers' server goes after those who mount from it.
            run("docker", kind, "rm", *force, *volumes, *dict.fromkeys(names.split()), quiet=True)
