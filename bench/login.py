"""Log-ins a second, beside one bare check of the original store's hash: ``python -m bench.login``."""

from __future__ import annotations

from urllib.parse import urlencode

import requests

from bench.harness import (
    PASSWORD,
    BenchError,
    Server,
    Shot,
    application,
    arguments,
    bare,
    beside,
    database,
    flask,
    make_people,
    need,
    save,
    store,
    store_environment,
    token_of,
    wrk,
)

# As many that the limit on attempts at one account, which counts those under way, is not met.
PEOPLE = 64


def shots_for(server: Server, emails: list[str]) -> list[Shot]:
    """A stranger's log-in form, sent for each account in turn."""
    with requests.Session() as session:
        token = token_of(session.get(f"{server.url}/login").text)
        cookie = f"session={session.cookies['session']}"
    forms = ({"csrf_token": token, "email": email, "password": PASSWORD} for email in emails)
    return [Shot("/login", urlencode(form), cookie) for form in forms]


def main() -> None:
    """Measure and write ``results/login.json``."""
    options = arguments(__doc__).parse_args()
    need("wrk", "docker")
    with database() as server:
        environment = store_environment(server)
        flask(environment, "db", "upgrade")
        flask(environment, "sample-data", "--books", "40")
        emails = make_people(application(server), PEOPLE)
        with store(server, workers=options.workers) as ours, bare(server, workers=options.workers) as limit:
            least = wrk(limit, options, shots=[Shot("/login", urlencode({"password": PASSWORD}))])
            found = wrk(ours, options, shots=shots_for(ours, emails))
            memory = ours.memory()
        opened = server.query("SELECT COUNT(*) FROM user_sessions")[0][0]
        if opened < found["raw"]["requests"]:
            raise BenchError(f"{found['raw']['requests']} answers, but {opened} sessions")
    save("login", options, [beside("log-ins", found, least, sessions=opened)], memory=memory)


if __name__ == "__main__":
    main()
