"""Modules that work here run in a fork of Ansible, and nothing of them is left in it; others run as ever."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.ansible.conftest import BIN, ROOT, load

# No module starts with this: it is no Python.
NO_PYTHON = "ansible_python_interpreter=/bin/false"


@pytest.fixture(scope="module")
def normal() -> ModuleType:
    return load(ROOT / "plugins" / "action" / "normal.py")


def ansible(module: str, **environment: str) -> subprocess.CompletedProcess[str]:
    credentials = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "eu-west-1"}
    environ = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
    return subprocess.run(
        [BIN / "ansible", "all", "-i", "here,", "-c", "local", "-e", NO_PYTHON, "-m", *module.split()],
        cwd=ROOT,
        env={**environ, **credentials, "AWS_MAX_ATTEMPTS": "1", "ANSIBLE_NOCOLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("sts_account_info", "account: '123456789012'"),
        ("amazon.aws.ec2_vpc_net_info", "is_default: true"),
        ("community.aws.sns_topic_info", "result: []"),
        ("community.docker.current_container_facts", "ansible_module_running_in_container"),
        ("community.crypto.crypto_info", "python_cryptography_installed: true"),
        ("ansible.builtin.find -a paths=/etc/ansible.none", "matched: 0"),
    ],
)
def test_such_a_module_needs_no_python_of_its_own(emulator: str, module: str, said: str) -> None:
    done = ansible(module, AWS_ENDPOINT_URL=emulator)

    assert done.returncode == 0, done.stdout
    assert said in done.stdout


def test_ansible_has_boto3_loaded_before_it_forks() -> None:
    # As the strategy does it in the process that all forks come from, before the first task.
    code = """
import sys
from ansible.plugins.loader import action_loader, init_plugin_loader
init_plugin_loader()
action_loader.get("aws_preflight", class_only=True)
print("boto3" in sys.modules)
"""
    python = [BIN / "python", "-c", code]
    done = subprocess.run(python, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "True\n"


def test_every_other_module_starts_as_ever() -> None:
    assert ansible("ansible.builtin.ping").returncode == 2


def test_a_module_that_fails_says_why() -> None:
    done = ansible("sts_account_info", AWS_ENDPOINT_URL="http://127.0.0.1:9")

    assert done.returncode == 2
    assert 'Could not connect to the endpoint URL: "http://127.0.0.1:9/"' in " ".join(done.stdout.split())


def run(normal: ModuleType, folder: Path, code: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a module printed and how it ended."""
    module = folder / "module.py"
    module.write_text(code)
    told: dict[str, Any] = normal.fork(str(module), '{"ANSIBLE_MODULE_ARGS": {}}', environment or {})
    return told


def test_a_module_is_given_its_arguments_and_the_tasks_environment(normal: ModuleType, tmp_path: Path) -> None:
    code = """
import os
from ansible.module_utils.basic import AnsibleModule
import ansible.module_utils.bookstore_aws
if __name__ == "__main__":
    AnsibleModule(argument_spec={}).exit_json(region=os.environ["FORKED_REGION"])
"""
    told = run(normal, tmp_path, code, {"FORKED_REGION": "eu-west-1"})

    assert (told["rc"], told["stderr"]) == (0, "")
    assert '"region": "eu-west-1"' in told["stdout"]
    assert "FORKED_REGION" not in os.environ


def test_more_than_a_pipe_holds_is_told(normal: ModuleType, tmp_path: Path) -> None:
    told = run(normal, tmp_path, "import sys\nprint('x' * 300000)\nprint('y' * 300000, file=sys.stderr)\nsys.exit(3)")

    assert told == {"rc": 3, "stdout": "x" * 300000 + "\n", "stderr": "y" * 300000 + "\n"}


def test_what_a_module_did_not_expect_is_its_message(normal: ModuleType, tmp_path: Path) -> None:
    told = run(normal, tmp_path, "{}['subnets']")

    assert told["rc"] == 1
    assert '"failed": true, "msg": "KeyError: \'subnets\'"' in told["stdout"]
    assert "module.py" in told["stdout"]


def test_a_module_that_is_ended_does_not_end_ansible(normal: ModuleType, tmp_path: Path) -> None:
    def ended(*_: Any) -> None:
        os._exit(9)

    before = signal.signal(signal.SIGTERM, ended)
    try:
        told = run(normal, tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nprint('not reached')")
    finally:
        signal.signal(signal.SIGTERM, before)

    assert told == {"rc": -signal.SIGTERM, "stdout": "", "stderr": ""}
