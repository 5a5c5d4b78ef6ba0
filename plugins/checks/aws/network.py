"""The network: zones, addresses, ways out, and who may come in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from checks.variables import Problem, Rules, network_exists, wide

# In these Docker puts containers (its first two default address pools); the instances could not reach what is there.
DOCKER_NETWORKS = ("172.17.0.0/16", "172.18.0.0/16")
# RFC 1918.
PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")

rule = Rules()


@rule("aws_network_zones", "aws_region")
def zones(names: list[str], region: str) -> Iterator[Problem]:
    """A load balancer and a database's subnet group need two zones."""
    for zone in names:
        if not re.fullmatch(rf"{re.escape(region)}[a-z]", zone):
            mend = f"Write e.g. {region}a."
            yield Problem("aws_network_zones", f"must be zones of {region} (aws_region)", mend, zone)
    if len(set(names)) != len(names):
        yield Problem("aws_network_zones", "must have each zone once", "Remove one.")
    elif not 2 <= len(names) <= 3:
        yield Problem(
            "aws_network_zones",
            "must be two or three: a load balancer and a database need subnets in two zones",
            f"Write e.g. [{region}a, {region}b].",
        )


@rule("aws_network_cidr", "aws_network_vpc")
def cidr(network: str, vpc: str) -> Iterator[Problem]:
    """Room for the subnets, and no address that is somebody else's."""
    if vpc != "own":
        return
    bad = list(network_exists("aws_network_cidr", network))
    yield from bad
    if bad:
        return
    mine = ipaddress.ip_network(network)
    if mine.version != 4 or not 16 <= mine.prefixlen <= 19:
        yield Problem("aws_network_cidr", "must be an IPv4 network from /16 to /19", "Write e.g. 10.20.0.0/16.")
    elif not any(mine.subnet_of(ipaddress.ip_network(private)) for private in PRIVATE_NETWORKS):  # type: ignore[arg-type]
        yield Problem(
            "aws_network_cidr",
            "must be of private addresses (RFC 1918): else the instances cannot reach whose it is",
            "Write e.g. 10.20.0.0/16.",
        )
    for docker in DOCKER_NETWORKS:
        if mine.overlaps(ipaddress.ip_network(docker)):
            mend = "Write e.g. 10.20.0.0/16."
            yield Problem("aws_network_cidr", f"must not overlap {docker}, where Docker puts containers", mend)


@rule("aws_network_vpc", "aws_network_egress", "aws_network_nat_per_zone")
def nat(vpc: str, egress: str, per_zone: bool) -> Iterator[Problem]:
    """A choice without an effect misleads."""
    if per_zone and (vpc != "own" or egress != "nat"):
        yield Problem(
            "aws_network_nat_per_zone",
            "must be false without NAT gateways (aws_network_vpc: own and aws_network_egress: nat)",
            "Remove it, or set aws_network_egress to nat.",
        )


@rule("aws_network_vpc", "aws_network_egress", "aws_fleet_public_address")
def public_address(vpc: str, egress: str, public: bool) -> Iterator[Problem]:
    """An instance without a way out cannot read its secret."""
    needed = vpc == "default" or egress == "public"
    if bool(public) != needed:
        yield Problem(
            "aws_fleet_public_address",
            f"must be {str(needed).lower()} with aws_network_vpc: {vpc} and aws_network_egress: {egress}"
            + (
                ": instances would have no way out" if needed else ": the way out is another, and costs are for nothing"
            ),
            "Remove it, so that the wiring sets it.",
        )


@rule("aws_network_egress_ports")
def egress_ports(ports: list[int]) -> Iterator[Problem]:
    """What instances need to boot."""
    for port in ports:
        if not 1 <= int(port) <= 65535:
            yield Problem("aws_network_egress_ports", "has a port that does not exist", "Ports are 1 to 65535.", port)
        if int(port) == 25:
            mend = "Use your mail provider's port 587 or 465."
            yield Problem("aws_network_egress_ports", "must not have 25, which AWS blocks by default", mend, port)
    if 443 not in map(int, ports):
        yield Problem("aws_network_egress_ports", "must have 443: secrets and covers come that way", "Add 443.")


@rule("aws_network_ssh_networks", "aws_fleet_key_name")
def ssh(networks: list[str], key: str) -> Iterator[Problem]:
    """Session Manager needs none; who wants SSH needs both."""
    for network in networks:
        bad = list(network_exists("aws_network_ssh_networks", network))
        yield from bad
        if not bad and wide(network):
            mend = "Name your own networks, or use Session Manager, which needs none."
            yield Problem("aws_network_ssh_networks", "must not admit everybody to SSH", mend, network)
    if networks and not key:
        yield Problem(
            "aws_network_ssh_networks",
            "must be empty without aws_fleet_key_name: nobody could log in",
            "Set aws_fleet_key_name, or use Session Manager.",
        )
    if key and not networks:
        yield Problem(
            "aws_fleet_key_name",
            "must be empty without aws_network_ssh_networks: no security group would let it in",
            "Name your networks there, or use Session Manager.",
        )


@rule("aws_network_front", "aws_edge_tls")
def front(who: str, tls: str) -> Iterator[Problem]:
    """CloudFront's customers come by CloudFront alone; others come by themselves."""
    wanted = "cloudfront" if tls == "cloudfront" else "world"
    if who != wanted:
        yield Problem(
            "aws_network_front",
            f"must be {wanted} with aws_edge_tls: {tls}"
            + (": the load balancer could be reached past it" if wanted == "cloudfront" else ": nobody would get in"),
            "Remove it, so that the wiring sets it.",
        )


@rule("aws_network_app_port", "aws_edge_app_port")
def app_port(admitted: int, asked: int) -> Iterator[Problem]:
    """The security group admits the port that the target group asks."""
    if int(admitted) != int(asked):
        yield Problem(
            "aws_edge_app_port",
            f"must be the port that the instances' security group admits (aws_network_app_port: {admitted})",
            "Set both to the same.",
        )
