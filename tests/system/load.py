"""Customers who read the catalogue, and count what went wrong: ``python -m tests.system.load``.

Prints one JSON object: customers, requests, failed (no answer, or not 200), sent_again, and the slowest hundredth in
milliseconds.

A proxy that is reloaded closes the connections that are idle, and a request may already be on its way through one: a
browser sends it again (RFC 9112, section 9.3.1), and so do these customers, once and only where the connection had
served before.
"""

from __future__ import annotations

import argparse
import json
import secrets
import threading
import time

import requests

from tests.system.names import send_to

CUSTOMERS = 4
# A browser comes with a new connection now and then; those are what a careless release loses.
REQUESTS_PER_CONNECTION = 20
PAUSE_SECONDS = 0.02


def visit(
    url: str, verify: str | bool, deadline: float, seconds: list[float], failures: list[str], again: list[str]
) -> None:
    """Read the catalogue until the deadline."""
    while time.monotonic() < deadline:
        with requests.Session() as session:
            session.verify, session.trust_env = verify, False
            for number in range(REQUESTS_PER_CONNECTION):
                began = time.monotonic()
                try:
                    # An address of its own: the proxy keeps pages, and the release behind it is what is looked at.
                    address = f"{url}/book/catalog?visit={secrets.token_hex(8)}"
                    try:
                        status = session.get(address, timeout=10).status_code
                    except requests.ConnectionError as error:
                        if number == 0:
                            raise
                        again.append(type(error).__name__)
                        status = session.get(address, timeout=10).status_code
                    if status != 200:
                        failures.append(str(status))
                except requests.RequestException as error:
                    failures.append(type(error).__name__)
                seconds.append(time.monotonic() - began)
                time.sleep(PAUSE_SECONDS)


def main() -> None:
    """Send customers for a while and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--ca")
    parser.add_argument("--address")
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    if options.address:
        send_to(options.url, options.address)
    seconds: list[float] = []
    failures: list[str] = []
    again: list[str] = []
    deadline = time.monotonic() + options.seconds
    customers = [
        threading.Thread(target=visit, args=(options.url, options.ca or True, deadline, seconds, failures, again))
        for _ in range(CUSTOMERS)
    ]
    for customer in customers:
        customer.start()
    for customer in customers:
        customer.join()
    slowest = sorted(seconds)[int(len(seconds) * 0.99)] if seconds else 0.0
    print(
        json.dumps(
            {
                "customers": CUSTOMERS,
                "requests": len(seconds),
                "failed": len(failures),
                "failures": sorted(set(failures)),
                "sent_again": len(again),
                "p99_ms": round(slowest * 1000),
            }
        )
    )


if __name__ == "__main__":
    main()
