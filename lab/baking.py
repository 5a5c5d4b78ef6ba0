"""A lab host in a builder's place: baked by the pipeline, frozen, and a clone of it on trial.

`make image` and `make rehearse` share it. The frozen host stands for the AMI, a clone of it for an instance.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import images
from lab.python import playbook, venv_environment
from lab.settings import VENV, LabError, Settings
from lab.shell import output, run, say, write_private

DOCKER = "/var/lib/docker"
BUILDER, TRIAL = "builder", "trial"
Host = dict[str, object]


@dataclass(frozen=True)
class Bakery:
    """Where a lab host is baked.

    Attributes:
        lab: starts the name of every container, volume, image and network of it.
        folder: its keys and secrets, and what clones are given.
        inventory: its hosts and their variables, those of inventories/image among them.
    """

    lab: str
    folder: Path
    inventory: Path

    @property
    def hosts(self) -> Path:
        """The inventory's file of hosts."""
        return self.inventory / "hosts.yml"

    @property
    def vars(self) -> Path:
        """Values that only this machine can know."""
        return self.inventory / "group_vars" / "all" / "lab.yml"

    @property
    def secret(self) -> Path:
        """What an instance would be given by Secrets Manager."""
        return self.folder / "secret.json"

    @property
    def frozen(self) -> Frozen:
        """The baked host."""
        return Frozen.of(self.lab)

    def prepare(self, settings: Settings) -> None:
        """Make what a bake needs: images, secrets."""
        images.ensure_host_image(settings)
        images.ensure_store_build()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = {"SECRET_KEY": secrets.token_urlsafe(48), "DB_PASS": secrets.token_urlsafe(24)}
        write_private(self.secret, json.dumps(made))

    def create(self, settings: Settings, hosts: Sequence[Host]) -> None:
        """Start hosts that are not there yet, and write the inventory of all of them."""
        values = {
            "lab_name": self.lab,
            "lab_directory": str(self.folder),
            "lab_inventory": str(self.hosts),
            "lab_image": settings.host_image,
            "lab_hosts": list(hosts),
        }
        playbook("lab/create.yml", "-e", json.dumps(values))

    @contextmanager
    def builder(self, settings: Settings, around: Sequence[Host] = ()) -> Iterator[None]:
        """A host to bake, beside others. Neither it nor a clone on trial is left, whatever happens.

        Raises:
            LabError: a step failed; what the clone's boot told is shown.
        """
        say(f"starting the hosts {', '.join([*(str(host['name']) for host in around), BUILDER])}")
        try:
            self.create(settings, [*around, {"name": BUILDER, "groups": ["golden_image"]}])
            yield
        except LabError:
            tell_boot(f"{self.lab}-{TRIAL}")
            raise
        finally:
            for host in (TRIAL, BUILDER):
                remove_host(self.lab, host)

    def write_vars(self, settings: Settings, **further: object) -> None:
        """Write the values that only this machine can know, and secrets that nobody needs to know."""
        network = output("docker", "network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", self.lab)
        secret = json.loads(self.secret.read_text())
        values = {
            "vault_secret_key": secret["SECRET_KEY"],
            "vault_database_password": secret["DB_PASS"],
            "lab_state": str(self.folder),
            "lab_network": network,
            "lab_builder_address": address(f"{self.lab}-{BUILDER}", self.lab),
            "mysql_apt_suite": "sid" if settings.is_debian else "",
            **json.loads(images.STORE_BUILD.read_text()),
            **further,
        }
        text = json.dumps(values, indent=2)
        write_private(self.vars, f"# Written by the lab, read by Ansible. JSON is YAML too.\n{text}")

    def freeze(self, settings: Settings, around: Sequence[Host] = ()) -> None:
        """Keep the sealed builder's disk, and start a clone of it in its place: the pipeline goes on with that."""
        say("freezing the sealed builder: its disk is the image; a clone of it is on trial")
        self.frozen.freeze(f"{self.lab}-{BUILDER}")
        trial = self.frozen.host(TRIAL, self.given(TRIAL, {"trial": True}))
        self.create(settings, [*around, {**trial, "groups": ["golden_image"]}])

    def given(self, host: str, user_data: object) -> Path:
        """A folder as an instance finds it: its user data, as they are where they are a text, and the secret."""
        folder = self.folder / "instances" / host
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "user-data.json").write_text(user_data if isinstance(user_data, str) else json.dumps(user_data))
        shutil.copy(self.secret, folder / "secret.json")
        return folder


def register_base(environment: dict[str, str]) -> None:
    """Give an emulator an image that stands for the distribution's, as inventories/image looks for it."""
    script = (
        "import boto3; boto3.client('ec2', region_name='eu-west-1').register_image("
        "Name='lab-base', Architecture='x86_64', RootDeviceName='/dev/sda1', VirtualizationType='hvm')"
    )
    known = {**os.environ, **environment, **venv_environment()}
    subprocess.run([VENV / "bin" / "python", "-c", script], env=known, check=True)


def address(container: str, network: str) -> str:
    """Address of a host in a network.

    Raises:
        LabError: there is no such host.
    """
    template = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    if not (found := output("docker", "inspect", "--format", template, container)):
        raise LabError(f"The host {container} does not run. `make image-down` and `make image` make it anew.")
    return found


def tell_boot(container: str) -> None:
    """Print what a clone's boot told, if there is such a clone."""
    if told := output("docker", "exec", container, "journalctl", "--unit=bookstore-boot", "--output=cat", "--no-pager"):
        print(told, flush=True)


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


def remove_host(lab: str, host: str) -> None:
    """Remove one host and its disk."""
    run("docker", "rm", "--force", "--volumes", f"{lab}-{host}", quiet=True)
    run("docker", "volume", "rm", "--force", f"{lab}-{host}-docker", quiet=True)
