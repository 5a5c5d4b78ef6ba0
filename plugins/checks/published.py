"""What AWS publishes of its resources: types, versions, classes and limits, by region.

The source is the data that cfn-lint bundles: AWS's CloudFormation schemas and its price list. Nothing is asked of AWS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError

DATABASE = "extensions/aws_rds_dbinstance/"


def regions() -> list[str]:
    """The names of all regions."""
    names = (entry.name for entry in folder().joinpath("providers").iterdir())
    return sorted(name.removesuffix(".json") for name in names if re.fullmatch(r"[a-z-]+-\d\.json", name))


def lacks(region: str, *kinds: str) -> list[str]:
    """Those of some kinds of resource, e.g. AWS::EFS::FileSystem, that a region has not."""
    there = load(f"providers/{region}.json")
    return [kind for kind in kinds if kind not in there]


def schema(region: str, kind: str, *path: str) -> dict[str, Any]:
    """A part of the JSON schema of a kind of resource, e.g. "properties", "LogGroupName"."""
    found: dict[str, Any] = load(f"resources/{load(f'providers/{region}.json')[kind]}.json")
    for key in path:
        found = found[key]
    return found


def instance_types(region: str) -> list[str]:
    """EC2's instance types in a region."""
    types: list[str] = load("extensions/aws_ec2_instance/instancetype_enum.json")[region]["enum"]
    return types


def database_versions(engine: str) -> list[str]:
    """The versions of an engine that RDS has or had."""
    [versions] = enums(DATABASE + "engine_version.json", "EngineVersion", engine)
    return versions


def database_classes(region: str, engine: str, version: str) -> list[str]:
    """RDS's instance classes for a version of an engine in a region, sorted."""
    there: set[str] = set().union(*enums(DATABASE + "dbinstanceclass_enum.json", "DBInstanceClass", engine, region))
    able: set[str] = set().union(
        *enums(DATABASE + "db_instance_class.json", "DBInstanceClass", engine, version=version)
    )
    return sorted(there & able)


def enums(path: str, name: str, engine: str, region: str = "", version: str = "") -> Iterator[list[str]]:
    """The lists of values of a property, of those rules that apply to an engine, in a region, for a version."""
    rules = load(path)
    for case in (rules[region] if region else rules)["allOf"]:
        when, then = case["if"]["properties"], case["then"]["properties"]
        if when["Engine"].get("const") != engine or not isinstance(then.get(name), dict):
            continue
        if not version or re.search(when["EngineVersion"]["pattern"], version):
            yield then[name]["enum"]


@cache
def load(path: str) -> Any:
    """A file of cfn-lint's. KeyError for a region that it does not know."""
    file = folder().joinpath(path)
    if not file.is_file():
        raise KeyError(path)
    return json.loads(file.read_text())


def folder() -> Path:
    """Where cfn-lint keeps schemas. AnsibleError without cfn-lint."""
    # Found, not imported: that takes a second, and the data alone is read.
    found = find_spec("cfnlint")
    if not found or not found.submodule_search_locations:
        raise AnsibleError(
            "cfn-lint is not installed where Ansible runs; its data tells what AWS has. "
            "Run: pip install -r requirements.txt"
        )
    return Path(found.submodule_search_locations[0], "data", "schemas")
