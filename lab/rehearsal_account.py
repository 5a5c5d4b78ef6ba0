"""An account to rehearse in: the emulator, what an account has before, four environments, and playbooks run in it."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab import image
from lab.baking import Bakery, register_base, remove
from lab.engine import answers, ensure_engine
from lab.settings import ROOT, STATE, VENV, LabError, Settings

FOLDER = STATE / "rehearsal"
STATES = FOLDER / "states"
RECORD = STATE / "rehearsal.json"
LOG = FOLDER / "emulator.log"
REGION = "eu-west-1"
FOREIGN_NETWORK = "10.99.0.0/16"
START_SECONDS = 60
# An interrupted playbook's module goes on to its end; some of amazon.aws's sleep for seconds between two calls.
SETTLED_SECONDS = 6
DOMAIN = "books.example.com"
# What an operator would write into an environment's main.yml; the first is an environment as the example has it.
COMMON: dict[str, Any] = {
    "aws_region": REGION,
    "aws_network_zones": [f"{REGION}a", f"{REGION}b"],
    # The emulator is quick; nobody wants the last secrets and pauses of a rehearsal.
    "aws_wait_delay": 0.2,
    "aws_secrets_recovery_days": 0,
    "aws_fleet_checkpoint_seconds": 0,
    "aws_fleet_smoke_delay": 0,
    "aws_final_snapshot": False,
}
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "shop": {"aws_edge_tls": "acm", "aws_edge_domain": DOMAIN, "aws_edge_zone": "example.com"},
    "academy": {
        "aws_edge_tls": "cloudfront",
        "aws_edge_waf": True,
        "aws_network_vpc": "default",
        "aws_identity_instance_profile": "LabInstanceProfile",
    },
    "brought": {
        "aws_edge_tls": "imported",
        "aws_edge_domain": "brought.example.org",
        "aws_edge_certificate_file": str(FOLDER / "certificate.pem"),
        "aws_edge_certificate_key_file": str(FOLDER / "certificate-key.pem"),
        "aws_edge_waf": True,
        "aws_network_cidr": "10.21.0.0/16",
        "aws_network_egress": "endpoints",
        "aws_fleet_warm_pool": 1,
        # As the roles have it: what is deleted keeps its name for a while, and the database's last state is kept.
        "aws_secrets_recovery_days": 7,
        "aws_final_snapshot": True,
    },
    # The cheapest way out: no gateway, and an address for each instance.
    "plain": {
        "aws_edge_tls": "imported",
        "aws_edge_domain": "brought.example.org",
        "aws_edge_certificate_file": str(FOLDER / "certificate.pem"),
        "aws_edge_certificate_key_file": str(FOLDER / "certificate-key.pem"),
        "aws_network_cidr": "10.22.0.0/16",
        "aws_network_egress": "public",
    },
}
# What an environment's end leaves for a while, or for good: a last snapshot, secrets that can be restored.
KEPT = {"brought": (":snapshot:", ":secret:")}


@dataclass
class Result:
    """What a playbook did.

    Attributes:
        code: how it ended.
        changed, failed: tasks, by Ansible's count.
        seconds: how long it took.
        calls: of AWS's API, in their order.
        text: what it printed.
    """

    code: int
    changed: int
    failed: int
    seconds: float
    calls: list[dict[str, Any]]
    text: str

    @property
    def mutating(self) -> list[str]:
        """The calls that change something."""
        return [f"{call['service']}:{call['operation']}" for call in self.calls if call["mutating"]]


Check = Callable[[Result], str]
# Where a playbook is interrupted: after so many calls that change something, or after one by its name; 0 is nowhere.
Stop = int | str


@dataclass
class Rehearsal:
    """A running emulator and what is done on it.

    Attributes:
        port: where the emulator listens.
        process: its process id.
        images: AMIs by their release.
        rows: what was done, for the table.
        recorded: calls of all steps, by step.
    """

    port: int
    process: int
    images: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, Result, str]] = field(default_factory=list)
    recorded: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """The emulator's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        """What points boto3 at the emulator, and keeps it from looking or retrying elsewhere."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "2",
        }

    def client(self, service: str) -> Any:
        """A client of the emulator."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106 (the emulator takes any)
        )

    def calls(self, keep: bool = False) -> list[dict[str, Any]]:
        """The calls since they were last asked for; whether to tell of them again."""
        method = "GET" if keep else "DELETE"
        request = urllib.request.Request(f"{self.endpoint}/_emulator/requests", method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            calls: list[dict[str, Any]] = json.load(answer)
        return calls

    def arguments(self, environment: str) -> list[str]:
        """What ansible-playbook needs for an environment."""
        smoke = f"{self.endpoint}/_emulator/front/{environment}"
        return ["-i", str(FOLDER / "inventories" / environment / "hosts.yml"), "-e", f"aws_fleet_smoke_url={smoke}"]

    def play(self, playbook: str, environment: str, *options: str, stop_after: Stop = 0) -> Result:
        """Run a playbook for an environment; interrupt it where it is told to."""
        self.calls()
        began = time.monotonic()
        environ = {key: value for key, value in os.environ.items() if key != "AWS_CA_BUNDLE"}
        process = subprocess.Popen(
            [VENV / "bin" / "ansible-playbook", *self.arguments(environment), f"playbooks/{playbook}.yml", *options],
            cwd=ROOT,
            env={**environ, **self.env, "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if stop_after:
            threading.Thread(target=self.interrupt, args=(process, stop_after), daemon=True).start()
        text, _ = process.communicate()
        seconds = time.monotonic() - began
        if stop_after:
            self.settle()
        recap = re.search(r"changed=(\d+).*failed=(\d+)", text)
        changed, failed = (int(recap[1]), int(recap[2])) if recap else (0, 1)
        return Result(process.returncode, changed, failed, seconds, self.calls(), text)

    def interrupt(self, process: subprocess.Popen[str], after: Stop) -> None:
        """Press Ctrl-C, so to speak, once there were so many calls that change something, or that call."""
        while process.poll() is None:
            changing = [call["operation"] for call in self.calls(keep=True) if call["mutating"]]
            if after in changing or (isinstance(after, int) and len(changing) >= after):
                process.send_signal(signal.SIGINT)
                return
            time.sleep(0.05)

    def settle(self) -> None:
        """Wait until there are no calls any more."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < SETTLED_SECONDS:
            if seen != (now := len(self.calls(keep=True))):
                seen, since = now, time.monotonic()
            time.sleep(0.2)

    def step(
        self, name: str, check: Check, playbook: str, environment: str, *options: str, stop_after: Stop = 0
    ) -> Result:
        """Run a playbook, confirmed beforehand, and hold it to what it must have done.

        Raises:
            LabError: it did something else.
        """
        result = self.play(playbook, environment, *options, "-e", "confirm=true", stop_after=stop_after)
        problem = check(result)
        self.rows.append((name, result, problem))
        self.recorded[name] = result.calls
        print(row(name, result, problem), flush=True)
        if problem:
            log = FOLDER / "failed.log"
            log.write_text(result.text)
            raise LabError(f"rehearsal, {name}: {problem}. What it printed is in {log.relative_to(ROOT)}.")
        return result


HEAD = f"{'step':<46} {'seconds':>7} {'changed':>7} {'failed':>6} {'calls':>6} {'mutating':>8}"


def row(name: str, result: Result, problem: str) -> str:
    """A line of the table."""
    end = f"   {problem[:120]}" if problem else ""
    counts = f"{result.changed:>7} {result.failed:>6} {len(result.calls):>6} {len(result.mutating):>8}"
    return f"{name:<46} {result.seconds:>7.1f} {counts}{end}"


def start() -> Rehearsal:
    """Start the emulator.

    Raises:
        LabError: it does not answer.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with LOG.open("w") as log:
        process = subprocess.Popen(
            [VENV / "bin" / "python", "-m", "lab.emulator", "--port", str(port)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    rehearsal = Rehearsal(port, process.pid)
    (FOLDER / "emulator.pid").write_text(str(process.pid))
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            rehearsal.calls()
            return rehearsal
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise LabError(f"The emulator of AWS does not answer; see {LOG.relative_to(ROOT)}.") from None
            time.sleep(0.1)


def stop(process: int) -> None:
    """End the emulator."""
    try:
        os.kill(process, signal.SIGTERM)
    except ProcessLookupError:
        return


def down(settings: Settings) -> None:
    """End what a rehearsal with KEEP=1, or one that was broken off, left: the emulator, its record, a builder."""
    pid = FOLDER / "emulator.pid"
    if pid.exists():
        command = Path(f"/proc/{pid.read_text()}/cmdline")
        # A number that another process has by now is left alone.
        if command.exists() and b"lab.emulator" in command.read_bytes():
            stop(int(pid.read_text()))
    if answers():
        remove(_builders(settings))
    shutil.rmtree(FOLDER, ignore_errors=True)
    RECORD.unlink(missing_ok=True)


def prepare(rehearsal: Rehearsal) -> None:
    """What an account has before: a base image, a domain's zone, a given profile; and the inventories."""
    ec2 = rehearsal.client("ec2")
    register_base(rehearsal.env)
    rehearsal.client("route53").create_hosted_zone(Name="example.com.", CallerReference="rehearsal")
    # Somebody else's, which an environment of the same name must leave alone.
    named = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "shop"}]}]
    ec2.create_vpc(CidrBlock=FOREIGN_NETWORK, TagSpecifications=named)
    rehearsal.client("iam").create_instance_profile(InstanceProfileName="LabInstanceProfile")
    write_certificate()
    for name, variables in ENVIRONMENTS.items():
        folder = FOLDER / "inventories" / name
        (folder / "group_vars" / "all").mkdir(parents=True)
        shutil.copy(ROOT / "inventories" / "aws" / "hosts.yml", folder)
        (folder / "group_vars" / "all" / "00_shared").symlink_to(ROOT / "group_vars" / "aws")
        text = json.dumps({"aws_environment": name, **COMMON, **variables}, indent=2)
        (folder / "group_vars" / "all" / "main.yml").write_text(text)


@contextmanager
def bakery(settings: Settings) -> Iterator[Bakery]:
    """A builder of this lab, with the variables of `make image`; nothing of it is left on the engine."""
    ensure_engine()
    here = Bakery(_builders(settings), FOLDER / "bake", FOLDER / "inventories" / "bake")
    for group in ("all", "golden_image"):
        (here.inventory / "group_vars" / group).mkdir(parents=True)
        for file in (image.INVENTORY / "group_vars" / group).iterdir():
            if file != image.bakery(here.lab).vars:
                (here.inventory / "group_vars" / group / file.name).symlink_to(file.resolve())
    here.prepare(settings)
    # No clone of it asks a database.
    shutil.copy(FOLDER / "certificate.pem", here.folder / "database-ca.pem")
    try:
        with here.builder(settings):
            here.write_vars(settings, lab_https_port=443)
            yield here
    finally:
        remove(here.lab)


def _builders(settings: Settings) -> str:
    return f"{settings.name}-rehearsal"


def releases(rehearsal: Rehearsal) -> None:
    """Find the image that was baked, which is release 1.0, and register those that come after it."""
    ec2 = rehearsal.client("ec2")
    [baked] = ec2.describe_images(Owners=["self"], Filters=[{"Name": "tag:Role", "Values": ["golden"]}])["Images"]
    rehearsal.images["1.0"] = baked["ImageId"]
    [builder] = ec2.run_instances(ImageId=baked["ImageId"], MinCount=1, MaxCount=1)["Instances"]
    # 1.2 never becomes healthy and 1.3 cannot migrate: see lab/emulator_patches.py.
    further = {"1.1": {}, "1.2": {"emulator:unhealthy": "true"}, "1.3": {"emulator:migration-fails": "true"}}
    for release, played in further.items():
        tags = {"Release": release, "Result": "good", **played}
        tag_list = [{"Key": key, "Value": value} for key, value in tags.items()]
        rehearsal.images[release] = ec2.create_image(
            InstanceId=builder["InstanceId"],
            Name=f"bookstore-{release}",
            TagSpecifications=[{"ResourceType": "image", "Tags": tag_list}],
        )["ImageId"]
    ec2.terminate_instances(InstanceIds=[builder["InstanceId"]])


def write_certificate() -> None:
    """A certificate as an operator would bring it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "brought.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("brought.example.org")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (FOLDER / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (FOLDER / "certificate-key.pem").write_bytes(pem)


def record(rehearsal: Rehearsal) -> None:
    """Write where the emulator is and what it holds."""
    facts = {
        "endpoint": rehearsal.endpoint,
        "region": REGION,
        "environment": "shop",
        "env": rehearsal.env,
        "args": " ".join([*rehearsal.arguments("shop"), "-e", "confirm=true"]),
        "calls": str(FOLDER / "calls.json"),
    }
    RECORD.write_text(json.dumps(facts, indent=2) + "\n")
