"""Checks a host's variables on the controller, before any host is contacted.

Three questions, each answered with the variable, its value, where it is set, the rule and the mend:

1. Does every variable fit its role's ``meta/argument_specs.yml``, and is every required one there?
2. Is there a variable that starts like a role's but that no role knows?
3. Do the values of different roles fit each other, and is a value one that is known to fail later?
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

ROLES = Path(__file__).resolve().parents[2] / "roles"
# The store refuses shorter keys (bookstore/config.py).
MIN_SECRET_KEY = 32
MIN_PASSWORD = 12
# Printed in the original deployment's documentation, so known to everybody.
PUBLISHED_SECRETS = ("clave_secreta_flask_para_sesiones_y_csrf", "bookstore_pass")
# The store's MAX_CONTENT_LENGTH in bytes and graceful_timeout in seconds (bookstore/config.py,
# bookstore/gunicorn.conf.py).
STORE_BODY_LIMIT = 1024**2
STORE_GRACEFUL_TIMEOUT = 30
# Top-level names that no public certificate authority issues for (RFC 2606, RFC 6761, RFC 6762).
PRIVATE_NAMES = ("example", "internal", "invalid", "lan", "local", "localhost", "test")
PUBLIC_ACME = re.compile(r"https://[^/]*\.(letsencrypt\.org|pki\.goog|zerossl\.com)(/|$)")
HOST_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
SIZE = re.compile(r"(\d+)([kmg]?)", re.IGNORECASE)
RESERVED_ENVIRONMENT = {
    "DB_HOST", "DB_NAME", "DB_PASS", "DB_PORT", "DB_SSL_CA", "DB_USER", "SECRET_KEY", "TRUSTED_PROXY_COUNT",
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """One thing to mend.

    Attributes:
        variable: its name.
        rule: what it breaks, as a sentence about the variable.
        mend: what to do.
    """

    variable: str
    rule: str
    mend: str


class Values(Mapping[str, Any]):
    """A host's variables, templated when they are read; a role's default where none is set.

    Args:
        variables: the host's variables, not templated.
        defaults: the roles' defaults, not templated.
        template: turns a raw value into what a task would see.
    """

    def __init__(
        self,
        variables: Mapping[str, Any],
        defaults: Mapping[str, Any],
        template: Callable[[Any], Any],
    ) -> None:
        self.variables, self.defaults, self.template = variables, defaults, template

    def __getitem__(self, name: str) -> Any:
        """Return the value, or raise AnsibleError where it needs something undefined."""
        return self.template(self.variables[name] if name in self.variables else self.defaults[name])

    def __iter__(self) -> Iterator[str]:
        return iter({**self.defaults, **self.variables})

    def __len__(self) -> int:
        return len({**self.defaults, **self.variables})

    def where(self, name: str) -> str:
        """File and line that a variable is set in, as far as Ansible knows."""
        value = self.variables.get(name)
        try:
            from ansible._internal._datatag._tags import Origin

            origin = Origin.get_tag(value)
        except (ImportError, AttributeError):
            return ""
        if origin is None or not origin.path:
            return ""
        path = Path(origin.path)
        short = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        return f"{short}:{origin.line_num}" if origin.line_num else str(short)


Spec = Mapping[str, Mapping[str, Any]]


def check_spec(values: Values, spec: Spec) -> Iterator[Problem]:
    """Ask whether each variable fits its role's argument spec."""
    for name, options in spec.items():
        if name not in values.variables:
            if options.get("required"):
                yield Problem(name, "is not set, and its role needs it", description(options))
            continue
        try:
            value = values[name]
        except AnsibleError as error:
            yield undefined(name, error)
            continue
        result = ArgumentSpecValidator({name: dict(options)}).validate({name: value})
        for message in result.error_messages:
            shown = "it is not of the required form" if is_secret(name, options) else message
            yield Problem(name, f"does not fit its role: {shown}", description(options))


def check_unknown(values: Values, spec: Spec, prefixes: tuple[str, ...]) -> Iterator[Problem]:
    """Ask for variables that start like a role's but that no role knows."""
    for name in values.variables:
        if name.startswith(prefixes) and name not in spec:
            near = difflib.get_close_matches(name, spec, 1, 0.6)
            mend = f"Did you mean {near[0]}?" if near else "Remove it; the roles' READMEs list what there is."
            yield Problem(name, "is a variable that no role knows", mend)


def check_rules(values: Values, spec: Spec) -> Iterator[Problem]:
    """Ask the rules whose variables this host has."""
    for names, rule in RULES:
        if not set(names) <= set(spec):
            continue
        try:
            arguments = [values[name] for name in names]
        except (AnsibleError, KeyError):
            continue  # Said already: not set, undefined, or known only when facts are.
        try:
            yield from rule(*arguments)
        except (TypeError, ValueError, AttributeError, KeyError):
            continue  # Of the wrong type, which the spec has said.


def secret_key(value: str) -> Iterator[Problem]:
    """Sessions are signed with it: who guesses it is everybody."""
    if len(value) < MIN_SECRET_KEY or value in PUBLISHED_SECRETS or len(set(value)) < 8:
        yield Problem(
            "bookstore_app_secret_key",
            f"must be random and at least {MIN_SECRET_KEY} characters long",
            "Run `make vault ENV=<environment>`, or `openssl rand -hex 32`.",
        )


def password(variable: str, value: str) -> Iterator[Problem]:
    """A password that cannot be guessed, on one line as environment files need it."""
    if len(value) < MIN_PASSWORD or value in PUBLISHED_SECRETS:
        yield Problem(
            variable,
            f"must be at least {MIN_PASSWORD} characters long and none that was ever published",
            "Run `make vault ENV=<environment>`, or `openssl rand -base64 24`.",
        )
    if "\n" in value or "\r" in value:
        yield Problem(variable, "must be one line", "Remove the line break at its end.")


def store_password(value: str) -> Iterator[Problem]:
    """The store's side of the database password."""
    return password("bookstore_app_database_password", value)


def server_names(names: list[str], mode: str, directory: str) -> Iterator[Problem]:
    """Names that exist, and that the ACME server can issue for."""
    if not names:
        yield Problem("nginx_certbot_server_names", "is empty", "Name the site, e.g. [shop.example.com].")
    for name in names:
        if not HOST_NAME.fullmatch(name):
            yield Problem(
                "nginx_certbot_server_names",
                f'has "{name}", which is no host name in lower case',
                "Write the name alone: no https://, no port, no path, no *.",
            )
        elif mode == "letsencrypt" and PUBLIC_ACME.match(directory) and not is_public(name):
            yield Problem(
                "nginx_certbot_server_names",
                f'has "{name}", which {directory} issues no certificate for',
                "Use a name in the public DNS (without a domain: 203-0-113-20.sslip.io for 203.0.113.20), "
                "or set nginx_certbot_mode to self_signed.",
            )


def acme_directory(url: str, mode: str) -> Iterator[Problem]:
    """Accounts and keys pass over it."""
    if mode == "letsencrypt" and not url.startswith("https://"):
        yield Problem("nginx_certbot_acme_directory", f'is "{url}", not an https:// address', "Correct it.")


def acme_ca_bundle(path: str) -> Iterator[Problem]:
    """A file on the controller."""
    return file_exists("nginx_certbot_acme_ca_bundle", path)


def provided_certificate(mode: str, certificate: str, key: str) -> Iterator[Problem]:
    """Both or the mode makes no sense."""
    for name, value, begin in (
        ("nginx_certbot_provided_certificate", certificate, "-----BEGIN CERTIFICATE-----"),
        ("nginx_certbot_provided_key", key, "-----BEGIN"),
    ):
        if mode == "provided" and not value.strip().startswith(begin):
            yield Problem(
                name,
                'must be PEM when nginx_certbot_mode is "provided"',
                "Put its content into the vault.",
            )


def body_size(size: str) -> Iterator[Problem]:
    """Nginx must not refuse what the store accepts."""
    match = SIZE.fullmatch(size)
    if not match:
        yield Problem("nginx_certbot_client_max_body_size", f'is "{size}", no size', "Write e.g. 2m.")
    elif int(match[1]) * 1024 ** " kmg".index(match[2].lower() or " ") < STORE_BODY_LIMIT:
        yield Problem(
            "nginx_certbot_client_max_body_size",
            f"is {size}, below the {STORE_BODY_LIMIT // 1024**2}m that the store accepts",
            "Set it to 2m or more.",
        )


def rate_limit(rate: str) -> Iterator[Problem]:
    """Nginx's notation."""
    if not re.fullmatch(r"[1-9]\d*r/[sm]", rate):
        yield Problem("nginx_certbot_rate_limit", f'is "{rate}", no rate', "Write e.g. 30r/m or 5r/s.")


def stop_timeout(seconds: int) -> Iterator[Problem]:
    """Docker would kill what the store still finishes."""
    if int(seconds) <= STORE_GRACEFUL_TIMEOUT:
        yield Problem(
            "bookstore_app_stop_timeout",
            f"is {seconds}, not above the {STORE_GRACEFUL_TIMEOUT} s that the store takes to finish its requests",
            "Set it to 40.",
        )


def ports(value: dict[str, int]) -> Iterator[Problem]:
    """Two containers run side by side during a release."""
    if value["blue"] == value["green"]:
        yield Problem("bookstore_app_ports", f"has {value['blue']} twice", "Give blue and green a port each.")
    for color in ("blue", "green"):
        if not 1024 <= int(value[color]) <= 65535:
            yield Problem(
                "bookstore_app_ports",
                f"has {value[color]} for {color}",
                "Choose ports from 1024 to 65535.",
            )


def environment(value: dict[str, Any]) -> Iterator[Problem]:
    """Lines of an environment file."""
    for name, text in value.items():
        if name in RESERVED_ENVIRONMENT:
            yield Problem(
                "bookstore_app_environment",
                f"sets {name}, which the role sets itself",
                "Use the role's variable.",
            )
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) or "\n" in str(text):
            yield Problem(
                "bookstore_app_environment",
                f'has "{name}", which is no variable on one line',
                "Use upper case, digits and _, and a value without a line break.",
            )


def source(path: str) -> Iterator[Problem]:
    """What the image is built from."""
    if not (Path(path) / "Dockerfile").is_file():
        yield Problem(
            "bookstore_app_source",
            f'is "{path}", which has no Dockerfile',
            "Name the folder of the store.",
        )


def base_image_archive(path: str) -> Iterator[Problem]:
    """A file on the controller."""
    return file_exists("bookstore_app_base_image_archive", path)


def wheelhouse(path: str) -> Iterator[Problem]:
    """A folder on the controller."""
    if path and not any(Path(path).glob("*.whl")):
        yield Problem(
            "bookstore_app_wheelhouse",
            f'is "{path}", which holds no wheel',
            "Fill it, or leave it empty.",
        )


def bind_address(address: str) -> Iterator[Problem]:
    """One private address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        yield Problem(
            "mysql_bind_address",
            f'is "{address}", no address',
            "Set private_address of the database host to its IP.",
        )
        return
    if parsed.is_unspecified:
        yield Problem(
            "mysql_bind_address",
            f"is {address}: MySQL would listen on every network that the host has, public ones too",
            "Set it to the host's private address.",
        )


def users(listed: list[dict[str, str]], databases: list[dict[str, str]]) -> Iterator[Problem]:
    """Few rights, from few places."""
    accounts = [(user["name"], user["host"]) for user in listed]
    for user in listed:
        account = f"{user['name']}@{user['host']}"
        if "%" in user["host"] or "_" in user["host"]:
            yield Problem(
                "mysql_users",
                f"admits {account} from anywhere that matches",
                "Name the application host's address.",
            )
        if user["name"] in ("root", ""):
            yield Problem("mysql_users", f"has {account}", "root is the socket's; choose another name.")
        if accounts.count((user["name"], user["host"])) > 1:
            yield Problem("mysql_users", f"has {account} twice", "Remove one.")
        if user["database"] not in [database["name"] for database in databases]:
            yield Problem(
                "mysql_users",
                f'gives {account} rights on "{user["database"]}", which mysql_databases has not',
                "Add the database, or correct its name.",
            )
        for problem in password("mysql_users", user["password"]):
            yield Problem("mysql_users", f"has a password for {account} that {problem.rule}", problem.mend)


def buffer_pool(size: str) -> Iterator[Problem]:
    """MySQL's notation."""
    if size and not SIZE.fullmatch(size):
        yield Problem("mysql_buffer_pool_size", f'is "{size}", no size', "Write e.g. 512M, or leave it empty.")


def mysql_suite(kind: str, suite: str) -> Iterator[Problem]:
    """A suite needs its name."""
    if kind == "suite" and not suite:
        yield Problem(
            "mysql_apt_suite",
            'is empty while mysql_source is "suite"',
            'Name the suite, e.g. "sid".',
        )


def binlog_days(days: int) -> Iterator[Problem]:
    """Zero would keep it for ever."""
    if int(days) < 1:
        yield Problem("mysql_binlog_expire_days", f"is {days}: the disk would fill", "Keep 1 day or more.")


def firewall_rules(rules: list[dict[str, Any]]) -> Iterator[Problem]:
    """Ports and networks that exist, and a way in for operators only."""
    for rule in rules:
        if not 1 <= int(rule["port"]) <= 65535:
            yield Problem("firewall_rules", f"has port {rule['port']}", "Ports are 1 to 65535.")
        for network in rule.get("sources") or []:
            yield from network_exists("firewall_rules", network)
    ssh = [rule for rule in rules if int(rule["port"]) == 22]
    if not ssh:
        yield Problem(
            "firewall_rules",
            "admits nobody to port 22",
            "Add a rule for SSH from your own networks.",
        )
    for rule in ssh:
        everywhere = [net for net in rule.get("sources") or ["0.0.0.0/0"] if str(net).endswith("/0")]
        if everywhere:
            yield Problem(
                "firewall_rules",
                f"admits everybody ({everywhere[0]}) to SSH",
                "Set admin_networks to the networks that operators come from.",
            )


def trusted_proxies(networks: list[str]) -> Iterator[Problem]:
    """Whoever is trusted may say that he is anybody."""
    for network in networks:
        yield from network_exists("nginx_certbot_trusted_proxies", network)
        if str(network).endswith("/0"):
            yield Problem(
                "nginx_certbot_trusted_proxies",
                f"trusts everybody ({network}) to name the client's address",
                "Name the load balancer's networks.",
            )


def network_exists(variable: str, network: str) -> Iterator[Problem]:
    """An address or a network without host bits."""
    try:
        ipaddress.ip_network(network)
    except ValueError as error:
        yield Problem(
            variable,
            f'has "{network}", no network: {error}',
            "Write e.g. 198.51.100.0/24 or one address.",
        )


def file_exists(variable: str, path: str) -> Iterator[Problem]:
    """A file on the controller, or nothing."""
    if path and not Path(path).is_file():
        yield Problem(
            variable,
            f'is "{path}", no file on this machine',
            "Correct the path, or leave it empty.",
        )


def is_public(name: str) -> bool:
    """Whether a public authority could issue for the name."""
    if "." not in name or name.rpartition(".")[2] in PRIVATE_NAMES:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return True
    return False


# The variables that a rule is given, in order, and the rule.
RULES: tuple[tuple[tuple[str, ...], Callable[..., Iterator[Problem]]], ...] = (
    (("bookstore_app_base_image_archive",), base_image_archive),
    (("bookstore_app_database_password",), store_password),
    (("bookstore_app_environment",), environment),
    (("bookstore_app_ports",), ports),
    (("bookstore_app_secret_key",), secret_key),
    (("bookstore_app_source",), source),
    (("bookstore_app_stop_timeout",), stop_timeout),
    (("bookstore_app_wheelhouse",), wheelhouse),
    (("firewall_rules",), firewall_rules),
    (("mysql_bind_address",), bind_address),
    (("mysql_binlog_expire_days",), binlog_days),
    (("mysql_buffer_pool_size",), buffer_pool),
    (("mysql_source", "mysql_apt_suite"), mysql_suite),
    (("mysql_users", "mysql_databases"), users),
    (("nginx_certbot_acme_ca_bundle",), acme_ca_bundle),
    (("nginx_certbot_acme_directory", "nginx_certbot_mode"), acme_directory),
    (("nginx_certbot_client_max_body_size",), body_size),
    (
        ("nginx_certbot_mode", "nginx_certbot_provided_certificate", "nginx_certbot_provided_key"),
        provided_certificate,
    ),
    (("nginx_certbot_rate_limit",), rate_limit),
    (
        ("nginx_certbot_server_names", "nginx_certbot_mode", "nginx_certbot_acme_directory"),
        server_names,
    ),
    (("nginx_certbot_trusted_proxies",), trusted_proxies),
)


def undefined(name: str, error: AnsibleError) -> Problem:
    """A variable that refers to one that nobody sets."""
    missing = re.search(r"'(\w+)' is undefined", str(error))
    if missing and missing[1].startswith("vault_"):
        return Problem(
            name,
            f"needs {missing[1]}, which is not set",
            "Run `make vault ENV=<environment>` and set ANSIBLE_VAULT_PASSWORD_FILE.",
        )
    if missing:
        return Problem(name, f"needs {missing[1]}, which is not set", f"Set {missing[1]} in the environment.")
    return Problem(name, f"cannot be worked out: {error}", "Correct its expression.")


def description(options: Mapping[str, Any]) -> str:
    """What the role's specification says of a variable."""
    text = options.get("description", "")
    sentence = str(text if isinstance(text, str) else " ".join(text))
    return re.sub(r"\b[A-Z]\(([^)]*)\)", r'"\1"', sentence)


def is_secret(name: str, options: Mapping[str, Any]) -> bool:
    """Whether a value must not be shown."""
    nested = options.get("options") or {}
    return bool(options.get("no_log")) or any(is_secret(key, value) for key, value in nested.items())


def read_roles(roles: list[str]) -> tuple[Spec, dict[str, Any]]:
    """What the roles' specifications say of each variable, and the roles' defaults."""
    spec: dict[str, Mapping[str, Any]] = {}
    defaults: dict[str, Any] = {}
    for role in roles:
        folder = ROLES / role
        entry_points = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text())["argument_specs"]
        for entry_point, content in entry_points.items():
            for name, options in content["options"].items():
                # Only the entry point that playbooks begin with is sure to be used.
                spec[name] = {**options, "required": options.get("required", False) and entry_point == "main"}
        text = (folder / "defaults" / "main.yml").read_text().replace("{{ role_path }}", str(folder))
        defaults |= yaml.safe_load(text) or {}
    return spec, defaults


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action: ``preflight: {roles: [...]}`` on each host, without a connection to it."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check the host's variables for the roles that it will be given."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        roles = self._task.args["roles"]
        spec, defaults = read_roles(roles)
        values = Values(variables, defaults, self._templar.template)
        prefixes = tuple(role.replace("-", "_") + "_" for role in roles)
        problems = [
            *check_spec(values, spec),
            *check_unknown(values, spec, prefixes),
            *check_rules(values, spec),
        ]
        if not problems:
            return {"changed": False}
        host = variables["inventory_hostname"]
        lines = [f"{len(problems)} thing{'s' * (len(problems) > 1)} to mend before {host} is touched:"]
        for problem in problems:
            where = values.where(problem.variable)
            lines.append(f"- {problem.variable}{f' ({where})' if where else ''} {problem.rule}. {problem.mend}")
        return {"failed": True, "changed": False, "msg": "\n".join(lines)}
