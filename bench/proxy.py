"""Anonymous pages out of nginx's cache of one second, beside its rate for a file: ``python -m bench.proxy``.

nginx runs with the role's own template, on a loopback port, from a directory that goes away afterwards. The store says
what may be kept (``X-Accel-Expires``); whoever brings a session is served by the store itself.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jinja2
import requests
import yaml

from bench.harness import (
    ROOT,
    BenchError,
    Server,
    application,
    arguments,
    beside,
    database,
    flask,
    free_port,
    log_in,
    make_people,
    need,
    save,
    say,
    store,
    store_environment,
    wrk,
)

ROLE = ROOT / "roles" / "nginx-certbot"
PAGE = "/book/catalog"
BOOKS = 1_000
LANGUAGE = "Accept-Language: en"


def configuration(directory: Path, port: int, backend: str) -> str:
    """The role's template for a store behind a load balancer, moved into a directory and onto a port."""
    (directory / "upstream.conf").write_text(f"server {backend.removeprefix('http://')};\n")
    values = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    values |= {
        "ansible_managed": "bench",
        "nginx_certbot_server_names": ["127.0.0.1"],
        "nginx_certbot_static_root": str(directory),
        "nginx_certbot_upstream_file": str(directory / "upstream.conf"),
        "__nginx_certbot_name": "127.0.0.1",
        "__nginx_certbot_tls": False,
    }
    # As Ansible renders.
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)  # noqa: S701 - no HTML
    text = environment.from_string((ROLE / "templates" / "nginx.conf.j2").read_text()).render(values)
    moved = {
        "user www-data;": "user root;" if os.geteuid() == 0 else "",
        "pid /run/": f"pid {directory}/",
        "/var/log/nginx/": f"{directory}/",
        "/var/lib/nginx/pages": f"{directory}/pages",
        "include /etc/nginx/modules-enabled/*.conf;": "daemon off;",
        "listen [::]:80 default_server;": "",
        "listen [::]:80;": "",
        "listen 80": f"listen 127.0.0.1:{port}",
    }
    for old, new in moved.items():
        text = text.replace(old, new)
    return text


@contextmanager
def nginx(backend: Server) -> Iterator[tuple[Server, Path]]:
    """An nginx in front of the store, and its directory.

    Raises:
        BenchError: it does not start.
    """
    with tempfile.TemporaryDirectory() as name:
        directory, port = Path(name), free_port()
        (directory / "static").mkdir()
        config = directory / "nginx.conf"
        config.write_text(configuration(directory, port, backend.url))
        command = ["nginx", "-e", str(directory / "error.log"), "-p", name, "-c", str(config)]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
        if checked.returncode:
            raise BenchError(checked.stderr)
        process = subprocess.Popen(command)
        try:
            server = Server(f"http://127.0.0.1:{port}", process)
            server.wait("/health")
            yield server, directory
        finally:
            process.terminate()
            process.wait(20)


def check_privacy(front: Server, ours: Server, email: str) -> None:
    """See that the cache mixes up neither people nor languages.

    Raises:
        BenchError: it does.
    """
    buyer = log_in(ours, [email])[0]
    mine = {"Accept-Language": "en", "Cookie": buyer.cookie}
    pages = []
    for headers in ({"Accept-Language": "en"}, mine, {"Accept-Language": "en"}, {"Accept-Language": "es"}):
        pages.append(requests.get(front.url + PAGE, headers=headers, timeout=10))
    english, own, again, spanish = (page.text for page in pages)
    if "Log out" not in own or "Log out" in english + again or 'lang="es"' not in spanish or 'lang="en"' not in again:
        raise BenchError("the cache gives people each other's pages")
    if any("X-Accel-Expires" in page.headers for page in pages):
        raise BenchError("nginx passes X-Accel-Expires on")


def served(server: Server, token: str) -> int:
    """How many times the store itself has made the page, by its own figures."""
    figures = requests.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=10).text
    name = 'bookstore_requests_total{endpoint="catalog.catalog",method="GET",status="200"} '
    return next((int(float(line.removeprefix(name))) for line in figures.splitlines() if line.startswith(name)), 0)


def main() -> None:
    """Measure and write ``results/proxy.json``."""
    options = arguments(__doc__).parse_args()
    need("wrk", "docker", "nginx")
    with database() as server:
        environment = store_environment(server)
        flask(environment, "db", "upgrade")
        flask(environment, "sample-data", "--books", str(BOOKS))
        email = make_people(application(server), 1)[0]
        token = secrets.token_hex(16)
        settings = {"TRUSTED_PROXY_COUNT": "1", "METRICS_TOKEN": token}
        with store(server, workers=options.workers, **settings) as ours, nginx(ours) as (front, directory):
            check_privacy(front, ours, email)
            page = requests.get(front.url + PAGE, headers={"Accept-Language": "en"}, timeout=10).content
            (directory / "static" / "page.html").write_bytes(page)
            before = served(ours, token)
            found = wrk(front, options, PAGE, headers=[LANGUAGE])
            reached = served(ours, token) - before
            least = wrk(front, options, "/static/page.html", headers=[LANGUAGE])
            uncached = wrk(ours, options, PAGE, headers=[LANGUAGE])
    say(f"{reached} of {found['raw']['requests']} requests reached the store")
    if not 1 <= reached <= options.seconds + 2:
        raise BenchError("the cache does not renew pages once a second")
    result = beside("catalogue from nginx's cache", found, least, reached_store=reached, uncached=uncached)
    save("proxy", options, [result], page_bytes=len(page))


if __name__ == "__main__":
    main()
