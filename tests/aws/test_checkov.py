"""checkov agrees with what an environment is made of; tests/aws/checkov.yml says which of its rules do not apply, and why.

Its pins do not agree with ours, so it lives in a virtual environment of its own, made here once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.aws.template import template

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".cache" / "checkov"
VERSION = "3.3.30"


def test_checkov_finds_nothing_else(tmp_path: Path) -> None:
    marker = VENV / VERSION
    if not marker.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        subprocess.run([VENV / "bin" / "pip", "install", "--quiet", f"checkov=={VERSION}"], check=True)
        marker.touch()
    file = tmp_path / "template.json"
    state = json.loads(Path(os.environ.get("AWS_STATE", ROOT / "docs" / "aws-state.json")).read_text())
    file.write_text(json.dumps(template(state)))

    told = subprocess.run(
        [VENV / "bin" / "checkov", "--file", file, "--framework", "cloudformation", "--output", "json", "--quiet",
         "--config-file", ROOT / "tests" / "aws" / "checkov.yml", "--skip-download"],
        capture_output=True,
        text=True,
        # Only what is given to it is looked at.
        env={key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
    )  # fmt: skip
    answer = json.loads(told.stdout)

    assert answer["summary"]["passed"] > 40
    assert [(one["check_id"], one["check_name"], one["resource"]) for one in answer["results"]["failed_checks"]] == []
