"""checkov agrees with what an environment is made of; tests/aws/checkov.yml says which of its rules do not apply, and why.

Its pins do not agree with ours, so it lives in a virtual environment of its own, made here once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.aws.template import template
from tests.aws.test_state import RECORDED, ROOT

VENV = ROOT / ".cache" / "checkov"
VERSION = "3.3.30"


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.stem)
def test_checkov_finds_nothing_else(recorded: Path, tmp_path: Path) -> None:
    marker = VENV / VERSION
    if not marker.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        subprocess.run([VENV / "bin" / "pip", "install", "--quiet", f"checkov=={VERSION}"], check=True)
        marker.touch()
    file = tmp_path / "template.json"
    state = json.loads(recorded.read_text())
    file.write_text(json.dumps(template(state)))
    [interface] = state["launch_templates"][0]["Versions"][-1]["LaunchTemplateData"]["NetworkInterfaces"]
    excuses = yaml.safe_load((ROOT / "tests" / "aws" / "checkov.yml").read_text())
    skipped = [*excuses["always"]]
    skipped += excuses["behind_cloudfront"] if state["distributions"] else []
    skipped += excuses["public_addresses"] if interface["AssociatePublicIpAddress"] else []

    told = subprocess.run(
        [VENV / "bin" / "checkov", "--file", file, "--framework", "cloudformation", "--output", "json", "--quiet",
         "--skip-check", ",".join(skipped), "--skip-download"],
        capture_output=True,
        text=True,
        # Only what is given to it is looked at.
        env={key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
    )  # fmt: skip
    answer = json.loads(told.stdout)

    assert answer["summary"]["passed"] > 20
    assert [(one["check_id"], one["check_name"], one["resource"]) for one in answer["results"]["failed_checks"]] == []
