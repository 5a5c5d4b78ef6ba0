"""Draw docs/images/two-vms.svg: who talks to whom, from what an inventory's variables say.

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
PICTURE = ROOT / "docs" / "images" / "two-vms.svg"
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


def main() -> None:
    """Draw the picture."""
    if not shutil.which("dot"):
        sys.exit("Graphviz is missing: sudo apt-get install -y graphviz")
    example = ROOT / "inventories" / "two-vms"
    inventory = example if example.exists() else ROOT / "inventories" / "lab"
    PICTURE.parent.mkdir(exist_ok=True)
    graph = "\n".join(draw(ask(inventory)))
    subprocess.run(["dot", "-Tsvg", "-o", PICTURE], input=graph, text=True, check=True)
    print(f"{PICTURE.relative_to(ROOT)} (from {inventory.relative_to(ROOT)})")


if __name__ == "__main__":
    main()
