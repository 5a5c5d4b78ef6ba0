"""Pages at growing catalogues, beside a bare page of 24 rows by key: ``python -m bench.pages``."""

from __future__ import annotations

import argparse
import secrets
import statistics
from urllib.parse import quote_plus

from bench.harness import (
    Database,
    Result,
    Shot,
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

MANY = 4_000


def addresses(server: Database) -> dict[str, list[str]]:
    """Pages to measure, by name; the words are those of a book in the middle, with the number of books they find.

    Some are one page again and again, as a shop window is; some are many pages, none of which comes back soon.
    """
    middle = server.query("SELECT MIN(id) + (MAX(id) - MIN(id)) DIV 2 FROM books")[0][0]
    book = server.query("SELECT MIN(id) FROM books WHERE id >= %s", middle)[0][0]
    counted = """SELECT term, (SELECT COUNT(*) FROM book_terms AS every WHERE every.term = one.term) AS books
        FROM book_terms AS one WHERE book_id = %s ORDER BY books"""
    words = [(term, number) for term, number in server.query(counted, book) if number > 1]
    (rare, few), (common, many) = words[0], words[-1]
    search = "/book/catalog?q="
    some = [key for (key,) in server.query("SELECT id FROM books ORDER BY RAND(1) LIMIT %s", MANY)]
    return {
        "catalogue": ["/book/catalog"],
        "catalogue, half way": [f"/book/catalog?after={encode_cursor(book)}"],
        "catalogue, many pages": [f"/book/catalog?after={encode_cursor(key)}" for key in some],
        f"search, {few:,} found": [search + quote_plus(rare)],
        f"search, {many:,} found": [search + quote_plus(common)],
        f"search, {many:,} found, by price": [f"{search}{quote_plus(common)}&sort=price"],
        "book page": [f"/book/{book}"],
        "book page, many books": [f"/book/{key}" for key in some],
    }


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
                for name, paths in addresses(server).items():
                    least = wrk(limit, options, "/page")
                    found = wrk(ours, options, shots=[Shot(path) for path in paths])
                    results.append(beside(f"{name}, {size:,} books", found, least, books=size, path=paths[0]))
                memory[str(size)] = {"store": ours.memory(), "bare": limit.memory()}
                say(f"memory of the workers: {memory[str(size)]}")
        metrics = cost_of_metrics(server, options)
    save("pages", options, results, memory=memory, metrics=metrics)


if __name__ == "__main__":
    main()
