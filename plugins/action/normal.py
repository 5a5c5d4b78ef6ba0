"""Runs modules that work on this machine in a fork of Ansible itself, all others as Ansible does.

Ansible packs a module, starts a Python for it and compiles there what it has just unpacked: with boto3 a second of CPU
for each of the fifty tasks of playbooks/aws.yml, more than AWS takes to answer, and for a module of Ansible's own a
third of one. These modules run in this Python, which has it compiled. A fork is a process of its own as well: what a
module does to itself ends with it. ansible.netcommon does likewise with the modules for network devices (its option
import_modules).

Ansible takes this file for ``ansible.legacy.normal``, the action of every module that has no action of its own.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType
from typing import Any, NoReturn

from ansible import constants, module_utils
from ansible.module_utils import basic
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins.action import ActionBase
from ansible.utils.vars import merge_hash
from ansible.vars.clean import remove_internal_keys

# Their libraries are in this Python.
COLLECTIONS = ("amazon.aws", "community.aws", "community.crypto", "community.docker")
# They need none.
MODULES = (
    *(f"ansible.builtin.{name}" for name in ("file", "find", "tempfile", "wait_for")),
    "community.general.archive",
)
OWN = Path(__file__).resolve().parents[1] / "modules"
# How Ansible and a module write JSON to each other, unless the module says otherwise. None of these does.
PROFILE = "legacy"


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action, for one task."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task's module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if path := self._forked_module():
            return {**result, **self._run_in_fork(path, task_vars or {})}
        # As Ansible's own action does it.
        in_background = self._task.async_val and not self._connection.has_native_async
        result = merge_hash(result, self._execute_module(task_vars=task_vars, wrap_async=in_background))
        if self._task.action in constants._ACTION_SETUP:
            result["_ansible_verbose_override"] = True
        if not in_background:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _forked_module(self) -> str:
        """Where the task's module is, if it is one of these and would run here, as who runs Ansible."""
        if self._connection.transport != "local" or self._connection.become or self._task.async_val:
            return ""
        found = self._shared_loader_obj.module_loader.find_plugin_with_context(
            self._task.action, collection_list=self._task.collections
        )
        path: str = found.plugin_resolved_path
        known = found.plugin_resolved_collection in COLLECTIONS or found.resolved_fqcn in MODULES
        return path if known or Path(path).parent == OWN else ""

    def _run_in_fork(self, path: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        arguments, environment = self._task.args, dict[str, str]()
        self._update_module_args(self._task.action, arguments, task_vars)
        self._compute_environment_string(environment)
        encoder = get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE)
        told = fork(path, json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, cls=encoder), environment)
        result: dict[str, Any] = self._parse_returned_data(told, PROFILE)
        remove_internal_keys(result)
        return result


def fork(path: str, arguments: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a module in a fork of this process; its exit code and what it printed."""
    with TemporaryFile() as out, TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            become(path, arguments, environment)
        _, status = os.waitpid(child, 0)
        printed = {}
        for name, file in (("stdout", out), ("stderr", err)):
            file.seek(0)
            printed[name] = file.read().decode(errors="replace")
        return {"rc": os.waitstatus_to_exitcode(status), **printed}


def become(path: str, arguments: str, environment: Mapping[str, str]) -> NoReturn:
    """Be a module, to the end of this process."""
    code = 1
    try:
        # A module is over before there is much to collect, and what it was forked with is a lot to look through.
        gc.disable()
        # Ansible's own would end the worker.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        os.environ.update({name: str(value) for name, value in environment.items()})
        module_utils.__path__.extend(constants.DEFAULT_MODULE_UTILS_PATH)
        basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = arguments.encode(), PROFILE
        sys.modules["__main__"] = module = ModuleType("__main__")
        SourceFileLoader("__main__", path).exec_module(module)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except Exception as error:
        told = {"failed": True, "msg": f"{type(error).__name__}: {error}", "exception": traceback.format_exc()}
        print(json.dumps(told))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
