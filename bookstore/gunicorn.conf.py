"""Gunicorn's settings, sized from what the container may use.

``WEB_CONCURRENCY`` and ``GUNICORN_THREADS`` override the sizes, ``PORT`` and ``BIND_HOST``
the address.
"""

import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

# What a worker takes when busy, in bytes; measured, rounded up.
WORKER_MEMORY = 110 * 1024**2
CGROUP = Path("/sys/fs/cgroup")


def _read(*names: str) -> list[str]:
    for name in names:
        try:
            return (CGROUP / name).read_text().split()
        except OSError:
            continue
    return []


def available_cores() -> float:
    """Cores that this process may use: its affinity, or less by a cgroup's quota."""
    cores = float(len(os.sched_getaffinity(0)))
    quota = _read("cpu.max")
    if not quota:
        quota = _read("cpu/cpu.cfs_quota_us") + _read("cpu/cpu.cfs_period_us")
    if len(quota) == 2 and quota[0] not in ("max", "-1"):
        cores = min(cores, int(quota[0]) / int(quota[1]))
    return cores


def available_memory() -> int:
    """Bytes that this process may use: the machine's, or less by a cgroup's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read("memory.max", "memory/memory.limit_in_bytes")
    return min(total, int(limit[0])) if limit and limit[0] != "max" else total


def worker_count() -> int:
    """Two workers a core, as many as half of the memory holds, from one to twelve."""
    by_cores = max(2, round(2 * available_cores()))
    return max(1, min(by_cores, int(available_memory() * 0.5) // WORKER_MEMORY, 12))


# The image sets BIND_HOST; a process on a bare machine stays private.
bind = f"{os.environ.get('BIND_HOST') or '127.0.0.1'}:{os.environ.get('PORT') or 8000}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY") or worker_count())
threads = int(os.environ.get("GUNICORN_THREADS") or 4)
# Connections beyond the threads wait here instead of being refused.
worker_connections = 1000
# Longer than the proxy keeps idle connections (60 s): it must never send a request on one
# that is being closed at that moment.
keepalive = 75
timeout = 30
graceful_timeout = 30
max_requests = 20_000
max_requests_jitter = 2_000
# Workers show that they live by touching a file there; a disk could stall them.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
preload_app = True
control_socket_disable = True
logger_class = "bookstore.logs.GunicornLogger"
accesslog = "-"
errorlog = "-"

if os.environ.get("METRICS_TOKEN") and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    # Where the workers count; set before the application is imported, new at each start, kept at a reload.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="bookstore-metrics-", dir=worker_tmp_dir)


def when_ready(server: Any) -> None:
    """Before the workers are made: compile what each of them would compile at its first page."""
    from sqlalchemy.orm import configure_mappers

    configure_mappers()
    app = server.app.wsgi()
    for name in app.jinja_env.list_templates(["html"]):
        app.jinja_env.get_template(name)
    for language in ("es", "en"):
        # A page that asks no database; it loads the translations and the locale's data.
        app.test_client().get(f"/login?lang={language}")


def pre_fork(server: Any, worker: Any) -> None:
    """Give the worker the lowest number that no other one has: it names its files of figures."""
    taken = {other.number for other in server.WORKERS.values()}
    worker.number = next(number for number in itertools.count(1) if number not in taken)


def post_fork(server: Any, worker: Any) -> None:
    """Let no worker share the parent's database connections, nor its files of figures."""
    from bookstore import metrics

    metrics.worker = worker.number
    app = server.app.wsgi()
    with app.app_context():
        from bookstore.extensions import db

        db.engine.dispose(close=False)
    app.extensions["bookstore_probe"].engine.dispose(close=False)


def child_exit(server: Any, worker: Any) -> None:
    """Forget what a worker that ended was busy with; what it counted stays."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.number)


def on_exit(server: Any) -> None:
    """Leave no files behind."""
    if directory := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        shutil.rmtree(directory, ignore_errors=True)
