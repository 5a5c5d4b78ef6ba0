"""What the benchmarks share: MySQL, gunicorn, wrk, buyers, memory, results and pictures."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pymysql
import requests
from flask import Flask
from sqlalchemy import URL

from bookstore import create_app
from bookstore.accounts.models import User
from bookstore.accounts.passwords import hash_password
from bookstore.extensions import db

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "bench"
RESULTS = HERE / "results"
IMAGE = "bookstore-test-mysql:latest"
PASSWORD = "a horse and a battery"  # noqa: S105 - of buyers that live for a minute
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
BUFFER_POOL = "1G"
Result = dict[str, Any]


class BenchError(SystemExit):
    """A measurement that cannot be believed, or could not be made: it ends the run with one line."""


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"==> {text}", flush=True)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What every benchmark can be told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=int, default=10, help="length of each measurement")
    parser.add_argument("--workers", type=int, default=4, help="of gunicorn, for the store and for its limit")
    parser.add_argument("--connections", type=int, default=16, help="of wrk")
    return parser


# MySQL


@dataclass
class Database:
    """A MySQL server in a container, its data on a volume of the disk."""

    container: str
    port: int
    password: str

    @property
    def url(self) -> str:
        """The store's database."""
        query = {"charset": "utf8mb4"}
        url = URL.create("mysql+pymysql", "root", self.password, "127.0.0.1", self.port, "bookstore", query)
        return url.render_as_string(hide_password=False)

    def connect(self) -> pymysql.Connection[Any]:
        """A connection that commits each statement."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            password=self.password,
            database="bookstore",
            charset="utf8mb4",
            connect_timeout=2,
            autocommit=True,
        )

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def wait(self, seconds: float = 90) -> None:
        """Wait until it answers.

        Raises:
            BenchError: it does not.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.connect().close()
                return
            except pymysql.Error:
                if time.monotonic() > deadline:
                    raise BenchError(f"MySQL does not answer; see `docker logs {self.container}`") from None
                time.sleep(0.05)

    def kill(self) -> None:
        """End the server as `kill -9` does."""
        _run("docker", "kill", "--signal", "KILL", self.container)

    def start(self) -> None:
        """Start it again on the data that it left."""
        _run("docker", "start", self.container)


@contextmanager
def database() -> Iterator[Database]:
    """A MySQL as durable as the role makes it: MySQL's defaults, a sync of both logs at each commit."""
    _run(str(ROOT / "lab/mysql/build.sh"), IMAGE)
    server = Database(f"bookstore-bench-{secrets.token_hex(4)}", free_port(), secrets.token_hex(8))
    environment = {"MYSQL_ROOT_PASSWORD": server.password, "MYSQL_DATABASE": "bookstore"}
    command = ["docker", "run", "--detach", "--name", server.container, "--volume", "/var/lib/mysql"]
    command += ["--publish", f"127.0.0.1:{server.port}:3306"]
    command += ["--env", "MYSQL_ROOT_PASSWORD", "--env", "MYSQL_DATABASE", IMAGE]
    command += ["--skip-name-resolve", "--default-time-zone=+00:00", f"--innodb-buffer-pool-size={BUFFER_POOL}"]
    _run(*command, env=environment)
    try:
        server.wait()
        yield server
    finally:
        _run("docker", "rm", "--force", "--volumes", server.container)


# The store and its limits under gunicorn


def store_environment(server: Database) -> dict[str, str]:
    """The variables of a store on this database, spoken to by plain HTTP."""
    return {
        "SECRET_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a6978",
        "DATABASE_URL": server.url,
        "SESSION_COOKIE_INSECURE": "1",
    }


def flask(environment: dict[str, str], *command: str) -> str:
    """Run one of the store's commands; return what it prints."""
    return _run(sys.executable, "-m", "flask", "--app", "bookstore", *command, env=environment)


@dataclass(frozen=True)
class Server:
    """A gunicorn, or an nginx, and its address."""

    url: str
    process: subprocess.Popen[bytes]

    def wait(self, path: str) -> None:
        """Wait until a path answers 200.

        Raises:
            BenchError: it does not.
        """
        deadline = time.monotonic() + 60
        while True:
            try:
                if requests.get(self.url + path, timeout=5).status_code == 200:
                    return
            except requests.RequestException:
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{self.url}{path} does not answer")
            time.sleep(0.1)

    def memory(self) -> Result:
        """Megabytes of its workers, pages that they share counted once."""
        each = [round(_pss(child) / 1024, 1) for child in self._workers()]
        return {"workers_mb": each, "total_mb": round(sum(each), 1)}

    def cpu_seconds(self) -> float:
        """Processor time that its workers have used."""
        return sum(_cpu_seconds(child) for child in self._workers())

    def _workers(self) -> list[str]:
        pid = self.process.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@contextmanager
def gunicorn(app: str, environment: dict[str, str], *, workers: int, path: str) -> Iterator[Server]:
    """Serve ``app`` with the store's own settings; ready when ``path`` answers 200.

    Raises:
        BenchError: it does not start.
    """
    config = "bookstore/gunicorn.conf.py" if app.startswith("bookstore:") else "bench/bare.conf.py"
    port = free_port()
    settings = {"PORT": str(port), "WEB_CONCURRENCY": str(workers), "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", config, app],
            cwd=ROOT,
            env=os.environ | environment | settings,
            stdout=log,
            stderr=log,
        )
        try:
            server = Server(f"http://127.0.0.1:{port}", process)
            server.wait(path)
            yield server
        except BenchError:
            log.seek(0)
            sys.stderr.writelines(_worst(log.read().decode(errors="replace")))
            raise
        finally:
            process.terminate()
            try:
                process.wait(35)
            except subprocess.TimeoutExpired:
                process.kill()


def store(server: Database, *, workers: int, **environment: str) -> Any:
    """The store on this database; see ``gunicorn``."""
    return gunicorn("bookstore:create_app()", store_environment(server) | environment, workers=workers, path="/ready")


def bare(server: Database, *, workers: int) -> Any:
    """The limits of ``bench/bare.py`` on this database; see ``gunicorn``."""
    return gunicorn("bench.bare:app", {"DATABASE_URL": server.url}, workers=workers, path="/page")


def _worst(log: str) -> list[str]:
    """Of a log the lines that may say what went wrong: the last ones that are no answer below 400."""
    lines = [line for line in log.splitlines(keepends=True) if not re.search(r'"status": [123]\d\d,', line)]
    return lines[-20:]


def _pss(pid: str) -> int:
    """Kilobytes of a process, pages that it shares divided by those who share them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _cpu_seconds(pid: str) -> float:
    # Behind the name, which may hold spaces, utime and stime are the twelfth and thirteenth.
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


# Load


@dataclass(frozen=True)
class Shot:
    """One request that wrk sends over and over; a GET, if it has no body."""

    path: str
    body: str = ""
    cookie: str = ""


def wrk(
    server: Server,
    options: argparse.Namespace,
    path: str = "/",
    shots: Sequence[Shot] = (),
    headers: Iterable[str] = (),
) -> Result:
    """Load a path of a server; with ``shots`` send those requests in turn instead.

    Raises:
        BenchError: some answers were errors, or there were none.
    """
    threads = min(2, options.connections)
    command = ["wrk", f"--threads={threads}", f"--connections={options.connections}", f"--duration={options.seconds}s"]
    command += ["--timeout=30s", f"--script={HERE / 'wrk.lua'}"]
    for header in headers:
        command += ["--header", header]
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.writelines(f"{shot.path}\t{shot.body}\t{shot.cookie}\n" for shot in shots)
        file.flush()
        before = server.cpu_seconds()
        printed = _run(*command, server.url + path, "--", *([file.name] if shots else []))
        cpu = server.cpu_seconds() - before
    found: Result = json.loads(printed.splitlines()[-1])
    if found["errors"] or not found["requests"]:
        raise BenchError(f"{server.url}{path}: {found}")
    return {
        "requests_per_second": round(found["requests"] / found["seconds"], 1),
        "p50_ms": round(found["p50_us"] / 1000, 2),
        "p99_ms": round(found["p99_us"] / 1000, 2),
        # Of the server alone: says more than the rate where others use the machine too.
        "cpu_ms_per_request": round(1000 * cpu / found["requests"], 3),
        "raw": found,
        "command": shlex.join(command),
    }


def beside(name: str, subject: Result, limit: Result, **facts: Any) -> Result:
    """A measurement beside its limit."""
    ratio = round(subject["requests_per_second"] / limit["requests_per_second"], 3)
    figures = "{requests_per_second:>8} /s, p50 {p50_ms} ms, p99 {p99_ms} ms, CPU {cpu_ms_per_request} ms"
    say(f"{name}: {figures.format(**subject)}; limit {figures.format(**limit)}; ratio {ratio}")
    return {"name": name, **facts, "ratio": ratio, "subject": subject, "limit": limit}


@dataclass(frozen=True)
class Buyer:
    """A logged-in customer: the cookie and the token of their forms."""

    email: str
    cookie: str
    token: str


def application(server: Database) -> Flask:
    """The store inside this process, to arrange things with."""
    return create_app(environ=store_environment(server))


def make_people(app: Flask, number: int) -> list[str]:
    """Make accounts; return their addresses."""
    stamp = secrets.token_hex(4)
    emails = [f"buyer-{stamp}-{n}@bench.invalid" for n in range(number)]
    password_hash = hash_password(PASSWORD)
    with app.app_context():
        db.session.add_all(User(name="Buyer", email=email, password_hash=password_hash) for email in emails)
        db.session.commit()
    return emails


def log_in(server: Server, emails: Sequence[str]) -> list[Buyer]:
    """Log accounts in as a browser would.

    Raises:
        BenchError: one was refused.
    """

    def one(email: str) -> Buyer:
        with requests.Session() as session:
            form = {"csrf_token": token_of(session.get(f"{server.url}/login").text)}
            form |= {"email": email, "password": PASSWORD}
            answer = session.post(f"{server.url}/login", form, allow_redirects=False)
            if answer.status_code != 302:
                raise BenchError(f"log-in answers {answer.status_code}")
            token = token_of(session.get(f"{server.url}/purchases").text)
            return Buyer(email, f"session={session.cookies['session']}", token)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, emails))


def token_of(page: str) -> str:
    """The token of a page's form.

    Raises:
        BenchError: the page has none.
    """
    if not (found := TOKEN.search(page)):
        raise BenchError("no token in the page")
    return found[1]


# Results


def save(
    name: str, options: argparse.Namespace, results: list[Result], versions: Result | None = None, **facts: Any
) -> None:
    """Write ``results/<name>.json`` and, of what has a limit, the picture. Versions are by default the store's."""
    RESULTS.mkdir(exist_ok=True)
    report = {
        "benchmark": name,
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "options": vars(options),
        "machine": machine(),
        "versions": versions or store_versions(),
        **facts,
        "results": results,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    say(f"wrote {path.relative_to(ROOT)}")
    draw(name, [result for result in results if "limit" in result])


def machine() -> Result:
    """Where this was measured."""
    models = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": models[0] if models else platform.machine(),
        "memory_gb": round(total / 1024**3, 1),
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
    }


def store_versions() -> Result:
    """What this was measured with."""
    packages = ("Flask", "gunicorn", "Jinja2", "PyMySQL", "SQLAlchemy", "Werkzeug")
    found = {package: version(package) for package in packages}
    mysql = _run("docker", "run", "--rm", "--entrypoint", "mysqld", IMAGE, "--version").split("Ver ")[-1]
    return found | {
        "Python": platform.python_version(),
        "MySQL": mysql.split()[0],
        "commit": _run("git", "rev-parse", "--short", "HEAD").strip(),
    }


def draw(name: str, results: list[Result]) -> None:
    """Draw what was measured and its limit side by side, as SVG."""
    try:
        from matplotlib import rcParams
        from matplotlib.figure import Figure
    except ImportError:
        say("no picture: pip install -r bench/requirements.txt")
        return
    if not results:
        return
    # The same figures give the same file.
    rcParams["svg.hashsalt"] = name
    figure = Figure(figsize=(8, 1.2 + 0.6 * len(results)), layout="constrained")
    axes = figure.subplots()
    places = range(len(results))
    for offset, kind, colour in ((-0.2, "subject", "#1f6f54"), (0.2, "limit", "#b9b4a7")):
        bars = axes.barh(
            [place + offset for place in places],
            [result[kind]["requests_per_second"] for result in results],
            height=0.38,
            color=colour,
            label="store" if kind == "subject" else "limit",
        )
        labels = [f"{result[kind]['requests_per_second']:,.0f}" for result in results]
        if kind == "subject":
            labels = [f"{label} ({result['ratio']:.0%})" for label, result in zip(labels, results, strict=True)]
        axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.set_yticks(list(places), [result["name"] for result in results])
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlabel("a second")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    path = RESULTS / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    say(f"wrote {path.relative_to(ROOT)}")


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def need(*programs: str) -> None:
    """Check that programs are installed.

    Raises:
        BenchError: one is not.
    """
    for program in programs:
        if not shutil.which(program):
            raise BenchError(f"{program} is not installed: apt-get install {program}")


def _run(*command: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=ROOT, env=os.environ | (env or {}), capture_output=True, text=True)
    if done.returncode:
        raise BenchError(
            f"`{shlex.join(command[:6])}` ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}"
        )
    return done.stdout
