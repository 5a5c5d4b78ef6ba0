"""The pipeline's dealings with EC2, over HTTP with an emulator: nothing is left running, nothing good is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.ec2.models import ec2_backends

from tests.ansible.conftest import ROOT

REGION = "eu-west-1"
RELEASE = "0123456789ab"
RECIPE = "ba9876543210"
VARIABLES = {
    "aws_region": REGION,
    "aws_image_base_owner": "self",
    "aws_image_base_name": "lab-base",
    "aws_image_admin_networks": ["192.0.2.0/24"],
    "aws_image_trial_seconds": 5,
    "aws_image_keep": 2,
    "bake_patience": 1,
}
BASE = {"Name": "lab-base", "Architecture": "x86_64", "RootDeviceName": "/dev/sda1", "VirtualizationType": "hvm"}
MANIFEST = {
    "release": RELEASE,
    "commit": "c0ffee",
    "image": "sha256:5eed",
    "time": "2026-11-30T12:00:00Z",
    "system": "Ubuntu 24.04",
}


@pytest.fixture
def ec2(emulator: str) -> Any:
    client = boto3.client(
        "ec2", region_name=REGION, endpoint_url=emulator, aws_access_key_id="x", aws_secret_access_key="x"
    )
    client.register_image(**BASE)
    return client


@pytest.fixture
def play(emulator: str, tmp_path: Path) -> Any:
    """Runs a playbook on an inventory with a builder that cannot be reached."""
    (tmp_path / "key.pub").write_text(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl x\n"
    )
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        json.dumps({"golden_image": {"hosts": {"builder": {"ansible_host": "127.0.0.1", "ansible_port": 9}}}})
    )
    for group in ("all", "golden_image"):
        (tmp_path / "group_vars").mkdir(exist_ok=True)
        (tmp_path / "group_vars" / group).symlink_to(ROOT / "group_vars" / group)
    environment = {
        "AWS_ENDPOINT_URL": emulator,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    }

    def run(playbook: str, **variables: Any) -> tuple[int, str]:
        values = {
            **VARIABLES,
            "aws_image_key_file": str(tmp_path / "key"),
            "nginx_certbot_server_names": ["shop.example"],
            "nginx_certbot_trusted_proxies": ["192.0.2.0/24"],
            **variables,
        }
        done = subprocess.run(
            ["ansible-playbook", "-i", str(inventory), playbook, "-e", json.dumps(values)],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def golden(ec2: Any, name: str, result: str, base: str = "ami-old", release: str = "old") -> str:
    """An image as the pipeline leaves one."""
    image: str = ec2.register_image(Name=f"image-{name}", Architecture="x86_64", RootDeviceName="/dev/sda1")["ImageId"]
    tags = {"Role": "golden", "Name": "bookstore", "Result": result, "Base": base, "Release": release, "Recipe": RECIPE}
    ec2.create_tags(Resources=[image], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    return image


def living(ec2: Any) -> list[str]:
    """Names of instances that are not ended."""
    filters = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    found = ec2.describe_instances(Filters=filters)["Reservations"]
    return [tag["Value"] for one in found for i in one["Instances"] for tag in i["Tags"] if tag["Key"] == "Name"]


def images(ec2: Any) -> dict[str, str]:
    """Golden images and their results."""
    found = ec2.describe_images(Owners=["self"], Filters=[{"Name": "tag:Role", "Values": ["golden"]}])["Images"]
    return {i["ImageId"]: tag["Value"] for i in found for tag in i["Tags"] if tag["Key"] == "Result"}


def snapshots(*found: dict[str, Any]) -> set[str]:
    """What images are made of."""
    return {disk["Ebs"]["SnapshotId"] for image in found for disk in image["BlockDeviceMappings"]}


def test_a_builder_that_cannot_be_configured_is_ended(ec2: Any, play: Any) -> None:
    code, told = play("playbooks/bake.yml")

    assert code != 0
    assert "is ended. It failed at Wait for the builder" in " ".join(told.split())
    assert living(ec2) == []
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    assert [group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]] == ["default"]
    assert images(ec2) == {}


def test_a_builder_that_is_lost_while_it_is_configured_is_ended(ec2: Any, play: Any, tmp_path: Path) -> None:
    # It answers the first two tasks and then, as far as SSH can tell, is not there any more.
    ssh = tmp_path / "ssh"
    ssh.write_text("""#!/bin/sh
echo "$@" >> "$0.calls"
for command; do :; done
module=$(mktemp)
trap 'rm "$module"' EXIT
cat > "$module"
if ! grep -q "ansible.modules.\\(ping\\|setup\\|command\\)" "$module"; then echo "ssh: no route to host" >&2; exit 255; fi
sh -c "$command" < "$module"
""")
    ssh.chmod(0o755)

    code, told = play(
        "playbooks/bake.yml",
        ansible_ssh_executable=str(ssh),
        ansible_become=False,
        ansible_python_interpreter=sys.executable,
    )

    assert code != 0
    assert "unreachable=1" in told
    # Its host key is not known beforehand, and is held to in a file of its own.
    calls = (tmp_path / "ssh.calls").read_text().splitlines()
    pinned = f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={tmp_path}/key.known_hosts"
    assert all(pinned in call for call in calls), calls
    assert "The builder was not configured and sealed, and is ended. It could not be reached" in " ".join(told.split())
    assert len(ec2.describe_instances()["Reservations"]) == 1
    assert living(ec2) == []
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    assert images(ec2) == {}


def test_a_builder_that_runs_and_cannot_be_handed_on_is_ended(ec2: Any, play: Any) -> None:
    code, told = play("playbooks/bake.yml", __aws_image_host="{{ nobody }}")

    assert code != 0
    assert "'nobody' is undefined" in told
    assert "The builder was not launched, or it is ended. It failed at Give its address" in told
    assert len(ec2.describe_instances()["Reservations"]) == 1
    assert living(ec2) == []
    assert ec2.describe_key_pairs()["KeyPairs"] == []


@pytest.fixture
def clone() -> Iterator[tuple[str, dict[str, Any]]]:
    """An instance of the image, and what it answers at /ready."""
    answer: dict[str, Any] = {"status": 200, "release": RELEASE}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            known = self.path == "/ready" and self.headers["Host"] == "shop.example"
            self.send_response(answer["status"] if known else 421)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"release": answer["release"]}).encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", answer
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "release", "result"),
    [(200, RELEASE, "good"), (503, RELEASE, "bad"), (200, "another", "bad")],
    ids=["ready", "not ready", "another release"],
)
def test_an_image_is_good_only_when_an_instance_of_it_was_ready(
    ec2: Any, play: Any, clone: tuple[str, dict[str, Any]], tmp_path: Path, status: int, release: str, result: str
) -> None:
    address, answer = clone
    answer |= {"status": status, "release": release}
    image = golden(ec2, "new", "untested")
    playbook = tmp_path / "prove.yml"
    prove = {"ansible.builtin.import_role": {"name": "aws-image", "tasks_from": "prove"}}
    made = {"aws_image_made": {"image_id": image}, "aws_image_release": RELEASE, "aws_image_recipe": RECIPE}
    made["aws_image_site"] = "shop.example"
    playbook.write_text(
        json.dumps(
            [{"hosts": "localhost", "gather_facts": False, "environment": {"AWS_REGION": REGION}, "tasks": [prove]}]
        )
    )

    code, told = play(str(playbook), aws_image_trial_address=address, **made)

    assert (code == 0) == (result == "good"), told
    assert images(ec2) == {image: result}
    assert living(ec2) == []


@pytest.mark.parametrize(("recipe", "taken"), [(RECIPE, True), ("another", False)])
def test_a_run_goes_on_with_the_image_that_is_there_by_the_same_recipe(
    ec2: Any, play: Any, tmp_path: Path, recipe: str, taken: bool
) -> None:
    base = ec2.describe_images(Owners=["self"])["Images"][0]["ImageId"]
    image = golden(ec2, "new", "untested", base, RELEASE)
    playbook = tmp_path / "find.yml"
    told_of = {"ansible.builtin.debug": {"msg": "made {{ aws_image_made }}"}}
    play_it = {"hosts": "localhost", "gather_facts": False, "environment": {"AWS_REGION": REGION}}
    playbook.write_text(
        json.dumps([{**play_it, "tasks": [{"ansible.builtin.import_role": {"name": "aws-image"}}, told_of]}])
    )

    code, told = play(str(playbook), aws_image_release=RELEASE, aws_image_recipe=recipe)

    assert code == 0, told
    assert (image in told) == taken
    assert living(ec2) == ([] if taken else ["bookstore-builder"])


def test_the_newest_base_of_its_owner_becomes_an_encrypted_image_that_repeats_the_manifest(
    ec2: Any, play: Any, tmp_path: Path
) -> None:
    newer, foreign = (ec2.register_image(**BASE)["ImageId"] for _ in range(2))
    # The emulator knows one account, and dates images to the second.
    known = ec2_backends["123456789012"][REGION].amis
    known[foreign].owner_id = "210987654321"
    for later, image in enumerate((newer, foreign), start=1):
        known[image].creation_date += timedelta(hours=later)
    playbook = tmp_path / "create.yml"
    make = [
        {"ansible.builtin.import_role": {"name": "aws-image"}},
        {"ansible.builtin.import_role": {"name": "aws-image", "tasks_from": "create"}},
    ]
    play_it = {"hosts": "localhost", "gather_facts": False, "environment": {"AWS_REGION": REGION}}
    playbook.write_text(json.dumps([{**play_it, "tasks": make}]))

    code, told = play(str(playbook), aws_image_release=RELEASE, aws_image_recipe=RECIPE, aws_image_manifest=MANIFEST)

    assert code == 0, told
    [[builder]] = [one["Instances"] for one in ec2.describe_instances()["Reservations"]]
    assert builder["ImageId"] == newer
    [image] = ec2.describe_images(ImageIds=list(images(ec2)))["Images"]
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    assert tags["Base"] == newer
    assert [tags[key] for key in ("Release", "Commit", "Image", "Time")] == [
        MANIFEST[key] for key in ("release", "commit", "image", "time")
    ]
    [snapshot] = ec2.describe_snapshots(SnapshotIds=list(snapshots(image)))["Snapshots"]
    assert snapshot["Encrypted"]


def test_images_in_use_and_the_newest_good_ones_stay(ec2: Any, play: Any, tmp_path: Path) -> None:
    used, old, bad, kept, newest = (
        golden(ec2, name, result)
        for name, result in [("1", "good"), ("2", "good"), ("3", "bad"), ("4", "good"), ("5", "good")]
    )
    # The emulator dates images to the second.
    time.sleep(1)
    fresh = golden(ec2, "6", "untested")
    data = {"ImageId": used}
    ec2.create_launch_template(LaunchTemplateName="fleet", LaunchTemplateData=data)
    ec2.create_launch_template_version(LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": newest})
    playbook = tmp_path / "tidy.yml"
    tidy = {"ansible.builtin.import_role": {"name": "aws-image", "tasks_from": "tidy"}}
    playbook.write_text(
        json.dumps(
            [{"hosts": "localhost", "gather_facts": False, "environment": {"AWS_REGION": REGION}, "tasks": [tidy]}]
        )
    )

    stay = snapshots(*ec2.describe_images(ImageIds=[used, kept, newest, fresh])["Images"])
    go = snapshots(*ec2.describe_images(ImageIds=[old, bad])["Images"])

    code, told = play(str(playbook))

    assert code == 0, told
    assert images(ec2).keys() == {used, kept, newest, fresh}
    left = {snapshot["SnapshotId"] for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert stay <= left
    assert not go & left
