"""Junk for every route: nothing breaks, nobody sees what is others', no redirect leads away.

Routes are found in the application, names and values of fields in its pages, so new ones are met by themselves.
FUZZ_REQUESTS and FUZZ_SEED make it longer and different: ``make fuzz``.
"""

import io
import os
import random
import re
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from urllib.parse import quote, urlsplit

import pytest
from sqlalchemy import select

from bookstore.accounts.models import User
from bookstore.admin.models import AuditEntry, Report
from bookstore.catalog.models import Book
from bookstore.columns import utcnow
from bookstore.extensions import db
from bookstore.orders.models import Purchase
from bookstore.payments.models import Payment
from bookstore.shipping.models import Delivery, DeliveryProvider

from .conftest import PASSWORD, TOKEN

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "600"))
SEED = int(os.environ.get("FUZZ_SEED", "20260101"))
# Stands in every private row of somebody else.
PRIVATE = "zqxprivate"
MODELS = (User, Book, Purchase, Payment, Delivery, Report)
SCRIPT = "<b id=zqxscript>\"'"
NAMES = [
    "after",
    "amount",
    "before",
    "category",
    "email",
    "lang",
    "next",
    "page",
    "password",
    "price",
    "q",
    "quantity",
    "sort",
]
VALUES = [
    "", " ", "0", "1", "2", "-1", "1.5", "25000", "1e309", "nan", "Infinity", "9" * 19, "9" * 400, "true", "null", "[]",
    "\x00", "a\x00b", "\r\nX-Evil: 1", "\u202e", "ñ 📚 漢字", "İ", "\ud800", "a" * 10_000, "%", "%00", "%s%n", "{{7*7}}",
    "' OR 1=1 -- ", "\\", "*", "+-~<>()\"", "c++", "../../etc/passwd", "//evil.example", "https://evil.example/",
    "/\\evil.example", "javascript:alert(1)", "mailto:x@evil.example", "x@y.example", "2026-02-30", "Paypal", "DHL",
    "en", "es", "xx", "newest", "9780306406157", "azE", "azk5OQ", "____", PASSWORD, SCRIPT,
]  # fmt: skip
PATHS = [
    "0",
    "-1",
    "00",
    "1e3",
    "2147483647",
    "2147483648",
    "9" * 30,
    "x",
    "%00",
    "%ff",
    "%2e%2e%2f",
    "ñ",
    ".",
    "a" * 300,
]
HEADERS = {
    "Accept": ["application/json", "*/*", "text/html;q=nan", "x" * 500, ""],
    "Accept-Language": ["en", "es-CO,es;q=0.9", "x;q=9", "*", "en;q=", ",,,", "\xff", "zh" * 300],
    "Authorization": ["Bearer x", "Basic Og==", "Basic \xff", "Digest"],
    "Content-Type": ["application/json", "text/plain", "multipart/form-data", "multipart/form-data; boundary=", "x"],
    "Cookie": ["session=x", "__Host-session=.x.y", "lang=xx", "=", "remember_token=1|x", ";" * 50],
    "If-Modified-Since": ["x", "Thu, 01 Jan 1970 00:00:00 GMT"],
    "If-None-Match": ['"x"', "*", 'W/"'],
    "Origin": ["https://evil.example", "null", "https://store.example", "https://[", ""],
    "Range": ["bytes=0-1", "bytes=9-1", "bytes=-", "x"],
    "Referer": ["https://evil.example/", "x"],
    "Sec-Fetch-Site": ["cross-site", "same-origin", "none", "x"],
    "X-Forwarded-For": ["1.2.3.4", "x", "::1"],
    "X-Request-ID": ["x", "a" * 65, "abcdefgh\xff"],
}
FIELD = re.compile(r'<(?:input|select|textarea|button)\b[^>]*?\bname="([^"]+)"')
OFFERED = re.compile(r'<(?:input|option|button)\b[^>]*?\bvalue="([^"]{1,80})"')


@pytest.fixture
def scene(app, make):
    """Two people between whom things happened that are nobody else's; returns a visitor's account and the ids."""
    seller, buyer = make.user(email=f"{PRIVATE}-seller@example.com"), make.user(email=f"{PRIVATE}-buyer@example.com")
    visitor = make.user()
    sold = make.book(seller, title=f"{PRIVATE} title", status="archived")
    with app.app_context():
        provider = db.session.scalars(select(DeliveryProvider)).first()
        for status, payment, delivery in (
            ("reserved", None, None),
            ("placed", "pending", "pending"),
            ("paid", "completed", "shipped"),
        ):
            row = Purchase(buyer_id=buyer.id, book_id=sold.id, quantity=1, unit_price=30, total=30, status=status)
            row.reserved_until = utcnow() + timedelta(days=1)
            db.session.add(row)
            db.session.flush()
            if payment:
                reference = f"{PRIVATE}-{status}"
                db.session.add(
                    Payment(purchase_id=row.id, method="Paypal", amount=30, status=payment, reference=reference)
                )
            if delivery:
                address = dict.fromkeys(("recipient", "address", "city", "phone", "tracking_number"), PRIVATE)
                db.session.add(
                    Delivery(purchase_id=row.id, provider_id=provider.id, cost=1, status=delivery, **address)
                )
        listed = make.book(seller)
        db.session.add(Report(book_id=listed.id, reporter_id=buyer.id, reason="other", details=PRIVATE))
        db.session.add(AuditEntry(actor_id=seller.id, action=PRIVATE, target=PRIVATE, details=PRIVATE))
        db.session.commit()
    for book_owner in (seller, visitor):
        make.book(book_owner, stock=1000, price=Decimal(12))
    with app.app_context():
        ids = {key for model in MODELS for key in db.session.scalars(select(model.id))}
    return visitor, sorted(ids)


class Fuzzer:
    """Sends junk as one visitor, and judges the answers."""

    def __init__(self, app, visitor, seed, ids, may_see_all):
        self.random = random.Random(seed)
        self.visitor = visitor
        self.ids = ids
        self.may_see_all = may_see_all
        self.names, self.values = set(NAMES), set(VALUES)
        self.statuses = Counter()
        self.rules = [(rule, method) for rule in app.url_map.iter_rules() for method in sorted(rule.methods)]

    def run(self, number):
        turns = []
        for _ in range(number):
            turns = turns or self.random.sample(self.rules, len(self.rules))
            self.shoot(*turns.pop())

    def shoot(self, rule, method):
        path = re.sub(r"<[^>]+>", lambda _: self.part(), rule.rule) + self.query()
        if self.random.random() < 0.05:
            method = self.random.choice(["PUT", "DELETE", "PATCH", "TRACE", "BREW"])
        options = {"method": method, "headers": self.headers()}
        if method not in ("GET", "HEAD", "OPTIONS"):
            options |= self.body()
        response = self.visitor.client.open(path, **self.visitor._with(dict(options)))
        self.judge(response, f"{method} {path[:300]} {str(options)[:1500]}")

    def judge(self, response, what):
        text = response.get_data(as_text=True) if not response.mimetype.startswith("image/") else ""
        self.statuses[response.status_code] += 1
        assert response.status_code < 500, f"{response.status_code} for {what}"
        assert response.mimetype != "text/html" or "zqxscript>" not in text, f"unescaped in the page for {what}"
        seen = text + str(response.headers)
        assert self.may_see_all or PRIVATE not in seen, f"others' data in the page for {what}"
        target = urlsplit(response.headers.get("Location", ""))
        assert target.netloc in ("", "store.example"), f"away to {target.geturl()} for {what}"
        assert not target.path.startswith(("//", "/\\")), f"away to {target.geturl()} for {what}"
        self.learn(text)

    def learn(self, page):
        self.names.update(FIELD.findall(page))
        self.values.update(value for value in OFFERED.findall(page) if len(self.values) < 400)
        if found := TOKEN.search(page):
            self.visitor.token = found[1]

    def part(self):
        return str(self.random.choice(self.ids)) if self.random.random() < 0.8 else self.random.choice(PATHS)

    def value(self):
        return self.random.choice(sorted(self.values))

    def text(self):
        # The test client cannot send half of a character in a form.
        return self.value().encode(errors="replace").decode()

    def name(self):
        return self.random.choice(sorted(self.names))

    def query(self):
        if self.random.random() < 0.5:
            return ""
        pairs = [(self.name(), self.value()) for _ in range(self.random.randint(1, 4))]
        junk = self.random.choice(["", "", "", "&%ff=%fe", "&&==", "&a[]=1"])
        return "?" + "&".join(f"{quote(k)}={quote(v, errors='surrogatepass')}" for k, v in pairs) + junk

    def headers(self):
        chosen = self.random.sample(sorted(HEADERS), self.random.choice([0, 0, 1, 2]))
        return {name: self.random.choice(HEADERS[name]) for name in chosen}

    def body(self):
        kind = self.random.random()
        if kind < 0.05:
            return {"json": {self.name(): self.text(), "x": [None, 1e9]}}
        if kind < 0.1:
            return {"data": self.random.randbytes(200), "content_type": "multipart/form-data; boundary=x"}
        # Most forms are whole, with one junk value in many: more gets past the first check.
        form = {name: self.text() for name in sorted(self.names) if self.random.random() < 0.8}
        form["csrf_token"] = self.visitor.token if self.random.random() < 0.95 else self.text()
        if self.random.random() < 0.1:
            form[self.name()] = (io.BytesIO(self.random.randbytes(300)), self.random.choice(["x.png", "../x", ""]))
        return {"data": form}


@pytest.mark.parametrize("who", ["anonymous", "user", "admin"])
def test_junk_for_every_route(app, browser, scene, make, who):
    account, ids = scene
    account = {"anonymous": None, "user": account, "admin": make.admin()}[who]
    visitor = browser(account)
    if account is None:
        visitor.get("/login")
    fuzzer = Fuzzer(app, visitor, f"{SEED} {who}", ids, who == "admin")
    share = 20
    for _ in range(0, REQUESTS // 3, share):
        fuzzer.run(share)
        if account and visitor.get("/purchases").status_code != 200:
            # It logged itself out.
            visitor.token = ""
            visitor.log_in(account)
    # The junk got further than the door.
    assert fuzzer.statuses[200] > REQUESTS // 60
    assert fuzzer.statuses[302] > 0
