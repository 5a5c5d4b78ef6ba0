"""Checks every host's variables on the controller, before any host is contacted.

Once for the whole inventory, told which group is given which roles::

    preflight:
      roles:
        database: [firewall, mysql]
        application: [firewall, docker, nginx-certbot, bookstore-app]

Three questions, all of whose answers are given together:

1. Does every variable fit its role's ``meta/argument_specs.yml``, and is every required one there?
2. Is there a variable, or a key within one, that no role knows?
3. Do the values of different roles and hosts fit each other, and is one known to fail later? (the rules below)

An answer names the variable, its value unless it is secret, where it is set, the rule and the mend.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Ansible loads this file by its path and knows no packages of a repository's.
sys.path.append(str(Path(__file__).resolve().parents[1]))
from checks.store import (
    STORE_BODY_LIMIT,
    STORE_GRACEFUL_TIMEOUT,
    STORE_SECRET_LENGTH,
    STORE_WEAK_SECRETS,
)
from checks.variables import (
    HOST_NAME,
    Preflight,
    Problem,
    Rules,
    Specification,
    is_address,
    is_public,
    network_exists,
    wide,
)

MIN_PASSWORD = 12
# Printed in the original deployment's documentation, so known to everybody.
PUBLISHED_SECRETS = ("clave_secreta_flask_para_sesiones_y_csrf", "bookstore_pass")
# The role mysql leaves MySQL on its own port.
MYSQL_PORT = 3306
# Seconds; the default of AWS's application load balancers (Elastic Load Balancing user guide).
BALANCER_IDLE_TIMEOUT = 60
PUBLIC_ACME = re.compile(r"https://[^/]*\.(letsencrypt\.org|pki\.goog|zerossl\.com)(/|$)")
SIZE = re.compile(r"(\d+)([kmg]?)", re.IGNORECASE)
RESERVED_ENVIRONMENT = {
    "DB_HOST", "DB_NAME", "DB_PASS", "DB_PORT", "DB_SSL_CA", "DB_USER", "SECRET_KEY", "TRUSTED_PROXY_COUNT",
}  # fmt: skip
# What else the store reads; others' variables, such as TZ, may stand beside them.
STORE_VARIABLES = {
    "CURRENCY", "DISPLAY_TIMEZONE", "GUNICORN_THREADS", "MAIL_FROM", "MAIL_PASSWORD", "MAIL_PORT", "MAIL_SERVER",
    "MAIL_TLS", "MAIL_USERNAME", "METRICS_TOKEN", "REGISTRATIONS_PER_HOUR", "RESERVATION_MINUTES",
    "SECRET_KEY_FALLBACKS", "SIMULATED_PAYMENTS_OFF", "STORE_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET",
    "TRANSFER_INSTRUCTIONS", "WEB_CONCURRENCY",
}  # fmt: skip
# What an environment says besides the roles' variables (group_vars/all/wiring.yml reads it).
ENVIRONMENT_SPEC: dict[str, dict[str, Any]] = {
    "admin_networks": {"type": "list", "elements": "str", "required": True},
    "admin_anywhere": {"type": "bool", "default": False},
    "private_address": {"type": "str"},
}

rule = Rules()


# Rules across tiers.


@rule("bookstore_app_database_host", "database:mysql_bind_address", "database:mysql_tls_names")
def database_address(host: str, bind: str, names: list[str]) -> Iterator[Problem]:
    """The store must reach the address that MySQL listens on, by a name that its certificate has."""
    if is_address(host) and host != bind:
        yield Problem(
            "bookstore_app_database_host",
            f"must be the address that MySQL listens on (mysql_bind_address: {bind})",
            "Remove it, so that the wiring sets it, or set private_address of the database host.",
        )
    elif host not in names:
        yield Problem(
            "bookstore_app_database_host",
            "must be in mysql_tls_names, or the store refuses the server's certificate",
            f"Add {host} to mysql_tls_names.",
        )


@rule("bookstore_app_database_port", "database:mysql_bind_address")
def database_port(port: int, _bind: str) -> Iterator[Problem]:
    """The role mysql has no variable for it."""
    if int(port) != MYSQL_PORT:
        yield Problem("bookstore_app_database_port", f"must be {MYSQL_PORT}, MySQL's own", "Remove it.")


@rule(
    "private_address",
    "bookstore_app_database_user",
    "bookstore_app_database_name",
    "bookstore_app_database_password",
    "database:mysql_users",
)
def database_user(
    address: str, user: str, database: str, secret: str, accounts: list[dict[str, str]]
) -> Iterator[Problem]:
    """MySQL must know the store's user, from this address, with this password."""
    mine = [account for account in accounts if (account["name"], account["host"]) == (user, address)]
    if not mine:
        yield Problem(
            "database:mysql_users",
            f'must have the store\'s user "{user}" from {address} (bookstore_app_database_user, private_address)',
            "Remove it, so that the wiring sets it, or add the user.",
            secret=True,
        )
    for account in mine:
        if account["database"] != database:
            yield Problem(
                "bookstore_app_database_name",
                f'must be the database that mysql_users gives {user}@{address} rights on: "{account["database"]}"',
                "Set both to the same.",
            )
        if account["password"] != secret:
            yield Problem(
                "bookstore_app_database_password",
                f"must be the password that mysql_users gives {user}@{address}",
                "Let both take vault_database_password.",
            )


@rule("private_address", "database:firewall_rules")
def database_admits(address: str, rules: list[dict[str, Any]]) -> Iterator[Problem]:
    """The database host's firewall must let the store in."""
    if not any(admits(entry, address) for entry in rules if int(entry["port"]) == MYSQL_PORT):
        yield Problem(
            "database:firewall_rules",
            f"must admit {address} to port {MYSQL_PORT}, for the store comes from there",
            "Remove it, so that the wiring sets it, or add that rule.",
        )


@rule("private_address", "database:mysql_bind_address")
def application_address(address: str, bind: str) -> Iterator[Problem]:
    """The store comes to MySQL from within its network: a forgotten address would be the public one."""
    mend = "Set private_address of the application host to its IP address in the private network."
    if not is_address(address) or not is_address(bind):
        return
    mine, its = ipaddress.ip_address(address), ipaddress.ip_address(bind)
    if mine.is_global:
        yield Problem("private_address", f"must be private: MySQL listens in a private network ({bind})", mend)
    elif mine.version != its.version:
        yield Problem("private_address", f"must be of one family with mysql_bind_address ({bind})", mend)


@rule("bookstore_app_upstream_file", "nginx_certbot_upstream_file")
def upstream_file(written: str, read: str) -> Iterator[Problem]:
    """Nginx must read what a release writes."""
    if written != read:
        yield Problem(
            "bookstore_app_upstream_file",
            f'must be the file that nginx reads (nginx_certbot_upstream_file: "{read}")',
            "Set nginx_certbot_upstream_file alone; the wiring hands it to the store.",
        )


@rule("bookstore_app_static_root", "nginx_certbot_static_root")
def static_root(written: str, served: str) -> Iterator[Problem]:
    """Nginx must serve what a release exports."""
    if served and written != f"{served}/static":
        yield Problem(
            "bookstore_app_static_root",
            f'must be "{served}/static": nginx serves the folder static below nginx_certbot_static_root',
            "Set nginx_certbot_static_root alone; the wiring hands it to the store.",
        )


@rule("nginx_certbot_client_max_body_size")
def body_size(size: str) -> Iterator[Problem]:
    """Nginx must not refuse what the store accepts."""
    match = SIZE.fullmatch(str(size))
    if not match:
        yield Problem("nginx_certbot_client_max_body_size", "must be a size in nginx's notation", "Write e.g. 7m.")
    elif 0 < int(match[1]) * 1024 ** " kmg".index(match[2].lower() or " ") < STORE_BODY_LIMIT:
        yield Problem(
            "nginx_certbot_client_max_body_size",
            f"must not be below the {STORE_BODY_LIMIT // 1024**2}m that the store accepts",
            "Set it to 7m, as group_vars/all/wiring.yml does, or more.",
        )


@rule("bookstore_app_stop_timeout")
def stop_timeout(seconds: int) -> Iterator[Problem]:
    """Docker would kill what the store still finishes."""
    if int(seconds) <= STORE_GRACEFUL_TIMEOUT:
        yield Problem(
            "bookstore_app_stop_timeout",
            f"must be above the {STORE_GRACEFUL_TIMEOUT} s that the store takes to finish its requests",
            "Set it to 40.",
        )


@rule("firewall_rules", "nginx_certbot_mode")
def visitors_come_in(rules: list[dict[str, Any]], mode: str) -> Iterator[Problem]:
    """Customers come on 443, Let's Encrypt on 80, from anywhere."""
    if mode == "behind_load_balancer":
        return
    for port, who in ((443, "customers come there"), (80, "the ACME server and redirected customers come there")):
        open_to = [entry.get("sources", "everybody") for entry in rules if int(entry["port"]) == port]
        if not any(open_to):
            yield Problem("firewall_rules", f"must admit port {port}: {who}", "Add a rule for it.")
        elif port == 80 and mode == "letsencrypt" and "everybody" not in open_to:
            yield Problem(
                "firewall_rules",
                "must admit everybody to port 80: an ACME server checks from addresses that it does not publish",
                "Remove the sources of that rule, or set nginx_certbot_mode to provided.",
            )


# Rules of one role.


@rule("firewall_rules", "admin_anywhere")
def firewall_rules(rules: list[dict[str, Any]], anywhere: bool) -> Iterator[Problem]:
    """Ports and networks that exist, and a way in for operators only."""
    for entry in rules:
        if not 1 <= int(entry["port"]) <= 65535:
            yield Problem("firewall_rules", "has a port that does not exist", "Ports are 1 to 65535.", entry["port"])
        for network in entry.get("sources", []):
            yield from network_exists("firewall_rules", network)
    ssh = [entry for entry in rules if int(entry["port"]) == 22]
    if not any(entry.get("sources", "everybody") for entry in ssh):
        yield Problem("firewall_rules", "admits nobody to port 22", "Add a rule for SSH from your own networks.")
    for entry in ssh:
        everywhere = [net for net in entry.get("sources", ["everywhere"]) if net == "everywhere" or wide(net)]
        if everywhere and not anywhere:
            yield Problem(
                "firewall_rules",
                "must not admit everybody to SSH",
                "Set admin_networks to the networks that operators come from, or admin_anywhere to true.",
                everywhere[0],
            )


@rule("bookstore_app_secret_key")
def secret_key(value: str) -> Iterator[Problem]:
    """Sessions are signed with it: who guesses it is everybody."""
    weak = value in PUBLISHED_SECRETS or any(word in value.lower() for word in STORE_WEAK_SECRETS)
    if len(value) < STORE_SECRET_LENGTH or len(set(value)) < 8 or weak:
        yield Problem(
            "bookstore_app_secret_key",
            f"must be random and at least {STORE_SECRET_LENGTH} characters long",
            "Run `make vault ENV=<environment>`, or `openssl rand -hex 32`.",
        )
    yield from one_line("bookstore_app_secret_key", value)


@rule("bookstore_app_database_password")
def store_password(value: str) -> Iterator[Problem]:
    """The store's side of the database password."""
    yield from password("bookstore_app_database_password", value)
    yield from one_line("bookstore_app_database_password", value)


@rule("nginx_certbot_server_names", "nginx_certbot_mode", "nginx_certbot_acme_directory")
def server_names(names: list[str], mode: str, directory: str) -> Iterator[Problem]:
    """Names that exist, and that the ACME server can issue for."""
    if not isinstance(names, list):
        return
    if not names:
        yield Problem("nginx_certbot_server_names", "must name the site", "Write e.g. [shop.example.com].")
    for name in names:
        # Behind a load balancer no certificate is asked for, and CloudFront's name is known only after the image.
        bare = name.removeprefix("*.") if mode == "behind_load_balancer" else name
        if not HOST_NAME.fullmatch(bare):
            yield Problem(
                "nginx_certbot_server_names",
                "has what is no host name in lower case",
                "Write the name alone: no https://, no port, no path, and *. behind a load balancer alone.",
                name,
            )
        elif mode == "letsencrypt" and PUBLIC_ACME.match(directory) and not is_public(name):
            yield Problem(
                "nginx_certbot_server_names",
                f"has a name that {directory} issues no certificate for",
                "Use a name in the public DNS (without a domain: 203-0-113-20.sslip.io for 203.0.113.20), "
                "or set nginx_certbot_mode to self_signed.",
                name,
            )


@rule("nginx_certbot_acme_directory", "nginx_certbot_mode")
def acme_directory(url: str, mode: str) -> Iterator[Problem]:
    """Accounts and keys pass over it."""
    if mode == "letsencrypt" and not url.startswith("https://"):
        yield Problem("nginx_certbot_acme_directory", "must be an https:// address", "Correct it.")


@rule("nginx_certbot_mode", "nginx_certbot_provided_certificate", "nginx_certbot_provided_key")
def provided_certificate(mode: str, certificate: str, key: str) -> Iterator[Problem]:
    """Both, or the mode makes no sense."""
    for name, value, begin in (
        ("nginx_certbot_provided_certificate", certificate, "-----BEGIN CERTIFICATE-----"),
        ("nginx_certbot_provided_key", key, "-----BEGIN"),
    ):
        if mode == "provided" and not value.strip().startswith(begin):
            yield Problem(name, 'must be PEM when nginx_certbot_mode is "provided"', "Put its content into the vault.")


@rule("nginx_certbot_rate_limit")
def rate_limit(rate: str) -> Iterator[Problem]:
    """Nginx's notation."""
    if not re.fullmatch(r"[1-9]\d*r/[sm]", str(rate)):
        yield Problem("nginx_certbot_rate_limit", "must be a rate in nginx's notation", "Write e.g. 30r/m or 5r/s.")


@rule("nginx_certbot_mode", "nginx_certbot_keepalive_timeout", "nginx_certbot_trusted_proxies")
def behind_load_balancer(mode: str, keepalive: int, networks: list[str]) -> Iterator[Problem]:
    """The load balancer closes idle connections, and is believed on who the client is."""
    if mode != "behind_load_balancer":
        return
    if int(keepalive) <= BALANCER_IDLE_TIMEOUT:
        yield Problem(
            "nginx_certbot_keepalive_timeout",
            f"must be above the {BALANCER_IDLE_TIMEOUT} s for which a load balancer keeps idle connections",
            "Set it to 75, or visitors get 502 now and then.",
        )
    if not networks:
        yield Problem(
            "nginx_certbot_trusted_proxies",
            'must not be empty while nginx_certbot_mode is "behind_load_balancer"',
            "Name the load balancer's networks, or every visitor has its address.",
        )


@rule("nginx_certbot_trusted_proxies")
def trusted_proxies(networks: list[str]) -> Iterator[Problem]:
    """Whoever is trusted may say that he is anybody."""
    for network in networks:
        yield from network_exists("nginx_certbot_trusted_proxies", network)
        if wide(network):
            yield Problem(
                "nginx_certbot_trusted_proxies",
                "must not trust everybody to name the client's address",
                "Name the load balancer's networks.",
                network,
            )


@rule("nginx_certbot_acme_ca_bundle")
def acme_ca_bundle(path: str) -> Iterator[Problem]:
    """A file on the controller."""
    return file_exists("nginx_certbot_acme_ca_bundle", path)


@rule("bookstore_app_base_image_archive")
def base_image_archive(path: str) -> Iterator[Problem]:
    """A file on the controller."""
    return file_exists("bookstore_app_base_image_archive", path)


@rule("bookstore_app_wheelhouse")
def wheelhouse(path: str) -> Iterator[Problem]:
    """A folder on the controller."""
    if path and not any(Path(path).glob("*.whl")):
        yield Problem("bookstore_app_wheelhouse", "must be a folder with wheels", "Fill it, or leave it empty.")


@rule("bookstore_app_source")
def source(path: str) -> Iterator[Problem]:
    """What the image is built from."""
    if not (Path(path) / "Dockerfile").is_file():
        yield Problem("bookstore_app_source", "must be a folder with a Dockerfile", "Name the folder of the store.")


@rule("bookstore_app_ports")
def ports(value: dict[str, int]) -> Iterator[Problem]:
    """Two containers run side by side during a release."""
    if value["blue"] == value["green"]:
        yield Problem("bookstore_app_ports", "must be two different ports", "Give blue and green a port each.")
    for color in ("blue", "green"):
        if not 1024 <= int(value[color]) <= 65535:
            yield Problem("bookstore_app_ports", f"must have a port from 1024 to 65535 for {color}", "Choose another.")


@rule("bookstore_app_environment")
def environment(value: dict[str, Any]) -> Iterator[Problem]:
    """Lines of an environment file."""
    for name, text in value.items():
        if name in RESERVED_ENVIRONMENT:
            mend = "Use the role's variable."
            yield Problem("bookstore_app_environment", f"must not set {name}, which the role sets", mend, name)
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) or "\n" in str(text):
            yield Problem(
                "bookstore_app_environment",
                "must be variables of one line each",
                "Use upper case, digits and _ for the name, and a value without a line break.",
                name,
            )
        elif name not in STORE_VARIABLES and (near := difflib.get_close_matches(name, STORE_VARIABLES, 1, 0.85)):
            yield Problem(
                "bookstore_app_environment", f"has {name}, which is read by nothing", f"Did you mean {near[0]}?"
            )


@rule("efs_mount_client", "efs_mount_access_point", "efs_mount_iam", "efs_mount_utils_deb")
def efs_utils_only(client: str, access_point: str, iam: bool, deb: str) -> Iterator[Problem]:
    """NFS itself knows neither."""
    needing = {"efs_mount_access_point": access_point, "efs_mount_iam": iam, "efs_mount_utils_deb": deb}
    for name, value in needing.items() if client != "efs_utils" else ():
        if value:
            yield Problem(
                name,
                f'must not be set while efs_mount_client is "{client}": only amazon-efs-utils can use it',
                "Set efs_mount_client to efs_utils, or remove it.",
            )
    if access_point and not re.fullmatch(r"fsap-[0-9a-f]{8,40}", access_point):
        yield Problem(
            "efs_mount_access_point", "must be the id of an access point", "Write e.g. fsap-0123456789abcdef0."
        )


@rule("efs_mount_utils_deb")
def efs_utils_deb(path: str) -> Iterator[Problem]:
    """A file on the controller."""
    return file_exists("efs_mount_utils_deb", path)


@rule("efs_mount_file_system_id", "efs_mount_region", "efs_mount_address", "efs_mount_client")
def efs_address(file_system: str, region: str, address: str, client: str) -> Iterator[Problem]:
    """Where the file system is."""
    if file_system and not re.fullmatch(r"fs-[0-9a-f]{8,40}", file_system):
        yield Problem("efs_mount_file_system_id", "must be the id of a file system", "Write e.g. fs-0123456789abcdef0.")
    if file_system and not region and not address:
        yield Problem("efs_mount_region", "must be set beside efs_mount_file_system_id", "Write e.g. us-east-1.")
    if region and not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-\d", region):
        yield Problem("efs_mount_region", "must be an AWS region", "Write e.g. us-east-1.")
    if address and not HOST_NAME.fullmatch(address.lower()):
        yield Problem("efs_mount_address", "must be a name or an IPv4 address", "Write it without a port or a path.")
    if client == "efs_utils" and address and not file_system:
        yield Problem(
            "efs_mount_address",
            'must have efs_mount_file_system_id beside it while efs_mount_client is "efs_utils"',
            "Set efs_mount_file_system_id too.",
        )


@rule("efs_mount_point", "efs_mount_path", "efs_mount_options")
def efs_words(point: str, path: str, options: str) -> Iterator[Problem]:
    """They become words of a systemd unit."""
    for name, value in (("efs_mount_point", point), ("efs_mount_path", path)):
        if not re.fullmatch(r"/[A-Za-z0-9/._-]*", value):
            yield Problem(name, "must be an absolute path of letters, digits, . _ and -", "Choose another folder.")
    if not re.fullmatch(r"[a-z0-9_=.,:]+", options):
        yield Problem("efs_mount_options", "must be mount options", "Write them as in the default, with commas alone.")


@rule("efs_mount_timeout", "efs_mount_patience")
def efs_bounds(timeout: int, patience: int) -> Iterator[Problem]:
    """Zero would be for ever."""
    for name, value in (("efs_mount_timeout", timeout), ("efs_mount_patience", patience)):
        if int(value) < 1:
            yield Problem(name, "must be 1 or more", "Keep the default.")


@rule("bookstore_app_upload_dir", "efs_mount_point", "efs_mount_file_system_id", "efs_mount_address")
def covers_are_shared(folder: str, point: str, file_system: str, address: str) -> Iterator[Problem]:
    """The store must write where the file system is."""
    if (file_system or address) and folder != point:
        yield Problem(
            "bookstore_app_upload_dir",
            f'must be where the file system is mounted (efs_mount_point: "{point}")',
            "Set nginx_certbot_covers_root alone; the wiring hands it to both.",
        )


@rule("mysql_bind_address")
def bind_address(address: str) -> Iterator[Problem]:
    """One private address."""
    if not is_address(address):
        mend = "Set private_address of the database host to its IP address in the private network."
        yield Problem("mysql_bind_address", "must be an IP address", mend)
        return
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified or parsed.is_global:
        yield Problem(
            "mysql_bind_address",
            "must be a private address: MySQL would listen to the Internet",
            "Set private_address of the database host to its IP address in the private network.",
        )
    elif str(parsed) != address:
        # Certificates and MySQL's users have it so.
        yield Problem("mysql_bind_address", "must be written in its short form", f"Write {parsed}.")


@rule("mysql_users", "mysql_databases")
def users(listed: list[dict[str, str]], databases: list[dict[str, str]]) -> Iterator[Problem]:
    """Few rights, from few places."""
    accounts = [(user["name"], user["host"]) for user in listed]
    for user in listed:
        account = f"{user['name']}@{user['host']}"
        if not is_address(user["host"]):
            mend = "Name the application host's address."
            # MySQL does not look names up: skip_name_resolve is on.
            yield Problem("mysql_users", "must name one address for each user, no name and no pattern", mend, account)
        if user["name"] in ("root", ""):
            yield Problem("mysql_users", "must not have root, who is the socket's", "Choose another name.", account)
        if accounts.count((user["name"], user["host"])) > 1:
            yield Problem("mysql_users", "must have each user once", "Remove one.", account)
        if user["database"] not in [database["name"] for database in databases]:
            yield Problem(
                "mysql_users",
                f'gives {account} rights on "{user["database"]}", which mysql_databases has not',
                "Add the database, or correct its name.",
                account,
            )
        for problem in password("mysql_users", user["password"]):
            yield Problem("mysql_users", f"has a password for {account} that {problem.rule}", problem.mend, account)


@rule("mysql_users", "mysql_users_absent")
def users_absent(listed: list[dict[str, str]], absent: list[str]) -> Iterator[Problem]:
    """A user exists or does not."""
    for name in absent:
        if name in ("root", *(user["name"] for user in listed)):
            mend = "Remove it from one of the two."
            yield Problem("mysql_users_absent", "must not have root, nor who is in mysql_users", mend, name)


@rule("mysql_buffer_pool_size")
def buffer_pool(size: str) -> Iterator[Problem]:
    """MySQL's notation."""
    if size and not SIZE.fullmatch(str(size)):
        yield Problem("mysql_buffer_pool_size", "must be a size", "Write e.g. 512M, or leave it empty.")


@rule("mysql_source", "mysql_apt_suite")
def mysql_suite(kind: str, suite: str) -> Iterator[Problem]:
    """A suite needs its name."""
    if kind == "suite" and not suite:
        yield Problem("mysql_apt_suite", 'must be set when mysql_source is "suite"', 'Name the suite, e.g. "sid".')


@rule("mysql_binlog_expire_days")
def binlog_days(days: int) -> Iterator[Problem]:
    """Zero would keep it for ever."""
    if int(days) < 1:
        yield Problem("mysql_binlog_expire_days", "must be 1 or more, or the disk fills", "Keep 1 day or more.")


@rule("docker_daemon_options")
def daemon_options(options: dict[str, Any]) -> Iterator[Problem]:
    """A socket on the network is root for everybody."""
    if "hosts" in options:
        yield Problem("docker_daemon_options", "must not have hosts: a socket on the network is root's", "Remove it.")


# What rules are made of.


def password(variable: str, value: str) -> Iterator[Problem]:
    """A password that cannot be guessed."""
    if len(value) < MIN_PASSWORD or value in PUBLISHED_SECRETS:
        yield Problem(
            variable,
            f"must be at least {MIN_PASSWORD} characters long and none that was ever published",
            "Run `make vault ENV=<environment>`, or `openssl rand -base64 24`.",
        )


def one_line(variable: str, value: str) -> Iterator[Problem]:
    """Environment files have a line for each variable."""
    if "\n" in value or "\r" in value:
        yield Problem(variable, "must be one line", "Remove the line break at its end.")


def file_exists(variable: str, path: str) -> Iterator[Problem]:
    """A file on the controller, or nothing."""
    if path and not Path(path).is_file():
        yield Problem(variable, "must be a file on this machine", "Correct the path, or leave it empty.")


def admits(entry: Mapping[str, Any], address: str) -> bool:
    """Whether a firewall rule lets an address in; without sources it lets everybody in, with an empty list nobody."""
    if "sources" not in entry:
        return True
    networks = [ipaddress.ip_network(network, strict=False) for network in entry["sources"]]
    return any(ipaddress.ip_address(address) in network for network in networks)


class ActionModule(Preflight):
    """The action, run once for the whole inventory."""

    rules = rule
    untouched = "No host was contacted."

    def environment(self, roles: list[str]) -> Specification:
        """The firewall alone asks where operators come from."""
        networks = {**ENVIRONMENT_SPEC["admin_networks"], "required": "firewall" in roles}
        return {**ENVIRONMENT_SPEC, "admin_networks": networks}

    def missing(self, groups: Mapping[str, list[str]]) -> list[str]:
        """The groups without the hosts that they need."""
        return [
            f"group {group}: {len(groups.get(group, []))} hosts\n"
            f"  rule   It must have {'exactly' if group == 'database' else 'at least'} one.\n"
            "  mend   Write the inventory as inventories/two-vms/hosts.yml is, and name it with -i."
            for group in self._task.args["roles"]
            if not groups.get(group) or (group == "database" and len(groups[group]) > 1)
        ]

    def wanted(self, groups: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Every host of the groups that are given roles."""
        roles: dict[str, list[str]] = self._task.args["roles"]
        both: dict[str, list[str]] = {}
        for group, given in roles.items():
            for host in groups[group]:
                both[host] = list(dict.fromkeys(both.get(host, []) + given))
        return both
