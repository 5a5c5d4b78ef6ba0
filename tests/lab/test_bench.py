"""What a measurement of clones needs: the clones, and nothing that another measurement makes."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from bench import harness


def test_a_result_is_written_where_there_is_no_image_of_mysql(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    monkeypatch.setattr(harness, "IMAGE", "bookstore-test-mysql:none")

    harness.save("boot", Namespace(boots=5), [{"name": "boot of a clone"}], versions={"release": "0123456789ab"})

    assert json.loads((tmp_path / "boot.json").read_text())["versions"] == {"release": "0123456789ab"}
