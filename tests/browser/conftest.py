"""The store as it is deployed, under gunicorn, and Debian's Chromium in front of it."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, StorageState, ViewportSize, expect, sync_playwright

from tests.browser.chromium import MISSING, find
from tests.browser.visitor import LOCALES, Person, Visitor

ROOT = Path(__file__).parents[2]
# Chromium must ask the store and nobody else: no updates, no accounts, no first-run pages.
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# As long as the store takes them, without a space to break at: pages must hold these too.
LONG_TITLE = f"Super{'califragilistico' * 9}"
LONG_NAME = "B" * 100
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
OpenWindow = Callable[..., Visitor]
Look = Callable[..., Visitor]
# A colour half-way through its change is none that the page has.
STILL: dict[str, Any] = {"reduced_motion": "reduce"}


@dataclass(frozen=True)
class Store:
    """A running store."""

    url: str
    admin: Person


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    # A browser's absence fails: a test that was left out must never look like one that passed.
    path = find()
    if path is None:
        pytest.fail(MISSING, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    directory = tmp_path_factory.mktemp("store")
    (directory / "uploads").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    admin = Person("Adela", "adela@store.example")
    env = {name: value for name, value in os.environ.items() if not name.startswith("DB_")} | {
        "DATABASE_URL": f"sqlite:///{directory / 'store.sqlite'}",
        "SECRET_KEY": secrets.token_hex(32),
        "UPLOAD_FOLDER": str(directory / "uploads"),
        "SESSION_COOKIE_INSECURE": "1",
        "WEB_CONCURRENCY": "1",
        "PORT": str(port),
        "ADMIN_PASSWORD": admin.password,
        # All tests' people come from one address.
    }
    env.pop("BIND_HOST", None)

    def flask(*arguments: str) -> None:
        command = [sys.executable, "-m", "flask", "--app", "bookstore", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        if done.returncode:
            pytest.fail(f"flask {arguments[0]}: {done.stdout}{done.stderr}", pytrace=False)

    flask("db", "upgrade")
    flask("sample-data", "--books", "40")
    flask("create-admin", "--email", admin.email, "--name", admin.name)
    command = [sys.executable, "-m", "gunicorn", "-c", "bookstore/gunicorn.conf.py"]
    log = directory / "gunicorn.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "bookstore:create_app()"],
            cwd=ROOT,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/ready", process, log)
        yield Store(url, admin)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urlopen(url, timeout=2):
                return
        except URLError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the store does not start ({error}):\n{log.read_text()[-3000:]}")
            time.sleep(0.1)


@pytest.fixture(params=LOCALES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def open_window(chromium: Browser, store: Store) -> Iterator[OpenWindow]:
    """Open windows that share nothing; at the test's end no one may have complained."""
    visitors: list[Visitor] = []

    def open_one(language: str = "en", **options: Any) -> Visitor:
        context = chromium.new_context(locale=LOCALES[language], **STILL, **options)
        visitors.append(Visitor(context, store.url, language))
        return visitors[-1]

    yield open_one
    complaints = [line for visitor in visitors for line in visitor.complaints]
    for visitor in visitors:
        visitor.close()
    assert not complaints


@dataclass(frozen=True)
class Shop:
    """A shop with something on every page.

    Attributes:
        pages: address of each page by its name.
        sessions: the cookies of those who may see it: nobody's, a buyer's, an administrator's.
    """

    pages: dict[str, str]
    sessions: dict[str, StorageState]

    def state(self, page: str) -> StorageState:
        return self.sessions.get(page, self.sessions["buyer"])

    def window(self, open_window: OpenWindow, page: str, **options: Any) -> Visitor:
        """Open a window of its own on the page, as somebody who may see it."""
        visitor = open_window(storage_state=self.state(page), **options)
        visitor.go(self.pages[page])
        return visitor


PAGES = (
    "home",
    "catalogue",
    "search",
    "no result",
    "book",
    "seller",
    "login",
    "register",
    "sell form",
    "edit form",
    "my books",
    "payment",
    "delivery",
    "purchases",
    "purchase",
    "sales",
    "account",
    "change password",
    "delete account",
    "forgotten password",
    "report form",
    "admin",
    "users",
    "user",
    "listings",
    "reports",
    "audit log",
    "all purchases",
    "payments",
    "deliveries",
    "delivery services",
    "delivery service",
)
ADMIN_PAGES = PAGES[PAGES.index("admin") :]


@pytest.fixture(scope="package")
def shop(chromium: Browser, store: Store) -> Shop:
    def arrive(person: Person) -> Visitor:
        visitor = Visitor(chromium.new_context(locale="en-US", **STILL), store.url, "en")
        if person is not store.admin:
            visitor.register(person)
        visitor.go("/login", "Log in")
        visitor.log_in(person)
        return visitor

    selling = arrive(Person("Sol"))
    selling.sell(LONG_TITLE)
    selling.sell("Delirio", stock=9)
    selling.close()
    buying = arrive(Person(LONG_NAME))
    buying.sell("Hot sur")
    buying.follow("My books", "banner")
    edit = str(buying.page.get_by_role("main").get_by_role("link", name="Edit").first.get_attribute("href"))
    buying.page.goto(store.url + edit)
    buying.add_cover()
    buying.go("/book/catalog", "Catalogue")
    buying.page.get_by_role("link", name="Hot sur", exact=True).click()
    expect(buying.page.locator(".book img")).to_be_visible()
    book = buying.page.url.removeprefix(store.url)
    seller = str(buying.page.locator(".facts a[href^='/seller/']").get_attribute("href"))
    buying.buy(LONG_TITLE)
    payment = buying.page.url
    buying.buy("Delirio", quantity=2)
    buying.pay()
    delivery = buying.page.url
    buying.buy("Delirio")
    buying.pay()
    buying.deliver()
    bought = buying.page.url
    buying.go("/book/1/report", "Report this book")
    buying.page.get_by_label(buying.say("Something else"), exact=True).check()
    buying.fill(Details="Página 7\narrancada")
    buying.press("Send the report")
    buying.see("Catalogue")
    managing = arrive(store.admin)
    anonymous: StorageState = {"cookies": [], "origins": []}
    administrator = managing.context.storage_state()
    pages = {
        "home": "/",
        "catalogue": "/book/catalog",
        "search": "/book/catalog?q=laura+restrepo&in_stock=1&sort=title",
        "no result": "/book/catalog?q=nothing&language=fr&price_max=9",
        "book": book,
        "seller": seller,
        "login": "/login",
        "register": "/register",
        "sell form": "/book/add_book",
        "edit form": edit,
        "my books": "/book/my_books",
        "payment": payment.removeprefix(store.url),
        "delivery": delivery.removeprefix(store.url),
        "purchases": "/purchases",
        "purchase": bought.removeprefix(store.url),
        "sales": "/sales",
        "all purchases": "/admin/purchases",
        "payments": "/admin/payments",
        "deliveries": "/admin/deliveries",
        "delivery services": "/admin/providers",
        "delivery service": "/admin/providers/1",
        "account": "/account",
        "change password": "/account/password",
        "delete account": "/account/delete",
        "forgotten password": "/password/forgot",
        "report form": "/book/2/report",
        "admin": "/admin/",
        "users": "/admin/users",
        "user": "/admin/users/1",
        "listings": "/admin/books",
        "reports": "/admin/reports",
        "audit log": "/admin/audit",
    }
    sessions = {
        "buyer": buying.context.storage_state(),
        "login": anonymous,
        "register": anonymous,
        "forgotten password": anonymous,
        **dict.fromkeys(ADMIN_PAGES, administrator),
    }
    complaints = selling.complaints + buying.complaints + managing.complaints
    buying.close()
    managing.close()
    assert not complaints
    return Shop(pages, sessions)


@pytest.fixture(scope="package")
def windows(chromium: Browser, store: Store, shop: Shop) -> Iterator[dict[str, Visitor]]:
    """A window for each session, for tests that only look: a new window takes a second."""
    made = {
        name: Visitor(chromium.new_context(storage_state=state, **STILL), store.url, "en")
        for name, state in shop.sessions.items()
    }
    yield made
    for visitor in made.values():
        visitor.close()


@pytest.fixture
def look(windows: dict[str, Visitor], shop: Shop) -> Iterator[Look]:
    """Look at a page, as somebody who may see it, in a window that other tests used before."""
    used: list[Visitor] = []

    def look_at(page: str, language: str, viewport: ViewportSize = DESKTOP) -> Visitor:
        visitor = windows.get(page, windows["buyer"])
        used.append(visitor)
        visitor.page.emulate_media(color_scheme="light")
        visitor.page.set_viewport_size(viewport)
        visitor.language = language
        path = shop.pages[page]
        visitor.go(f"{path}{'&' if '?' in path else '?'}lang={language}")
        return visitor

    yield look_at
    complaints = [line for visitor in used for line in visitor.complaints]
    for visitor in used:
        visitor.complaints.clear()
    assert not complaints
