"""Clones of the golden image from their first start to their first good answer, by step: ``python -m bench.boot``.

The first boot is what an Auto Scaling group waits for: host keys, machine-id and the engine's own are made in it.
Beside it what a clone takes that booted before, and two things measured in the same run: the sum of its parts, each
alone on an idle host, and a host that the same roles bootstrap from nothing. Needs the clones of ``make image``, whose
database it uses; the clone itself reaches nothing else, no registry and no package index.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

from bench.harness import BenchError, Result, arguments, save, say
from lab import baking, image
from lab.python import playbook
from lab.settings import read_settings

# What is promised of a clone.
MOST_OF_PARTS = 1.5
MOST_OF_BOOTSTRAP = 0.15
# What a host has before there is anything of the store on it.
STORE_UNITS = (
    "bookstore-boot.service",
    "bookstore-refresh.timer",
    "docker.service",
    "docker.socket",
    "containerd",
    "nginx",
)


def docker(*command: str) -> str:
    """Run docker on this machine.

    Raises:
        BenchError: it failed.
    """
    done = subprocess.run(["docker", *command], capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"docker {' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


class Host:
    """A host of the lab."""

    def __init__(self, container: str, network: str) -> None:
        self.container, self.network = container, network

    def run(self, *command: str) -> str:
        """Run a command in it."""
        return docker("exec", self.container, *command)

    def seconds(self, command: str) -> float:
        """How long a shell command takes in it, told by its own clock; one that fails or hangs ends the run."""
        script = 's=$(date +%s%N); timeout 60 sh -ec "$1" >&2; e=$(date +%s%N); echo $(((e - s) / 1000))'
        return int(self.run("sh", "-ec", script, "sh", command)) / 1e6

    def start(self) -> float:
        """Start the stopped host; seconds until its nginx says that the store is healthy.

        Raises:
            BenchError: it was not within two minutes.
        """
        began = time.monotonic()
        docker("start", self.container)
        return self.until_healthy(began)

    def until_healthy(self, began: float) -> float:
        """Seconds since ``began`` when it is healthy; see ``start``."""
        address = baking.address(self.container, self.network)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if requests.get(f"http://{address}/health", timeout=2).status_code == 200:
                    return time.monotonic() - began
            except requests.RequestException:
                pass
            time.sleep(0.02)
        raise BenchError(
            f"{self.container} is not healthy: {self.run('journalctl', '-u', 'bookstore-boot', '-o', 'cat')}"
        )

    def stop(self) -> None:
        """Stop it, its store gone as before its start."""
        # One of the two is there; older engines fail for the other.
        self.run("sh", "-c", "docker rm --force bookstore-blue bookstore-green || true")
        docker("stop", self.container)

    def steps(self) -> dict[str, float]:
        """Of the last boot, in seconds: until the engine is started, the engine, and what the boot unit told."""
        began = self.moment("InactiveExitTimestamp", "docker")
        log = self.run("journalctl", "--boot", "--unit=bookstore-boot", "--output=cat", "--no-pager")
        told = re.findall(r"boot: ([\w ]+): done in ([\d.]+) s", log)
        return {
            "init": round(began - self.moment("UserspaceTimestamp"), 2),
            "engine": round(self.moment("ActiveEnterTimestamp", "docker") - began, 2),
            **{name: float(value) for name, value in told},
        }

    def moment(self, name: str, *unit: str) -> float:
        """A moment that systemd keeps of a unit or, without one, of itself; in seconds of the host's clock."""
        return int(self.run("systemctl", "show", "--value", f"--property={name}Monotonic", *unit)) / 1e6


def timed(host: Host) -> Result:
    """Start a host that is stopped; how long it took, and its steps."""
    return {"seconds": round(host.start(), 2), "steps": host.steps()}


def parts(host: Host) -> dict[str, float]:
    """Each part of a boot alone, on a host where nothing else happens, in seconds."""
    container = "; ".join(
        [
            'set -- $(python3 -c \'import json; d = json.load(open("/etc/bookstore/container.json"));'
            ' print(*d["arguments"], d["image"])\')',
            "docker run --detach --name bookstore-blue --env-file /run/bookstore/environment"
            ' --publish 127.0.0.1:8001:8000 "$@"',
            "until curl --silent --fail localhost:8001/ready; do sleep 0.02; done",
        ]
    )
    host.run("systemctl", "stop", "bookstore-refresh.timer")
    # As in Host.stop.
    host.run("sh", "-c", "docker rm --force bookstore-blue bookstore-green || true")
    found = {"container": host.seconds(container), "first request": host.seconds("curl --silent localhost:8001/health")}
    host.run("sh", "-c", "docker rm --force bookstore-blue; systemctl stop docker.socket docker containerd")
    found["engine"] = host.seconds("systemctl start docker")
    host.run("systemctl", "disable", *STORE_UNITS)
    docker("stop", host.container)
    began = time.monotonic()
    docker("start", host.container)
    started = time.monotonic() - began
    for _ in range(200):
        # It ends with 1 while the host boots, and for ever if a unit failed: what it says is judged.
        if host.run("sh", "-c", "systemctl is-system-running || true") in ("running", "degraded"):
            break
        time.sleep(0.1)
    else:
        raise BenchError(f"{host.container} has not ended its start: {host.run('systemctl', 'list-jobs')}")
    found["init"] = started + host.moment("FinishTimestamp") - host.moment("UserspaceTimestamp")
    host.run("systemctl", "enable", *STORE_UNITS)
    return found


def bootstrap(lab: str, directory: Path) -> float:
    """Seconds that the roles take to bring a host with nothing on it to the same state."""
    settings = read_settings()
    folder = image.bakery(lab).given("bootstrap", {"trial": True})
    volumes = [baking.DOCKER, f"{folder}:/srv/instance:ro"]
    host: baking.Host = {"name": "bootstrap", "groups": ["golden_image"], "volumes": volumes}
    values = {"lab_name": lab, "lab_directory": str(directory), "lab_inventory": str(directory / "hosts.yml")}
    playbook("lab/create.yml", "-e", json.dumps({**values, "lab_image": settings.host_image, "lab_hosts": [host]}))
    (directory / "group_vars").symlink_to(image.INVENTORY / "group_vars")
    began = time.monotonic()
    playbook("playbooks/golden-image.yml", "-i", directory / "hosts.yml", "--skip-tags", "seal")
    one = Host(f"{lab}-bootstrap", lab)
    one.run("sh", "-c", "systemctl restart systemd-tmpfiles-setup; systemctl start bookstore-boot")
    return one.until_healthy(began)


def versions(facts: dict[str, Any]) -> dict[str, str]:
    """What was measured: the image's release and what it runs on."""
    manifest = json.loads(Path(facts["manifest"]).read_text())
    packages = manifest["packages"]
    return {name: manifest[name] for name in ("release", "commit", "system")} | {
        name: packages[name] for name in ("docker.io", "docker-ce", "nginx", "systemd") if name in packages
    }


def main() -> None:
    """Measure, report, and fail where a bound is broken."""
    parser = arguments(__doc__)
    parser.add_argument("--boots", type=int, default=5, help="clones, each with a first boot; and later boots of one")
    options = parser.parse_args()
    if not image.FACTS.exists():
        raise BenchError("There are no clones: run `make image` first.")
    facts: dict[str, Any] = json.loads(image.FACTS.read_text())
    lab = str(facts["image"]).partition(":")[2]
    with image.secluded(lab) as boot:
        given = {**image.GIVEN, "database_host": str(image.secluded_subnet(lab)[10])}
        network = f"{lab}-secluded"
        # Each on a disk of its own, and alone.
        fresh = boot({f"measured-{number}": given for number in range(options.boots)}, later=True)
        boots = []
        for container in fresh.values():
            host = Host(container, network)
            boots.append(timed(host))
            say(f"first boot: {boots[-1]}")
            host.stop()
        again = []
        for _ in range(options.boots):
            again.append(timed(host))
            say(f"later boot: {again[-1]}")
            host.stop()
        host.start()
        alone = {name: round(value, 2) for name, value in parts(host).items()}
        say(f"its parts alone: {alone}")
    whole, later = (statistics.median(one["seconds"] for one in some) for some in (boots, again))
    with tempfile.TemporaryDirectory() as directory:
        try:
            nothing = bootstrap(f"{lab}-bootstrap", Path(directory))
        finally:
            baking.remove(f"{lab}-bootstrap")
    total = round(sum(alone.values()), 2)
    bound = round(MOST_OF_PARTS * total, 2)
    result = {
        "name": "first boot of a clone",
        "seconds": whole,
        "boots": boots,
        "later_seconds": later,
        "later_boots": again,
        "parts_alone": alone,
        "sum_of_parts": total,
        "of_parts": round(whole / total, 2),
        "bound_seconds": bound,
        "bootstrap_seconds": round(nothing, 1),
        "of_bootstrap": round(whole / nothing, 3),
    }
    say(
        f"a clone is healthy {whole:.1f} s after its first start (bound: {bound} s): {result['of_parts']} of its parts "
        f"({total} s), {result['of_bootstrap']} of a bootstrap ({nothing:.0f} s); {later:.1f} s after a later one"
    )
    save("boot", options, [result], versions=versions(facts))
    if whole > bound or whole > MOST_OF_BOOTSTRAP * nothing:
        raise BenchError("a clone takes longer to boot than it may")


if __name__ == "__main__":
    main()
