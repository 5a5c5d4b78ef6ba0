"""Figures for Prometheus: ``/metrics``, for whoever brings METRICS_TOKEN.

Gunicorn's workers count in files of PROMETHEUS_MULTIPROC_DIR, and the one that is asked adds them up. Without a token
nothing is counted. What became of purchases is read from the database, since a timer ends them, not a request.
"""

import hmac
import logging
import os
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import event, func, select
from sqlalchemy.exc import SQLAlchemyError

from .columns import utcnow
from .errors import NotFound
from .extensions import db
from .orders.models import Purchase, PurchaseStatus

log = logging.getLogger(__name__)
bp = Blueprint("metrics", __name__)
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
LATE = timedelta(hours=1)

# Which of gunicorn's workers this is. A worker's successor gets its number and goes on counting in its files, so that
# they do not pile up as they would by process id.
worker = 0
if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]


class Metrics:
    """What is counted while the application runs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "bookstore_requests",
            "Requests that were answered.",
            ["method", "endpoint", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "bookstore_request_seconds",
            "Time that answers took.",
            ["endpoint"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "bookstore_requests_in_flight",
            "Requests being worked on.",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self.connections = Gauge(
            "bookstore_database_connections_in_use",
            "Database connections that requests hold.",
            multiprocess_mode="livesum",
            registry=self.registry,
        )

    def watch(self, app: Flask) -> None:
        """Count the application's requests and its use of database connections."""
        app.before_request(self._begin)
        app.after_request(self._count)
        app.teardown_request(self._end)
        with app.app_context():
            event.listen(db.engine, "checkout", lambda *_: self.connections.inc())
            event.listen(db.engine, "checkin", lambda *_: self.connections.dec())

    def _begin(self) -> None:
        g.metrics_began = time.perf_counter()
        self.in_flight.inc()

    def _count(self, response: Response) -> Response:
        # The route's name: addresses are without number, and people's.
        endpoint = request.endpoint or "none"
        method = request.method if request.method in METHODS else "other"
        self.requests.labels(method, endpoint, str(response.status_code)).inc()
        self.seconds.labels(endpoint).observe(time.perf_counter() - g.metrics_began)
        return response

    def _end(self, error: BaseException | None) -> None:
        if g.pop("metrics_began", None) is not None:
            self.in_flight.dec()

    def text(self) -> bytes:
        """What this process counted, or all workers did."""
        registry = self.registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


class Facts(Collector):
    """What is looked up when asked for: the release, and how purchases fare."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield the figures; those of the database only while it answers."""
        build = GaugeMetricFamily("bookstore_build_info", "The release that runs.", labels=["release"])
        build.add_metric([current_app.config["RELEASE"]], 1)
        yield build
        try:
            yield from _purchases()
        except SQLAlchemyError as error:
            log.warning("metrics: database unavailable: %s", getattr(error, "orig", error))


def _purchases() -> list[GaugeMetricFamily]:
    now = utcnow()
    # Along an index in both cases, however many purchases there ever were.
    recent = (
        select(Purchase.status, func.count())
        .where(Purchase.status.in_(list(PurchaseStatus)), Purchase.reserved_until > now - timedelta(days=1))
        .group_by(Purchase.status)
    )
    late = select(func.count()).where(Purchase.status == PurchaseStatus.RESERVED, Purchase.reserved_until < now - LATE)
    # Not from the pool of the pages: it may be exhausted just when the figures matter.
    with current_app.extensions["bookstore_probe"].engine.connect() as connection:
        states: dict[str, int] = dict.fromkeys(PurchaseStatus, 0)
        states |= {status: number for status, number in connection.execute(recent)}
        overdue = connection.scalar(late)
    purchases = GaugeMetricFamily(
        "bookstore_purchases", "Purchases whose time to pay ended in the last day or later.", labels=["status"]
    )
    for status, number in states.items():
        purchases.add_metric([status], number)
    return [
        purchases,
        GaugeMetricFamily(
            "bookstore_reservations_overdue", "Reservations that no timer ended in the hour after their time.", overdue
        ),
    ]


def init_app(app: Flask) -> None:
    """Count, if somebody may ask for the figures."""
    if app.config["METRICS_TOKEN"]:
        app.extensions["bookstore_metrics"] = metrics = Metrics()
        metrics.watch(app)


@bp.get("/metrics")
def figures() -> Any:
    """The figures in Prometheus' text format.

    Raises:
        NotFound: the token is not set, or not the one that was brought.
    """
    expected = f"Bearer {current_app.config['METRICS_TOKEN']}"
    given = request.headers.get("Authorization", "")
    counted = current_app.extensions.get("bookstore_metrics")
    if counted is None or not hmac.compare_digest(given.encode(), expected.encode()):
        raise NotFound
    looked_up = CollectorRegistry()
    looked_up.register(Facts())
    headers = {"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
    return counted.text() + generate_latest(looked_up), headers
