"""AWS on this machine: moto with what it lacks, a log of every call, and a front door for smoke tests.

``python -m lab.emulator --port 5555``. Besides AWS's API it answers

- ``GET /_emulator/requests``: the calls since the last ``DELETE`` of it, as JSON;
- ``GET /_emulator/front/<target group>``: 200 and the store's health while every target is healthy, else 503.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import threading
from collections.abc import Callable, Iterable
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

# Read when moto is imported.
os.environ.setdefault("MOTO_ACM_VALIDATION_WAIT", "1")
os.environ.setdefault("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "1")
os.environ.setdefault("MOTO_ENABLE_AMI_VALIDATION", "1")
os.environ.setdefault("MOTO_ENABLE_KEYPAIR_VALIDATION", "1")

from botocore.loaders import Loader
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.elbv2.models import elbv2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

from lab import emulator_patches  # noqa: F401 (imported for what it changes)

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

READS = re.compile(r"(Batch)?(Describe|Get|List|Head|Search|Lookup|Simulate|Test|Check)")
# botocore's folders, where they are not the name that requests are signed for.
FOLDERS = {"elasticloadbalancing": "elbv2", "monitoring": "cloudwatch", "elasticfilesystem": "efs"}


class Recorder:
    """Passes requests on to moto and notes what they call."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.calls: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    def __call__(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if path == "/_emulator/requests":
            return self._log(method, start)
        if path.startswith("/_emulator/front/"):
            return front_door(path.rpartition("/")[2], start)
        call = recognize(environ)
        if not call:
            return self.application(environ, start)
        with self.lock:
            self.calls.append(call)

        def note(status: str, *rest: Any) -> Any:
            call["status"] = int(status.split()[0])
            return start(status, *rest)

        return self.application(environ, note)

    def _log(self, method: str, start: Callable[..., Any]) -> Iterable[bytes]:
        with self.lock:
            told = list(self.calls)
            if method == "DELETE":
                self.calls.clear()
        return answer(start, "200 OK", told)


def recognize(environ: Environ) -> dict[str, Any] | None:
    """The service and the operation that a signed request calls, or None for what is no call."""
    signed = re.search(r"Credential=[^/]+/\d+/([^/]*)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    if not signed:
        return None
    region, service = signed[1], signed[2]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    if length:
        environ["wsgi.input"] = BytesIO(body)
    operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    if not operation and "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        operation = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    operation = operation or rest_operation(service, environ)
    return {
        "service": service,
        "region": region,
        "operation": operation,
        "mutating": not READS.match(operation) and operation != "GetCallerIdentity",
    }


def rest_operation(service: str, environ: Environ) -> str:
    """An operation of a REST service, found by method and path in botocore's model of it; the longest that fits."""
    path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    for method, pattern, marker, name in rest_operations(FOLDERS.get(service, service)):
        if method == environ["REQUEST_METHOD"] and pattern.fullmatch(path) and (not marker or marker in query):
            return name
    return f"{environ['REQUEST_METHOD']} {path}"


@cache
def rest_operations(folder: str) -> list[tuple[str, re.Pattern[str], str, str]]:
    """Method, path, word of the query and name of each operation, the most particular first."""
    model = Loader().load_service_model(folder, "service-2")
    found = []
    for name, operation in model["operations"].items():
        uri, _, query = operation["http"]["requestUri"].partition("?")
        pattern = re.sub(r"\\\{[^}]*\\\}", lambda part: ".+" if part[0].endswith("+\\}") else "[^/]+", re.escape(uri))
        found.append((operation["http"]["method"], re.compile(pattern + "/?"), query.partition("&")[0], name))
    return sorted(found, key=lambda entry: (-len(entry[2]), -entry[1].pattern.count("/"), len(entry[1].pattern)))


def front_door(name: str, start: Callable[..., Any]) -> Iterable[bytes]:
    """What the load balancer would say for the store behind a target group: healthy if all its targets are."""
    for region in elbv2_backends[DEFAULT_ACCOUNT_ID].values():
        for group in region.target_groups.values():
            if group.name == name:
                states = [state.status for state in region.describe_target_health(group.arn, [])]
                if states and all(state == "healthy" for state in states):
                    return answer(start, "200 OK", {"status": "ok", "database": "ok", "targets": len(states)})
    return answer(start, "503 Service Unavailable", {"status": "unavailable"})


def answer(start: Callable[..., Any], status: str, content: Any) -> Iterable[bytes]:
    """Answer with JSON."""
    body = json.dumps(content).encode()
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def application() -> Recorder:
    """The emulator as a WSGI application."""
    return Recorder(DomainDispatcherApplication(create_backend_app))


def main() -> None:
    """Serve on this machine's loopback address, or on another one that hosts of a lab reach."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    os.environ.setdefault("MOTO_PORT", str(given.port))
    run_simple(given.host, given.port, application(), threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
