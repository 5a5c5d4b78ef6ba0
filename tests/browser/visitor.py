"""A visitor with a browser, who watches what the browser complains about."""

from __future__ import annotations

import io
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from PIL import Image
from playwright.sync_api import BrowserContext, ConsoleMessage, FilePayload, Locator, Page, Response, expect

from tests.browser.words import foreign_lines, translate

# Level AA of WCAG 2.2 and what it builds on.
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
LOCALES = {"en": "en-US", "es": "es-CO"}
AXE = Axe()
READ_TEXTS = """html => [
  document.title,
  ...document.body.innerText.split("\\n"),
  ...["aria-label", "placeholder", "alt", "title"].flatMap(name =>
    [...html.querySelectorAll(`[${name}]`)].map(element => element.getAttribute(name))),
]"""


@dataclass
class Person:
    """Who registers."""

    name: str
    email: str = field(default_factory=lambda: f"{secrets.token_hex(6)}@customers.example")
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))


class Visitor:
    """One person in front of one window.

    Attributes:
        page: the window's page.
        language: what the pages must be in.
        allowed_statuses: statuses of errors that the test provokes.
        complaints: what the browser or this watch found wrong; must stay empty.
    """

    def __init__(self, context: BrowserContext, url: str, language: str) -> None:
        self.context = context
        self.url = url
        self.language = language
        self.allowed_statuses: set[int] = set()
        self.complaints: list[str] = []
        context.set_default_timeout(5_000)
        context.on("request", lambda request: self._check_origin(request.url))
        context.on("response", self._check_status)
        context.on("console", self._check_console)
        context.on("weberror", lambda error: self.complaints.append(f"error: {error.error}"))
        self.page: Page = context.new_page()

    def _check_origin(self, url: str) -> None:
        if not url.startswith((f"{self.url}/", "data:")):
            self.complaints.append(f"request to another origin: {url}")

    def _check_status(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.allowed_statuses:
            self.complaints.append(f"{response.status} {response.request.method} {response.url}")

    def _check_console(self, message: ConsoleMessage) -> None:
        # Answers of 400 and more are written there too; _check_status judges those.
        if message.type in ("error", "warning") and "the server responded" not in message.text:
            self.complaints.append(f"console: {message.text}")

    def say(self, english: str, **values: object) -> str:
        """The store's sentence in this visitor's language."""
        return translate(english, self.language, **values)

    def go(self, path: str, heading: str | None = None) -> None:
        """Open a page by its address."""
        self.page.goto(self.url + path)
        if heading:
            self.see(heading)

    def see(self, heading: str) -> None:
        """Be on the page with this heading, all of it in the visitor's language."""
        expect(self.page.locator("h1")).to_have_text(self.say(heading))
        expect(self.page.locator("html")).to_have_attribute("lang", self.language)
        # The footer names each language in itself, and books have languages too.
        lines = [line for line in self.lines() if line not in ("English", "Español")]
        assert not foreign_lines(lines, self.language), f"on {self.page.url}"

    def lines(self) -> list[str]:
        """The lines of text on the page, and the names that only assistive technology tells."""
        texts: list[str] = self.page.locator("html").evaluate(READ_TEXTS)
        return [line.removesuffix(" · BookStore").strip() for line in texts if line.strip()]

    def told(self, english: str) -> None:
        """See this message above the page."""
        expect(self.page.get_by_role("status")).to_have_text(self.say(english))

    def press(self, english: str) -> None:
        """Press the button of the page's form."""
        self.page.get_by_role("main").get_by_role("button", name=self.say(english), exact=True).click()

    def follow(self, english: str, within: str = "main") -> None:
        """Follow the link in the main part of the page or in the ``banner``."""
        part: Any = within
        area = self.page.get_by_role(part)
        area.get_by_role("link", name=self.say(english), exact=True).first.click()

    def fill(self, **fields: str) -> None:
        """Fill in fields, each named by its English label, ``_`` for a space."""
        for name, value in fields.items():
            label = self.say(name.replace("_", " "))
            self.page.get_by_role("main").get_by_label(label, exact=True).fill(value)

    def field(self, english: str) -> Locator:
        """The input with this label."""
        return self.page.get_by_role("main").get_by_label(self.say(english), exact=True)

    def register(self, person: Person) -> None:
        """Make an account, from the header's button on."""
        self.go("/", "Books with a second life")
        self.follow("Register", "banner")
        self.see("Create an account")
        self.fill(Name=person.name, Password=person.password)
        self.field("E-mail address").fill(person.email)
        self.press("Register")
        self.see("Log in")
        self.told("Your account is ready. Please log in.")

    def log_in(self, person: Person) -> None:
        """Log in, on the page for it."""
        self.field("E-mail address").fill(person.email)
        self.fill(Password=person.password)
        self.press("Log in")
        self.see("Catalogue")
        expect(self.page.get_by_role("banner")).to_contain_text(person.name)

    def log_out(self) -> None:
        """Log out by the header's button."""
        banner = self.page.get_by_role("banner")
        banner.get_by_role("button", name=self.say("Log out")).click()
        self.see("Log in")
        self.told("You are logged out.")

    def sell(self, title: str, stock: int = 3) -> None:
        """Put a book on sale."""
        self.follow("Sell", "banner")
        self.see("Sell a book")
        self.fill(
            Title=title,
            Author="Laura Restrepo",
            Description="Primera edición.\n<b>Casi nueva.</b>",
            Price="45000.50",
            Copies_for_sale=str(stock),
        )
        self.press("Put on sale")
        self.see("Catalogue")
        self.told("Your book is on sale.")

    def add_cover(self) -> None:
        """Choose a picture in the form of a book and save it."""
        picture = io.BytesIO()
        Image.new("RGB", (300, 450), "darkslateblue").save(picture, "JPEG")
        file: FilePayload = {"name": "cover.jpg", "mimeType": "image/jpeg", "buffer": picture.getvalue()}
        self.field("Picture of the cover").set_input_files(file)
        self.press("Save")
        self.told("Your changes are saved.")

    def buy(self, title: str, quantity: int = 1) -> None:
        """Reserve copies of a book that the catalogue's first page shows."""
        self.go("/book/catalog", "Catalogue")
        card = self.page.get_by_role("article").filter(has=self.page.get_by_role("heading", name=title, exact=True))
        # Each button and field says which book it is for.
        copies, buy = card.get_by_role("spinbutton"), card.get_by_role("button")
        expect(copies).to_have_accessible_name(re.compile(f"{self.say('Quantity')} ?: {title}"))
        expect(buy).to_have_accessible_name(re.compile(f"{self.say('Buy')} ?: {title}"))
        copies.fill(str(quantity))
        buy.click()
        self.see("Payment")

    def pay(self, method: str = "Credit card (demonstration)") -> str:
        """Choose the first carrier and pay what is on the page; return the carrier's name."""
        option = self.page.locator(".choice").first
        option.get_by_role("radio").check()
        carrier = option.inner_text().split(",")[0].strip()
        self.page.get_by_label(self.say(method), exact=True).check()
        self.press("Order and pay")
        self.see("Delivery")
        return carrier

    def deliver(self) -> None:
        """Say where the parcel goes."""
        self.fill(Recipient="Tomás Carrasquilla", Address="Calle 10 # 5-51", City="Medellín")
        self.press("Confirm the delivery")
        self.told("Everything is arranged. Enjoy your reading!")

    def barriers(self) -> list[str]:
        """What on this page keeps people with disabilities out, as axe-core finds it."""
        options = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]}
        found = AXE.run(self.page, options=options).response["violations"]
        return [
            f"{rule['id']}: {rule['help']}: {node['target']} {node.get('failureSummary', '')}"
            for rule in found
            for node in rule["nodes"]
        ]

    def close(self) -> None:
        """Close the window."""
        self.context.close()
