"""Draw docs/images: who talks to whom.

two-vms.svg from what an inventory's variables say; aws.svg from docs/aws-state.json, which `make rehearse` records.
Needs Graphviz: sudo apt-get install -y graphviz
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "images"
AWS_STATE = ROOT / "docs" / "aws-state.json"
REHEARSED = ROOT / ".lab" / "rehearsal" / "states" / "shop.json"
CERTIFICATES = {
    "provided": "certificate: given",
    "self_signed": "certificate: self-signed",
    "behind_load_balancer": "HTTPS ends before this host",
}
INK, SOFT, GREEN, BLUE, LINE = "#1d1b18", "#5d564c", "#1f6f5c", "#274d82", "#948a7a"
STYLE = f"""
  graph [rankdir=LR compound=true bgcolor=white fontname="Helvetica" fontsize=15 fontcolor="{INK}" pad=0.15
         nodesep=0.4 ranksep=0.62 labeljust=l]
  node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=14 fontcolor="{INK}"
        color="{LINE}" fillcolor=white penwidth=1.2 margin="0.14,0.1"]
  edge [fontname="Helvetica" fontsize=13 fontcolor="{SOFT}" color="{SOFT}" penwidth=1.3
        arrowsize=0.75]
"""


def ask(inventory: Path) -> dict[str, dict[str, Any]]:
    """What docs/architecture.yml tells of each host of an inventory."""
    done = subprocess.run(
        ["ansible-playbook", "-i", inventory, ROOT / "docs" / "architecture.yml"],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{inventory}: {done.stdout}{done.stderr}")
    # ansible.cfg's other callbacks write after the JSON.
    answer, _ = json.JSONDecoder().raw_decode(done.stdout)
    tasks = answer["plays"][0]["tasks"]
    return {name: result["msg"] for name, result in tasks[-1]["hosts"].items()}


def label(title: str, *small: str) -> str:
    """A node's label: a title and smaller lines below it."""
    lines = [f"<b>{title}</b>"]
    lines += [f'<font point-size="12" color="{SOFT}">{line}</font>' for line in small]
    return f"<{'<br/>'.join(lines)}>"


def cluster(name: str, title: str, host: dict[str, Any], color: str, inside: list[str]) -> str:
    """A host with what runs on it."""
    address = f'<font point-size="12" color="{SOFT}">{host["address"]}'
    if host["private_address"] != host["address"]:
        address += f", private {host['private_address']}"
    left = '<br align="left"/>'
    head = f'<<font color="{color}"><b>{title}</b></font>{left}{address}</font>{left}>'
    body = "\n    ".join(inside)
    return f"""
  subgraph cluster_{name} {{
    label={head} style="rounded,filled" color="{color}" fillcolor="{color}0d" penwidth=1.6
    margin=14
    {body}
  }}"""


def ports(host: dict[str, Any], sources: list[str] | None) -> str:
    """The ports that these sources reach, or everybody if there are none."""
    open_to = [str(rule["port"]) for rule in host["rules"] if rule.get("sources") == sources]
    return ", ".join(open_to)


def draw(hosts: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The picture in Graphviz's language."""
    app_name, app = next((n, h) for n, h in hosts.items() if "application" in h["groups"])
    db_name, db = next((n, h) for n, h in hosts.items() if "database" in h["groups"])
    operators = app["operators"]
    mode, containers = app["certificate"], app["containers"]
    yield f"digraph bookstore {{{STYLE}"

    proxy = label("nginx", "HTTPS, static files", *filter(None, [CERTIFICATES.get(mode)]))
    inside = [f"nginx [label={proxy}]"]
    if mode == "letsencrypt":
        inside.append(f"certbot [label={label('certbot', 'renews by timer')}]")
        inside.append(f'certbot -> nginx [color="{LINE}" style=dashed constraint=false]')
    for number, (color, port) in enumerate(containers.items()):
        style = "" if number == 0 else ' style="rounded,dashed"'
        role = "the live release" if number == 0 else "the next release"
        inside.append(f"{color} [label={label(f'container {color}', role, f'127.0.0.1:{port}')}{style}]")
        inside.append(f"nginx -> {color}" + ("" if number == 0 else f' [style=dashed color="{LINE}"]'))
    yield cluster("app", f"{app_name} VM", app, GREEN, inside)
    mysql = label("MySQL", f"database {app['database']}", "TLS by its own CA")
    yield cluster("db", f"{db_name} VM", db, BLUE, [f"mysql [shape=cylinder label={mysql}]"])

    outside = 'style="rounded,filled" fillcolor="#f2ede4" color="#f2ede4"'
    yield f"visitors [label={label('Visitors', 'of ' + app['names'][0])} {outside}]"
    yield f'visitors -> nginx [label="{ports(app, None)}"]'
    yield f"operator [label={label('Operator', *operators)} {outside}]"
    yield f'operator -> nginx [lhead=cluster_app label="{ports(app, operators)}"]'
    yield f'operator -> mysql [lhead=cluster_db label="{ports(db, operators)}"]'
    if mode == "letsencrypt":
        server = urlsplit(app["acme_directory"]).hostname
        known = server is not None and server.endswith("letsencrypt.org")
        title = "Let’s Encrypt" if known else "ACME server"
        yield f"acme [label={label(title)} {outside}]"
        yield 'acme -> certbot [dir=both label="ACME"]'
    database = ports(db, [app["private_address"]])
    for number, color in enumerate(containers):
        text = f'label="{database}, TLS"' if number == 0 else f'style=dashed color="{LINE}"'
        yield f"{color} -> mysql [{text}]"
    yield "}"


def small(text: str) -> str:
    """A smaller line of a label."""
    return f'<br/><font point-size="12" color="{SOFT}">{text}</font>'


def frame(name: str, title: str, color: str, *inside: str) -> str:
    """A frame around what belongs together."""
    body = "\n    ".join(inside)
    return f"""
  subgraph cluster_{name} {{
    label=<<font color="{color}">{title}</font>>
    style="rounded,filled" color="{color}" fillcolor="{color}0d" penwidth=1.4 margin=14
    {body}
  }}"""


def admitted(state: dict[str, Any], group: str) -> str:
    """The ports that a security group opens."""
    [found] = [one for one in state["security_groups"] if one["GroupName"].endswith(f"-{group}")]
    return ", ".join(str(port) for port in sorted({rule["FromPort"] for rule in found["IpPermissions"]}))


def draw_aws(state: dict[str, Any]) -> Iterator[str]:
    """The picture of an environment on AWS in Graphviz's language."""
    zones = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in state["subnets"]}
    [group], [database], [covers] = state["groups"], state["databases"], state["file_systems"]
    [balancer], [vpc] = state["balancers"], state["vpcs"]
    kind = state["launch_templates"][0]["Versions"][-1]["LaunchTemplateData"]["InstanceType"]
    outside = 'style="rounded,filled" fillcolor="#f2ede4" color="#f2ede4"'
    https = any(listener["Protocol"] == "HTTPS" for listener in balancer["Listeners"])
    yield f"digraph bookstore {{{STYLE}"

    inside = [
        f"balancer [label={label('Load balancer', 'HTTPS' if https else 'HTTP, from CloudFront', 'a zone each')}]"
    ]
    if state["nat_gateways"]:
        inside.append(f"nat [label={label('NAT gateway', 'the way out')}]")
    public = frame("public", "public subnets", BLUE, *inside)
    inside = []
    for number, subnet in enumerate(group["VPCZoneIdentifier"].split(",")):
        inside.append(f"store{number} [label={label('nginx, store', zones[subnet])}]")
    size = f"{group['MinSize']} to {group['MaxSize']} × {kind}, golden image"
    application = frame("application", f"Auto Scaling group{small(size)}", GREEN, *inside)
    version = f"MySQL {database['EngineVersion']}, {database['DBInstanceClass']}"
    spread = "a standby in another zone" if database["MultiAZ"] else "one zone, daily backups"
    targets = f"{len(covers['MountTargets'])} mount targets"
    data = frame(
        "data",
        "data subnets",
        BLUE,
        f"database [shape=cylinder label={label('RDS', version, spread)}]",
        f"covers [shape=cylinder label={label('EFS', 'book covers', targets)}]",
    )
    yield frame("vpc", f"<b>VPC</b>{small(vpc['CidrBlock'])}", INK, public, application, data)

    services = [("secrets", "Secrets Manager", "the store’s own secret")]
    services += [("logs", "CloudWatch", f"{len(state['alarms'])} alarms, logs")] if state["alarms"] else []
    for name, title, told in services:
        yield f"{name} [label={label(title, told)} {outside}]"
    yield f"visitors [label={label('Visitors')} {outside}]"
    first = "balancer"
    if state["distributions"]:
        yield f"front [label={label('CloudFront', 'its name, its certificate')} {outside}]"
        yield f'front -> balancer [label="{admitted(state, "balancer")}, a secret header"]'
        first = "front"
    ports = "443, 80 → 443" if state["distributions"] or https else admitted(state, "balancer")
    if state["web_acls"]:
        yield f"firewall [label={label('WAF', 'managed rules', 'log-ins limited')} {outside}]"
        yield f'visitors -> firewall [label="{ports}"]'
        yield f"firewall -> {first}"
    else:
        yield f'visitors -> {first} [label="{ports}"]'
    if state["buckets"]:
        yield f"bucket [label={label('S3', 'access logs')} {outside}]"
        yield f'balancer -> bucket [style=dashed color="{LINE}"]'
    ways = {"database": f"{admitted(state, 'database')}, TLS", "covers": f"{admitted(state, 'covers')}, TLS"}
    for number in range(len(inside)):
        # Once is enough.
        first_one = number == 0
        yield f'balancer -> store{number} [label="{admitted(state, "instance") if first_one else ""}"]'
        for other, way in ways.items():
            yield f'store{number} -> {other} [label="{way if first_one else ""}"]'
    if state["nat_gateways"]:
        yield f'store0 -> nat [style=dashed color="{LINE}" ltail=cluster_application constraint=false]'
    for name, *_ in services:
        yield f'store{len(inside) - 1} -> {name} [style=dashed color="{LINE}" ltail=cluster_application]'
    yield "}"


def main() -> None:
    """Draw the pictures."""
    if not shutil.which("dot"):
        sys.exit("Graphviz is missing: sudo apt-get install -y graphviz")
    example = ROOT / "inventories" / "two-vms"
    inventory = example if example.exists() else ROOT / "inventories" / "lab"
    render("two-vms.svg", draw(ask(inventory)), inventory)
    if REHEARSED.exists():
        shutil.copy(REHEARSED, AWS_STATE)
    render("aws.svg", draw_aws(json.loads(AWS_STATE.read_text())), AWS_STATE)


def render(name: str, graph: Iterator[str], source: Path) -> None:
    """Let Graphviz draw a picture."""
    picture = PICTURES / name
    picture.parent.mkdir(exist_ok=True)
    subprocess.run(["dot", "-Tsvg", "-o", picture], input="\n".join(graph), text=True, check=True)
    print(f"{picture.relative_to(ROOT)} (from {source.relative_to(ROOT)})")


if __name__ == "__main__":
    main()
