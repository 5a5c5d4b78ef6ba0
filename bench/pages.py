"""Pages at growing catalogues, beside a bare page of 24 rows by key: ``python -m bench.pages``."""

from __future__ import annotations

import argparse
import secrets
import statistics
from urllib.parse import quote_plus

import requests

from bench.harness import (
    BenchError,
    Database,
    Result,
    Server,
    arguments,
    bare,
    beside,
    database,
    flask,
    need,
    save,
    say,
    store,
    store_environment,
    wrk,
)
from bookstore.pagination import encode_cursor


def addresses(server: Database, search: str, common: str, rare: str) -> dict[str, str]:
    """Pages to measure, by name."""
    middle = server.query("SELECT MIN(id) + (MAX(id) - MIN(id)) DIV 2 FROM books")[0][0]
    return {
        "catalogue": "/book/catalog",
        "catalogue, half way": f"/book/catalog?after={encode_cursor(middle)}",
        f"search, common word ({common})": search.format(quote_plus(common)),
        f"search, rare word ({rare})": search.format(quote_plus(rare)),
        "book page": f"/book/{middle}",
    }


def answers(server: Server, path: str) -> bool:
    """Whether the store has this page.

    Raises:
        BenchError: it answers neither 200 nor 404.
    """
    status = requests.get(server.url + path, timeout=30).status_code
    if status not in (200, 404):
        raise BenchError(f"{path} answers {status}")
    return bool(status == 200)


def cost_of_metrics(server: Database, options: argparse.Namespace) -> Result:
    """The catalogue with and without figures for Prometheus, in turn; medians of the rounds' ratios."""
    rounds = []
    with (
        store(server, workers=options.workers) as plain,
        store(server, workers=options.workers, METRICS_TOKEN=secrets.token_hex(16)) as counting,
    ):
        for _ in range(5):
            without, counted = (wrk(one, options, "/book/catalog") for one in (plain, counting))
            rounds.append(beside("catalogue with metrics", counted, without))
    cpu = [each["limit"]["cpu_ms_per_request"] / each["subject"]["cpu_ms_per_request"] for each in rounds]
    ratios = {
        "ratio": statistics.median(each["ratio"] for each in rounds),
        "cpu_ratio": round(statistics.median(cpu), 3),
    }
    say(f"the catalogue with metrics: {ratios}")
    return ratios | {"rounds": rounds}


def main() -> None:
    """Measure and write ``results/pages.json``."""
    parser = arguments(__doc__)
    parser.add_argument("--books", type=int, nargs="+", default=[1_000, 100_000], help="sizes of the catalogue")
    parser.add_argument("--search", default="/book/catalog?q={}", help="address of the search page")
    parser.add_argument("--common", default="cartas", help="word of many titles")
    parser.add_argument("--rare", default="quijote", help="word of few titles")
    options = parser.parse_args()
    need("wrk", "docker")
    results: list[Result] = []
    memory: Result = {}
    with database() as server:
        environment = store_environment(server)
        flask(environment, "db", "upgrade")
        for size in sorted(options.books):
            say(f"{size:,} books")
            flask(environment, "sample-data", "--books", str(size))
            server.query("ANALYZE TABLE books, book_terms, users")
            with store(server, workers=options.workers) as ours, bare(server, workers=options.workers) as limit:
                for name, path in addresses(server, options.search, options.common, options.rare).items():
                    if not answers(ours, path):
                        say(f"{name}: no such page")
                        continue
                    least = wrk(limit, options, "/page")
                    found = wrk(ours, options, path)
                    results.append(beside(f"{name}, {size:,} books", found, least, books=size, path=path))
                memory[str(size)] = {"store": ours.memory(), "bare": limit.memory()}
                say(f"memory of the workers: {memory[str(size)]}")
        metrics = cost_of_metrics(server, options)
    save("pages", options, results, memory=memory, metrics=metrics)


if __name__ == "__main__":
    main()
