"""Purchases: their rate, fairness when all want one book, and a database that dies: ``python -m bench.purchases``.

The rate is beside a bare Flask application that takes a copy and writes down the sale in one transaction, in the same
tables, with the same workers.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import requests

from bench.harness import (
    BenchError,
    Buyer,
    Database,
    Result,
    Server,
    Shot,
    application,
    arguments,
    bare,
    beside,
    database,
    flask,
    log_in,
    make_people,
    need,
    save,
    say,
    store,
    store_environment,
    wrk,
)

BOOKS = 1_000
BUYERS = 200
COPIES = 50
CROWD_RUNS = 10
DOWN_SECONDS = 3
SHOPPERS = 16
SHOTS = 4_000


def rates(
    server: Database, ours: Server, limit: Server, buyers: Sequence[Buyer], options: argparse.Namespace
) -> list[Result]:
    """Buy all over the shelves, then one book, each beside its limit.

    Raises:
        BenchError: a purchase that was acknowledged is not there.
    """
    books = [row[0] for row in server.query("SELECT id FROM books")]
    server.query("UPDATE books SET stock = 1000000")
    buyer_id = server.query("SELECT MAX(id) FROM users")[0][0]
    results = []
    for name, wanted in (("spread over 1,000 books", books), ("one book", books[:1])):
        choice = [(buyers[n % len(buyers)], wanted[n % len(wanted)]) for n in range(SHOTS)]
        forget(server)
        least = wrk(limit, options, shots=[Shot(f"/buy/{book}", f"buyer={buyer_id}") for _, book in choice])
        before = server.query("SELECT COUNT(*) FROM purchases")[0][0]
        shots = [Shot(f"/buy/{book}", f"quantity=1&csrf_token={buyer.token}", buyer.cookie) for buyer, book in choice]
        found = wrk(ours, options, shots=shots)
        made = server.query("SELECT COUNT(*) FROM purchases")[0][0] - before
        if made < found["raw"]["requests"]:
            raise BenchError(f"{found['raw']['requests']} purchases acknowledged, {made} made")
        results.append(beside(f"purchases, {name}", found, least, made=made))
    return results


def forget(server: Database) -> None:
    """Delete the purchases: a buyer may hold only so many that are not paid for."""
    server.query("DELETE FROM purchase_events")
    server.query("DELETE FROM purchases")


def buy(server: Server, buyer: Buyer, book: int) -> requests.Response:
    """Send the form that buys one copy."""
    return requests.post(
        f"{server.url}/buy/{book}",
        {"quantity": "1", "csrf_token": buyer.token},
        headers={"Cookie": buyer.cookie},
        allow_redirects=False,
        timeout=60,
    )


def crowd(server: Database, ours: Server, buyers: Sequence[Buyer]) -> Result:
    """Two hundred at once want one of fifty copies.

    Raises:
        BenchError: other than fifty were sold.
    """
    book = server.query("SELECT MIN(id) FROM books")[0][0]
    forget(server)
    server.query("UPDATE books SET stock = %s WHERE id = %s", COPIES, book)
    gate = threading.Barrier(len(buyers) + 1)

    def one(buyer: Buyer) -> int:
        gate.wait()
        return int(buy(ours, buyer, book).status_code)

    with ThreadPoolExecutor(len(buyers)) as pool:
        answers = [pool.submit(one, buyer) for buyer in buyers]
        gate.wait()
        began = time.monotonic()
        statuses = Counter(answer.result() for answer in answers)
    seconds = time.monotonic() - began
    sold = int(server.query("SELECT COALESCE(SUM(quantity), 0) FROM purchases WHERE book_id = %s", book)[0][0])
    left = server.query("SELECT stock FROM books WHERE id = %s", book)[0][0]
    result = {"sold": sold, "left": left, "answers": dict(statuses), "seconds": round(seconds, 2)}
    if (sold, left, statuses[302]) != (COPIES, 0, COPIES) or set(statuses) - {302, 400, 409}:
        raise BenchError(f"a crowd of {len(buyers)} for {COPIES} copies: {result}")
    return result


def death(server: Database, ours: Server, buyers: Sequence[Buyer]) -> Result:
    """Kill the database in mid-load and bring it back.

    Raises:
        BenchError: an acknowledged purchase is lost, or the store does not recover.
    """
    books = [row[0] for row in server.query("SELECT id FROM books")]
    server.query("UPDATE books SET stock = 1000000")
    acknowledged: list[tuple[float, int]] = []
    refused: Counter[int] = Counter()
    over = threading.Event()

    def shop(number: int) -> None:
        turn = number
        while not over.is_set():
            answer = buy(ours, buyers[turn % len(buyers)], books[turn % len(books)])
            turn += SHOPPERS
            if answer.status_code == 302:
                acknowledged.append((time.monotonic(), int(answer.headers["Location"].rsplit("/", 1)[1])))
            else:
                refused[answer.status_code] += 1
                time.sleep(0.05)

    with ThreadPoolExecutor(SHOPPERS) as pool:
        shoppers = [pool.submit(shop, number) for number in range(SHOPPERS)]
        try:
            time.sleep(3)
            server.kill()
            killed = time.monotonic()
            time.sleep(DOWN_SECONDS)
            server.start()
            server.wait()
            back = time.monotonic()
            time.sleep(5)
        finally:
            over.set()
        for shopper in shoppers:
            shopper.result()
    after = [moment for moment, _ in acknowledged if moment > killed + DOWN_SECONDS]
    present = {row[0] for row in server.query("SELECT id FROM purchases")}
    lost = [purchase for _, purchase in acknowledged if purchase not in present]
    result = {
        "acknowledged_before": len(acknowledged) - len(after),
        "acknowledged_after": len(after),
        "lost": len(lost),
        "refused": dict(refused),
        "down_seconds": round(back - killed, 2),
        # From the moment that MySQL took connections; below zero when the store was first.
        "recovery_seconds": round(min(after) - back, 2) if after else None,
    }
    if lost or not after or set(refused) - {503}:
        raise BenchError(f"a database that dies: {result}")
    return result


def main() -> None:
    """Measure and write ``results/purchases.json``."""
    options = arguments(__doc__).parse_args()
    need("wrk", "docker")
    with database() as server:
        environment = store_environment(server)
        flask(environment, "db", "upgrade")
        flask(environment, "sample-data", "--books", str(BOOKS))
        # The newest of them buys where nobody logs in.
        emails = make_people(application(server), BUYERS + 1)[:BUYERS]
        with store(server, workers=options.workers) as ours:
            buyers = log_in(ours, emails)
            say(f"{len(buyers)} buyers are logged in")
            with bare(server, workers=options.workers) as limit:
                results = rates(server, ours, limit, buyers, options)
            memory = ours.memory()
            crowds = [crowd(server, ours, buyers) for _ in range(CROWD_RUNS)]
            say(f"{BUYERS} buyers of {COPIES} copies, {CROWD_RUNS} times: exactly {COPIES} sold each time")
            killed = death(server, ours, buyers)
            say(f"kill -9 of MySQL: {killed}")
        integrity = flask(environment, "check-integrity").splitlines()[-1]
        say(integrity)
    save("purchases", options, results, memory=memory, crowds=crowds, killed_database=killed, integrity=integrity)


if __name__ == "__main__":
    main()
