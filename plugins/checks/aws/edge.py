"""The front door: name, TLS, health check and firewall."""

from __future__ import annotations

from collections.abc import Iterator

from checks.store import NGINX_KEEPALIVE_TIMEOUT, STORE_GRACEFUL_TIMEOUT, STORE_HEALTH_PATH, STORE_LOGIN_PATH
from checks.variables import HOST_NAME, Problem, Rules, is_public, nearest

# TLS 1.2 or newer, and with forward secrecy (Elastic Load Balancing, "Security policies for your Application Load
# Balancer"). AWS publishes no schema of them.
TLS_POLICIES = (
    "ELBSecurityPolicy-FS-1-2-2019-08",
    "ELBSecurityPolicy-FS-1-2-Res-2019-08",
    "ELBSecurityPolicy-FS-1-2-Res-2020-10",
    "ELBSecurityPolicy-TLS13-1-2-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04",
    "ELBSecurityPolicy-TLS13-1-2-FIPS-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-2-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-Res-FIPS-2023-04",
    "ELBSecurityPolicy-TLS13-1-2-Res-FIPS-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-3-2021-06",
    "ELBSecurityPolicy-TLS13-1-3-FIPS-2023-04",
    "ELBSecurityPolicy-TLS13-1-3-FIPS-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-3-PQ-2025-09",
)

rule = Rules()


@rule("aws_edge_tls", "aws_edge_domain", "aws_edge_zone")
def domain(tls: str, name: str, zone: str) -> Iterator[Problem]:
    """A name that a certificate can be had for, and that can point here."""
    if tls == "cloudfront":
        for variable, value in (("aws_edge_domain", name), ("aws_edge_zone", zone)):
            if value:
                yield Problem(
                    variable,
                    "must be empty with aws_edge_tls: cloudfront: its certificate is for its own name alone",
                    "Remove it, or set aws_edge_tls to acm.",
                )
        return
    needed = [("aws_edge_domain", name)] + ([("aws_edge_zone", zone)] if tls == "acm" else [])
    for variable, value in needed:
        if not value:
            yield Problem(
                variable, f"must be set with aws_edge_tls: {tls}", "Set it, e.g. books.example.com in example.com."
            )
    for variable, value in (("aws_edge_domain", name), ("aws_edge_zone", zone)):
        if value and not HOST_NAME.fullmatch(value):
            mend = "Write the name alone: no https://, no port, no path, no *., no dot at its end."
            yield Problem(variable, "must be a host name in lower case", mend)
        elif value and tls == "acm" and not is_public(value):
            yield Problem(variable, "must be a name in the public DNS: AWS issues for no other", "Use your own domain.")
    if len(name) > 64:
        mend = "Choose a shorter name."
        yield Problem("aws_edge_domain", "must have 64 characters at most (ACM, RequestCertificate)", mend)
    if name and zone and name != zone and not name.endswith(f".{zone}"):
        yield Problem(
            "aws_edge_domain",
            f"must lie in its zone (aws_edge_zone: {zone})",
            f"Write {name.partition('.')[0]}.{zone}, or name the zone that it is in.",
        )
    if tls == "imported" and not zone and name.count(".") == 1:
        yield Problem(
            "aws_edge_domain",
            "must not be a zone's apex without aws_edge_zone: DNS allows no CNAME there (RFC 1034), and a load "
            "balancer has no fixed address",
            f"Use a name below it, e.g. www.{name}, or keep the zone in Route 53 and set aws_edge_zone.",
        )


@rule("aws_edge_tls_policy")
def tls_policy(name: str) -> Iterator[Problem]:
    """TLS 1.2 at least."""
    if name not in TLS_POLICIES:
        yield Problem(
            "aws_edge_tls_policy",
            "must be one of AWS's policies with TLS 1.2 or newer and forward secrecy",
            f"Did you mean {nearest(name, TLS_POLICIES)}? All are: {', '.join(TLS_POLICIES)}.",
        )


@rule("aws_edge_health_path")
def health_path(path: str) -> Iterator[Problem]:
    """What the store answers without a Host header, the database looked at."""
    if path != STORE_HEALTH_PATH:
        yield Problem(
            "aws_edge_health_path",
            f"must be {STORE_HEALTH_PATH}: a load balancer asks by address, and the store answers only that so",
            f"Remove it, or set it to {STORE_HEALTH_PATH}.",
        )


@rule("aws_edge_waf_login_path", "aws_edge_waf")
def login_path(path: str, waf: bool) -> Iterator[Problem]:
    """A limit on a path that nobody asks for limits nobody."""
    if waf and path != STORE_LOGIN_PATH:
        mend = f"Remove it, or set it to {STORE_LOGIN_PATH}."
        yield Problem("aws_edge_waf_login_path", f"must be {STORE_LOGIN_PATH}, the store's form", mend)


@rule("aws_edge_idle_timeout")
def idle_timeout(seconds: int) -> Iterator[Problem]:
    """The load balancer must be the one that closes."""
    if int(seconds) >= NGINX_KEEPALIVE_TIMEOUT:
        yield Problem(
            "aws_edge_idle_timeout",
            f"must be below the {NGINX_KEEPALIVE_TIMEOUT} s for which nginx keeps a connection, or visitors get 502 "
            "now and then",
            "Set it to 60.",
        )


@rule("aws_edge_deregistration_delay")
def deregistration_delay(seconds: int) -> Iterator[Problem]:
    """The store must have finished before it is left."""
    if int(seconds) <= STORE_GRACEFUL_TIMEOUT:
        yield Problem(
            "aws_edge_deregistration_delay",
            f"must be above the {STORE_GRACEFUL_TIMEOUT} s that the store takes to finish its requests",
            "Set it to 60.",
        )
