"""What every preflight asks, whatever it is that will be changed; an action plugin adds rules of its own.

1. Does every variable fit its role's ``meta/argument_specs.yml``, and is every required one there?
2. Is there a variable, or a key within one, that no role knows?
3. Do values fit each other, and is one known to fail later? (the rules that the action registers)

An answer names the variable, its value unless it is secret, where it is set, the rule and the mend.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from jinja2 import Environment, TemplateError
from jinja2.meta import find_undeclared_variables

ROLES = Path(__file__).resolve().parents[2] / "roles"
# Top-level names that no public certificate authority issues for (RFC 2606, RFC 6761, RFC 6762).
PRIVATE_NAMES = ("example", "internal", "invalid", "lan", "local", "localhost", "test")
HOST_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
# Facts, and what a role has made: no setting of anybody's. Not known yet when it is asked, and what is made of it not
# wrong for that; or known, of a playbook that ran before in the same command.
LATER = re.compile(r"ansible_facts|\w+_made")
Specification = Mapping[str, Mapping[str, Any]]
Rule = Callable[..., Iterator["Problem"]]


@dataclass(frozen=True)
class Problem:
    """One thing to mend.

    Attributes:
        variable: its name; "database:" before it where a rule for one host means that of the group database.
        rule: what it breaks, as the end of a sentence that begins with the variable.
        mend: what to do.
        value: the part of the value that is meant, for a problem within a list or a dictionary.
        part: where that part is, e.g. "[0].port".
        secret: whether the value must not be shown.
        needed_by: the variable that needs it, for one that is not defined.
    """

    variable: str
    rule: str
    mend: str
    value: Any = ...
    part: str = ""
    secret: bool = False
    needed_by: str = ""


@dataclass
class Role:
    """What a role takes: its variables' specification, and its defaults."""

    name: str
    spec: dict[str, dict[str, Any]]
    defaults: dict[str, Any]

    @property
    def prefix(self) -> str:
        """What its variables' names begin with."""
        return self.name.replace("-", "_") + "_"


@dataclass
class Host:
    """A host's variables, templated when they are read; a role's default where none is set."""

    name: str
    raw: dict[str, Any]
    environment: Specification
    roles: list[Role]
    template: Callable[[Mapping[str, Any], Any], Any]
    spec: dict[str, Mapping[str, Any]] = field(init=False)
    bad: set[str] = field(default_factory=set)
    values: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spec = dict(self.environment)
        for role in self.roles:
            self.spec |= role.spec

    def scope(self, name: str) -> dict[str, Any]:
        """What a variable may refer to: the inventory's variables, and the defaults of its own role alone."""
        own = {key: options["default"] for key, options in self.environment.items() if "default" in options}
        defaults = next((role.defaults for role in self.roles if name in role.spec), own)
        return {**defaults, **self.raw}

    def __getitem__(self, name: str) -> Any:
        """The value that the role would see. AnsibleError where it needs something undefined."""
        if name not in self.values:
            scope = self.scope(name)
            self.values[name] = self.template(scope, scope[name])
        return self.values[name]

    def spoilt(self, name: str) -> bool:
        """Whether something is wrong with it, or with what it is made of, and has been said."""
        return bool(self.bad & ({name} | references(self.raw, name)))

    def where(self, name: str) -> str:
        """File and line that a variable is set in, and those in other files that it is made of."""
        here = origin(self.raw, name)
        others = {other: origin(self.raw, other) for other in sorted(references(self.raw, name))}
        elsewhere = [
            f"{other} in {place}"
            for other, place in others.items()
            if place and place.partition(":")[0] != here.partition(":")[0]
        ]
        return ", from ".join([here, *elsewhere]) if here else ""


def check_host(host: Host) -> Iterator[Problem]:
    """Ask whether each of a host's variables fits its specification."""
    for name, options in host.spec.items():
        if name not in host.raw:
            if options.get("required"):
                host.bad.add(name)
                yield Problem(name, "is not defined", mend_undefined(name, host))
            continue
        if host.spoilt(name):
            continue
        try:
            value = host[name]
        except AnsibleError as error:
            yield from undefined(name, error, host)
            continue
        found = list(misfits(name, value, options))
        if not found:
            # What misfits() does not know (mutually exclusive keys and the like).
            result = ArgumentSpecValidator({name: dict(options)}).validate({name: value})
            found = [Problem(name, f"does not fit: {text}", describe(options)) for text in result.error_messages]
        if found:
            host.bad.add(name)
        yield from found


def misfits(name: str, value: Any, options: Mapping[str, Any], part: str = "") -> Iterator[Problem]:
    """Ask whether a value, and each one within it, is of its specification.

    Stricter than Ansible, which turns a text into a list when it validates but hands the text to the role.
    """
    kind = options.get("type", "str")
    hidden = has_secret(options)

    def problem(rule: str, mend: str) -> Problem:
        return Problem(name, rule, mend, value, part, hidden)

    if value is None:
        yield problem("is empty", "Give it a value, or remove the line.")
    elif kind == "list":
        if not isinstance(value, list):
            shown = "…" if hidden else value
            command = "" if part else f' On the command line: -e \'{{"{name}": ["{shown}"]}}\'.'
            yield problem("must be a list", f"Write [{shown}].{command}")
            return
        element = {"type": options.get("elements", "str"), "options": options.get("options", {})}
        for number, item in enumerate(value):
            yield from misfits(name, item, element, f"{part}[{number}]")
    elif kind == "dict":
        if not isinstance(value, Mapping):
            yield problem("must be a dictionary", "Write one key and value a line below it.")
            return
        known: Mapping[str, Any] = options.get("options") or {}
        for key in value if known else ():
            if key not in known:
                yield problem(f'must not have the key "{key}"', mend_unknown(str(key), known))
        for key, nested in known.items():
            if key in value:
                yield from misfits(name, value[key], nested, f"{part}.{key}")
            elif nested.get("required"):
                yield problem(f'must have the key "{key}"', f"Add it: {describe(nested)}")
    elif kind == "bool":
        if not isinstance(value, bool):
            command = "" if part else f"; on the command line: -e '{{\"{name}\": true}}'"
            yield problem("must be true or false", f"Write true or false without quotes{command}.")
    elif isinstance(value, bool | list | Mapping):
        yield problem(f"must be a {'number' if kind in ('int', 'float') else 'text'}", describe(options))
    elif kind in ("int", "float"):
        try:
            int(value) if kind == "int" else float(value)
        except ValueError:
            yield problem(f"must be a {'whole ' * (kind == 'int')}number", describe(options))
    elif value not in options.get("choices", [value]):
        near = difflib.get_close_matches(str(value), options["choices"], 1)
        mend = f'Did you mean "{near[0]}"?' if near else describe(options)
        yield problem(f"must be one of {', '.join(options['choices'])}", mend)


def check_unknown(host: Host, roles: Mapping[str, Role]) -> Iterator[Problem]:
    """Ask for variables that are named like a role's but that no role knows."""
    known = {**host.spec, **{name: options for role in roles.values() for name, options in role.spec.items()}}
    prefixes = tuple(role.prefix for role in roles.values())
    for name in host.raw:
        if name in known or LATER.fullmatch(name):
            continue
        if name.startswith(prefixes):
            yield Problem(name, "is a variable that no role knows", mend_unknown(name, known))
        elif origin(host.raw, name) and (near := difflib.get_close_matches(name, known, 1, 0.9)):
            yield Problem(name, "is read by nothing", f"Did you mean {near[0]}?")


class Rules(list[tuple[tuple[str, ...], Rule]]):
    """Rules, each with the variables that it is about. Called with names, it is the decorator that adds one."""

    def __call__(self, *names: str) -> Callable[[Rule], Rule]:
        """Register a function that is given the values of these variables, in order.

        It is asked for each host whose roles have them. "database:x" is x of the host in the group database, of
        which it is not asked.
        """

        def register(function: Rule) -> Rule:
            self.append((names, function))
            return function

        return register

    def check(self, host: Host, others: Mapping[str, Host]) -> Iterator[Problem]:
        """Ask the rules whose variables this host has; others are the hosts that names with a colon mean."""
        for names, rule in self:
            if not {name for name in names if ":" not in name} <= host.spec.keys():
                continue
            try:
                arguments = []
                for name in names:
                    group, _, variable = name.rpartition(":")
                    source = others[group] if group else host
                    if source.spoilt(variable) or (group and source is host):
                        raise KeyError(name)
                    arguments.append(source[variable])
                yield from rule(*arguments)
            except (AnsibleError, KeyError, TypeError, ValueError, AttributeError):
                # Not set, undefined or of the wrong type, which check_host has said; or known when facts are.
                continue


# What rules are made of.


def nearest(value: Any, choices: Sequence[Any]) -> Any:
    """The choice that was most likely meant."""
    if all(isinstance(choice, int) for choice in choices) and str(value).lstrip("-").isdigit():
        return min(choices, key=lambda choice: abs(choice - int(value)))
    return next(iter(difflib.get_close_matches(str(value), list(map(str, choices)), 1, 0.0)))


def network_exists(variable: str, network: str) -> Iterator[Problem]:
    """An address or a network without host bits."""
    try:
        ipaddress.ip_network(network)
    except ValueError as error:
        mend = "Write e.g. 198.51.100.0/24 or one address."
        yield Problem(variable, f"has what is no network ({error})", mend, network)


def is_address(text: str) -> bool:
    """Whether it is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_public(name: str) -> bool:
    """Whether a public authority could issue for the name."""
    return "." in name and name.rpartition(".")[2] not in PRIVATE_NAMES and not is_address(name)


def wide(network: str) -> bool:
    """Whether a network is half of all addresses or more: nobody's own."""
    return re.search(r"/[01]$", str(network)) is not None


# What is said of a variable.


def undefined(name: str, error: AnsibleError, host: Host) -> Iterator[Problem]:
    """A variable that cannot be worked out."""
    missing = re.search(r"'(\w+)' is undefined", str(error))
    if missing and not LATER.fullmatch(missing[1]):
        host.bad.add(missing[1])
        yield Problem(missing[1], "is not defined", mend_undefined(missing[1], host), needed_by=name)
    elif not any(map(LATER.fullmatch, references(host.scope(name), name))):
        host.bad.add(name)
        reason = "" if has_secret(host.spec[name]) else f": {error}"
        yield Problem(name, f"cannot be worked out{reason}", "Correct its expression.", secret=True)


def mend_undefined(name: str, host: Host) -> str:
    """What to do about a variable that nobody sets."""
    folder = Path(str(host.raw.get("inventory_dir", "inventories/<environment>")))
    if name.startswith("vault_"):
        vault = folder / "group_vars" / "all" / "vault.yml"
        if vault.exists():
            return f"Add it: ansible-vault edit {short(vault)}"
        return f"Run make vault ENV={folder.name}, and set ANSIBLE_VAULT_PASSWORD_FILE as it says."
    return f"Set it in {short(folder)}."


def mend_unknown(name: str, known: Mapping[str, Any]) -> str:
    """What to do about a name that nobody reads."""
    near = difflib.get_close_matches(name, known, 1, 0.75)
    return f"Did you mean {near[0]}?" if near else f"Remove it. Known are {listing(name, known)}."


def listing(name: str, known: Mapping[str, Any]) -> str:
    """The names that begin like one that is unknown."""
    alike = [other for other in known if other.partition("_")[0] == name.partition("_")[0]]
    return ", ".join(sorted(alike or known))


def describe(options: Mapping[str, Any]) -> str:
    """The first sentence of a specification, without Ansible's markup."""
    text = options.get("description", "")
    return re.sub(r"\b[A-Z]\(([^)]*)\)", r'"\1"', str(text if isinstance(text, str) else text[0]))


def has_secret(options: Mapping[str, Any]) -> bool:
    """Whether a variable is secret, or has something secret within it."""
    return bool(options.get("no_log")) or any(map(has_secret, (options.get("options") or {}).values()))


def references(variables: Mapping[str, Any], name: str) -> set[str]:
    """The names that a variable is made of, those that these are made of included."""
    found: set[str] = set()
    queue = [variables.get(name)]
    while queue:
        value = queue.pop()
        if isinstance(value, Mapping):
            queue += value.values()
        elif isinstance(value, list | tuple):
            queue += value
        elif isinstance(value, str) and ("{{" in value or "{%" in value):
            names = names_in(str(value))
            queue += [variables.get(other) for other in names - found]
            found |= names
    return found - {name}


@cache
def names_in(expression: str) -> set[str]:
    """The variables that an expression reads; none if it is not well formed, which is said where it is worked out."""
    try:
        return find_undeclared_variables(Environment(autoescape=True).parse(expression))
    except TemplateError:
        return set()


def origin(raw: Mapping[str, Any], name: str) -> str:
    """File and line that a variable is set in, as far as Ansible knows; else nothing."""
    try:
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        return ""
    tag = Origin.get_tag(raw.get(name))
    if tag is None and name in raw:
        # Values like true and null bear no tag; names do, but theirs is of the first place of several.
        return " or ".join(lines_with(name, Path(str(raw.get("inventory_dir")))))
    if tag is not None and tag.path:
        return f"{short(Path(tag.path))}:{tag.line_num}" if tag.line_num else short(Path(tag.path))
    return "the command line" if tag is not None and "-e" in (tag.description or "") else ""


def lines_with(name: str, folder: Path) -> Iterator[str]:
    """The lines of an environment's files that set a variable."""
    for path in sorted(folder.glob("*_vars/**/*.yml")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.startswith(f"{name}:"):
                yield f"{short(path)}:{number}"


def short(path: Path) -> str:
    """A path as seen from here, links followed."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def say(problem: Problem, host: Host) -> str:
    """A problem in lines: the variable and its value, where it is set, the rule, the mend."""
    name = problem.variable.rpartition(":")[2]
    shown, value = "", problem.value
    readable = not problem.needed_by and name in host.scope(name)
    if value is ... and readable and not has_secret(host.spec.get(name, {"no_log": True})):
        try:
            value = host[name]
        except AnsibleError:
            value = host.raw[name]
    if value is not ... and not problem.secret:
        text = json.dumps(value, default=str, ensure_ascii=False)
        shown = f": {text if len(text) <= 100 else text[:99] + '…'}"
    place = host.where(name)
    return "\n".join(
        [
            f"{name}{problem.part}{shown}",
            *([f"  set in {place}"] if place else []),
            f"  rule   It {problem.rule}.",
            f"  mend   {problem.mend}",
        ]
    )


@cache
def read_role(folder: Path, wanted: str = "main") -> Role:
    """A role's variables, of all its entry points; required are those of the wanted one.

    Where main is not wanted, what other entry points require is left out: it need not even be worked out.
    """
    loader = DataLoader()

    def content(path: Path) -> dict[str, Any]:
        found = loader.load_from_file(str(path), trusted_as_template=True) if path.exists() else {}
        return found or {}

    entry_points = content(folder / "meta" / "argument_specs.yml").get("argument_specs", {})
    spec = {
        name: {**options, "required": bool(options.get("required")) and entry_point == wanted}
        for entry_point, described in entry_points.items()
        for name, options in described["options"].items()
        if wanted in ("main", entry_point) or not options.get("required")
    }
    return Role(folder.name, spec, {**content(folder / "defaults" / "main.yml"), "role_path": str(folder)})


class Preflight(ActionBase):  # type: ignore[misc]
    """An action that is run once, without a connection.

    It is told roles by name; "role:entry_point" is one of which not main is used, but another entry point.

    Attributes:
        rules: what it asks of values.
        untouched: what is said to be as it was.
    """

    TRANSFERS_FILES = False
    _requires_connection = False
    rules: Rules
    untouched: str

    def environment(self, roles: list[str]) -> Specification:
        """What an environment says to a host with these roles besides their variables, as an argument specification."""
        raise NotImplementedError

    def missing(self, groups: Mapping[str, list[str]]) -> list[str]:
        """What the inventory lacks, in lines like those of a problem."""
        raise NotImplementedError

    def wanted(self, groups: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """The hosts to check, and the roles that each is given."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check the variables of every host for the roles that it is given."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        groups: dict[str, list[str]] = variables["groups"]
        if told := self.missing(groups):
            return self._failure(told)
        roles = {folder.name: read_role(folder) for folder in sorted(ROLES.iterdir())}
        hosts = {name: self._host(name, given, variables) for name, given in self.wanted(groups).items()}
        others = {group: hosts[names[0]] for group, names in groups.items() if names and names[0] in hosts}
        found: dict[str, tuple[list[str], list[str]]] = {}
        for host in hosts.values():
            for problem in [*check_host(host), *check_unknown(host, roles), *self.rules.check(host, others)]:
                group, _, variable = problem.variable.rpartition(":")
                owner = others[group] if group else host
                owner.bad.add(variable)
                names, needed_by = found.setdefault(say(problem, owner), ([], []))
                names.append(owner.name)
                needed_by.append(problem.needed_by)
        if not found:
            return {"changed": False}
        for text, (names, needed_by) in found.items():
            if any(needed_by):
                text += f"\n  needed by {', '.join(dict.fromkeys(needed_by))}"
            told.append(f"{text}\n  hosts  {', '.join(dict.fromkeys(names))}")
        return self._failure(told)

    def _failure(self, told: list[str]) -> dict[str, Any]:
        things = f"{len(told)} things are" if len(told) > 1 else "1 thing is"
        return {"failed": True, "changed": False, "msg": f"{things} to be mended. {self.untouched}", "problems": told}

    def _host(self, name: str, given: list[str], variables: Mapping[str, Any]) -> Host:
        hostvars = variables["hostvars"]
        parts = [role.partition(":") for role in given]
        roles = [read_role(ROLES / role, entry_point or "main") for role, _, entry_point in parts]

        def template(scope: Mapping[str, Any], value: Any) -> Any:
            available = {**scope, "hostvars": hostvars}
            return self._templar.copy_with_new_env(available_variables=available).template(value)

        environment = self.environment([role.name for role in roles])
        return Host(name, dict(hostvars.raw_get(name)), environment, roles, template)
