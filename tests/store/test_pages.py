"""What every page has in common: headers, languages, few queries, friendly errors."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from flask_babel import force_locale
from flask_wtf.csrf import generate_csrf
from sqlalchemy.exc import OperationalError

import bookstore
from bookstore import assets, i18n, web
from bookstore.accounts.models import User
from bookstore.catalog import views as catalog
from bookstore.extensions import db
from bookstore.orders.models import Purchase

from .conftest import purchase_of

PACKAGE = Path(bookstore.__file__).parent
PO = PACKAGE / "translations/es/LC_MESSAGES/messages.po"


@pytest.fixture
def every_page(make, browser):
    """One (path, status, text, response) of each page, by language."""

    def visit(language):
        seller, admin = make.user(), make.admin()
        make.book(seller, stock=0)
        book = make.book(seller)
        buyer = browser(admin, language)
        unpaid = purchase_of(buyer.post(f"/buy/{book.id}", {"quantity": "1"}))
        paid = purchase_of(buyer.post(f"/buy/{book.id}", {"quantity": "1"}))
        buyer.post(f"/payment/{paid}", {"method": "Paypal"})
        done = purchase_of(buyer.post(f"/buy/{book.id}", {"quantity": "1"}))
        buyer.post(f"/payment/{done}", {"method": "Paypal"})
        buyer.post(f"/delivery/{done}", {"provider": "DHL"})
        own = browser(seller, language)
        anonymous = browser(language=language)
        visits = [
            (anonymous, path)
            for path in ("/", "/book/catalog", "/login", "/register", "/password/forgot", "/password/reset", "/nothing")
        ]
        visits += [
            (anonymous, path)
            for path in (f"/book/{book.id}", f"/seller/{seller.id}", "/book/catalog?q=room&in_stock=1&sort=price",
                         "/book/catalog?q=nothing&price_max=5", "/book/catalog?price_min=x", "/book/999999")
        ]  # fmt: skip
        visits += [
            (own, f"/book/edit_book/{book.id}"),
            (own, "/book/my_books"),
            (own, "/book/catalog"),
            (own, f"/book/{book.id}"),
        ]
        reported = make.book()
        yield "junk report", own.post(f"/book/{reported.id}/report", {})
        own.post(f"/book/{reported.id}/report", {"reason": "other", "details": "Torn.\nReally."})
        buyer.post(f"/admin/users/{seller.id}/role", {"role": "support"})
        visits += [
            (buyer, path)
            for path in ("/", "/book/catalog", "/book/add_book", "/book/my_books", "/purchases",
                         f"/book/{book.id}", "/admin/users", f"/payment/{unpaid}", f"/delivery/{paid}", f"/payment/{paid}",
                         "/logout", "/buy/1", "/account", "/account/name", "/account/email", "/account/password",
                         "/account/delete", "/admin/", "/admin/books", "/admin/reports", "/admin/audit",
                         f"/admin/users/{seller.id}", f"/admin/users/{admin.id}", f"/book/{reported.id}/report")
        ]  # fmt: skip
        for visitor, path in visits:
            yield path, visitor.get(path)
        yield "junk book", own.post("/book/add_book", {"price": "x"})
        yield "junk registration", anonymous.post("/register", {"email": "x"})
        yield (
            "wrong password",
            anonymous.post("/login", {"email": "x@example.com", "password": "x"}),
        )

    return visit


class Auditor(HTMLParser):
    """Collects what the CSP forbids, and mistakes that make a page hard to use."""

    def __init__(self):
        super().__init__()
        self.faults, self.ids, self.labels, self.inputs, self.headings = [], [], [], [], []
        self.inside_label = 0

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if "style" in values or tag == "style" or any(name.startswith("on") for name in values):
            self.faults.append(f"inline style or handler in {tag}")
        if tag == "script" and "src" not in values:
            self.faults.append("inline script")
        for name in ("src", "href", "action"):
            target = values.get(name) or ""
            if re.match(r"[a-z]+:|//", target):
                self.faults.append(f"foreign address {target}")
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "label":
            self.inside_label += 1
            self.labels.append(values.get("for"))
        if tag in ("input", "textarea", "select") and values.get("type") not in (
            "hidden",
            "submit",
        ):
            self.inputs.append(values.get("id") if not self.inside_label else None)
        if tag in ("h1", "h2", "h3"):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        self.inside_label -= tag == "label"


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_page(every_page, language):
    for path, response in every_page(language):
        page = response.text
        assert response.status_code < 500, path
        assert f'<html lang="{language}">' in page, path
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for header in ("X-Content-Type-Options", "Referrer-Policy", "Permissions-Policy",
                       "Cross-Origin-Opener-Policy", "X-Request-ID"):  # fmt: skip
            assert response.headers[header], path
        auditor = Auditor()
        auditor.feed(page)
        assert auditor.faults == [], path
        assert len(auditor.ids) == len(set(auditor.ids)), path
        assert all(name is None or name in auditor.labels for name in auditor.inputs), path
        assert auditor.headings.count(1) == 1, path
        assert all(b - a <= 1 for a, b in zip(auditor.headings, auditor.headings[1:], strict=False)), path
        assert "%(" not in page


def test_pages_differ_by_language(every_page, browser):
    english = browser(language="en").get("/").text
    spanish = browser(language="es").get("/").text
    assert "Books with a second life" in english
    assert "Libros con una segunda vida" in spanish


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("es-CO,en;q=0.5", "es"),
        ("en-GB", "en"),
        ("de", "es"),
        ("", "es"),
        ("*", "es"),
        ("x;q=é", "es"),
    ],
)
def test_language_by_the_browsers_wish(browser, header, language):
    response = browser(language=header).get("/")
    assert f'<html lang="{language}">' in response.text
    assert "Accept-Language" in response.headers["Vary"]


def test_language_switch_is_remembered(browser):
    visitor = browser(language="en")
    page = visitor.get("/book/catalog")
    assert 'href="/book/catalog?lang=es"' in page.text
    page = visitor.get("/book/catalog?lang=es")
    assert '<html lang="es">' in page.text
    for part in ("lang=es", "Secure", "HttpOnly", "SameSite=Lax"):
        assert part in page.headers["Set-Cookie"]
    assert '<html lang="es">' in visitor.get("/").text
    assert "Set-Cookie" not in visitor.get("/?lang=xx").headers


def test_language_switch_survives_odd_arguments(browser):
    for query in ("_external=1&_scheme=evil", "_anchor=x&endpoint=y&lang=en", "self=1&filename=2"):
        page = browser().get(f"/book/catalog?{query}")
        assert page.status_code == 200
        assert 'href="evil' not in page.text


def test_money_is_written_as_the_language_does(make, browser):
    make.book(price="45000.00")
    make.book(price="1234.50")
    english, spanish = (browser(language=code).get("/").text for code in ("en", "es"))
    assert "COP\u00a045,000<" in english
    assert "COP\u00a01,234.50<" in english
    assert "$\u00a045.000<" in spanish
    assert "$\u00a01.234,50<" in spanish


def test_a_moment_says_where_it_is_that_late(app):
    moment = datetime(2026, 11, 30, 7, 11, tzinfo=UTC)
    with app.test_request_context():
        with force_locale("en"):
            assert i18n.moment(moment) == "30 Nov 2026, 02:11 (Bogota)"
        with force_locale("es"):
            assert i18n.moment(moment) == "30 nov 2026, 02:11 (Bogotá)"


def test_every_text_is_translated():
    with PO.open("rb") as file:
        catalogue = read_po(file, locale="es")
    methods = [("**.py", "python"), ("**/templates/**.html", "jinja2"), ("**/templates/**.txt", "jinja2")]
    keywords = {"_": None, "_l": None, "gettext": None, "ngettext": (1, 2)}
    wanted = {
        message if isinstance(message, str) else message[0]
        for _file, _line, message, _comments, _context in extract_from_dir(PACKAGE, methods, keywords=keywords)
    }
    assert len(wanted) > 100
    known = {m.id if isinstance(m.id, str) else m.id[0]: m for m in catalogue if m.id}
    assert wanted - known.keys() == set(), "missing in Spanish"
    assert known.keys() - wanted == set(), "no longer used"
    for message in known.values():
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(texts), message.id
        assert not message.fuzzy, message.id
        assert [str(error) for error in message.check(catalogue)] == []


def test_compiled_translations_are_in_step():
    with PO.open("rb") as file:
        written = {m.id: m.string for m in read_po(file, locale="es") if m.id}
    with PO.with_suffix(".mo").open("rb") as file:
        compiled = {_plain(m.id): _plain(m.string) for m in read_mo(file) if m.id}
    assert written == compiled, "run: pybabel compile -d bookstore/translations"


def _plain(text):
    return tuple(text) if isinstance(text, list) else text


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        # One for the session and its user, one for the page; forms to buy need one for their key.
        ("/", 3),
        ("/book/catalog", 3),
        ("/book/my_books", 3),
        ("/purchases", 2),
        ("/sales", 2),
        ("/admin/users", 2),
        ("/admin/purchases", 2),
        ("/admin/payments", 2),
        ("/admin/deliveries", 2),
        ("/admin/providers", 2),
    ],
)
def test_queries_do_not_grow_with_rows(make, browser, app, count_queries, path, queries):
    person = make.admin()
    visitor = browser(person)

    def fill():
        book = make.book(make.user(), stock=90)
        mine = make.book(person)
        browser(make.user()).post(f"/buy/{mine.id}", {"quantity": "1"})
        purchase = purchase_of(visitor.post(f"/buy/{book.id}", {"quantity": "1"}))
        visitor.post(f"/payment/{purchase}", {"method": "Paypal"})
        visitor.post(f"/delivery/{purchase}", {"provider": "DHL"})

    fill()
    with count_queries() as few:
        assert visitor.get(path).status_code == 200
    for _ in range(7):
        fill()
    with count_queries() as many:
        assert visitor.get(path).status_code == 200
    assert len(many) == len(few), "\n".join(many)
    assert len(many) == queries, "\n".join(many)


def test_anonymous_catalogue_is_one_query_and_sets_no_cookie(make, browser, count_queries):
    make.book()
    visitor = browser()
    with count_queries() as queries:
        response = visitor.get("/book/catalog")
    assert len(queries) == 1
    assert "Set-Cookie" not in response.headers
    assert response.headers["Cache-Control"] == "public, max-age=0, s-maxage=1"
    assert {"Accept-Language", "Cookie"} <= set(response.vary)


def test_personal_pages_are_not_kept(make, browser):
    visitor = browser(make.user())
    for path in ("/", "/book/my_books", "/book/add_book"):
        assert visitor.get(path).headers["Cache-Control"] == "private, no-store"
    assert browser().get("/login").headers["Cache-Control"] == "private, no-store"


def test_static_files_never_change_their_address(browser):
    page = browser().get("/").text
    address = re.search(r'href="([^"]+store\.css)"', page)[1]
    assert address == f"/static/{assets.digest()}/store.css"
    response = browser().get(address)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert browser().get("/static/0000/store.css").status_code == 404


def test_errors_are_json_where_that_is_preferred(browser):
    response = browser().get("/nothing", headers={"Accept": "application/json"})
    assert response.status_code == 404
    assert response.json["error"]["status"] == 404
    assert response.json["error"]["request_id"] == response.headers["X-Request-ID"]
    assert "<h1>" in browser().get("/nothing", headers={"Accept": "*/*"}).text


def test_method_not_allowed_is_friendly(browser):
    response = browser().get("/buy/1")
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]
    assert "buttons" in response.text


@pytest.mark.parametrize("given", ["abcdef-123456", "A" * 64])
def test_request_id_is_kept(browser, given):
    assert browser().get("/", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["short", "x" * 65, 'a"b{}12345', "é" * 10, "a b c d e f"])
def test_malformed_request_id_is_replaced(browser, given):
    found = browser().get("/", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", found)


def test_database_away_is_a_503_page(make, browser, monkeypatch, caplog):
    def broken(*args, **kwargs):
        raise OperationalError("SELECT secret FROM users", {"email": "a@example.com"}, Exception("gone"))

    visitor = browser(make.user())
    monkeypatch.setattr(db.session, "scalar", broken)
    monkeypatch.setattr(db.session, "scalars", broken)
    response = visitor.get("/book/catalog")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert "short break" in response.text
    assert "a@example.com" not in caplog.text


def test_unexpected_error_is_a_500_page(make, browser, monkeypatch, app):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(catalog, "find", broken)
    response = browser().get("/book/catalog")
    assert response.status_code == 500
    assert response.headers["X-Request-ID"] in response.text
    assert "ZeroDivisionError" not in response.text


def test_models_know_no_lazy_loading():
    for model in (User, Purchase):
        for relation in model.__mapper__.relationships:
            assert relation.lazy == "raise"


# Strangers' pages, which are kept by what they show


@pytest.mark.parametrize("path", ["/", "/book/catalog", "/book/catalog?q=soledad", "/book/{id}"])
def test_a_stranger_sees_each_change_at_once(make, browser, path):
    seller = make.user(name="Ana")
    book = make.book(seller, title="Cien años de soledad", price=Decimal(40000))
    path = path.format(id=book.id)
    visitor, owner = browser(), browser(seller)
    assert "40,000" in visitor.get(path).text
    form = {"title": "Soledad", "author": book.author, "description": "", "price": "35000", "stock": "1"}
    assert owner.post(f"/book/edit_book/{book.id}", form).status_code == 302
    page = visitor.get(path).text
    assert "35,000" in page
    assert "40,000" not in page
    assert owner.post("/account/name", {"name": "Beatriz"}).status_code == 302
    assert "Beatriz" in visitor.get(path).text


def test_kept_pages_are_told_apart(make, browser):
    seller = make.user()
    make.book(seller, title="Cien años de soledad")
    paths = ("/book/catalog", "/book/catalog?q=soledad", "/book/catalog?x=1", "/")
    visitors = (browser(), browser(language="es"), browser(seller), browser(make.user(name="Zoraida")))
    pages = [visitor.get(path).text for _ in range(2) for visitor in visitors for path in paths]
    once, again = pages[: len(pages) // 2], pages[len(pages) // 2 :]
    # Those of strangers are the same the second time; of the others a form's token differs.
    assert once[:8] == again[:8]
    assert len(set(once)) == len(once)
    assert not any("Zoraida" in page for page in pages[:12])


def test_a_strangers_page_must_not_open_a_session(app, monkeypatch):
    monkeypatch.setattr(web, "render_template", lambda template, **shown: generate_csrf())
    with app.test_request_context("/"), pytest.raises(RuntimeError, match="opened a session"):
        web.render_page("any.html")


def test_the_forms_library_speaks_the_visitors_language(make, browser):
    seller = make.user()
    fields = {"title": "Rayuela", "author": "Julio", "description": "Usado", "price": "10", "stock": "many"}
    answers = {code: browser(seller, code).post("/book/add_book", fields).text for code in ("es", "en")}
    assert "No es un valor entero válido" in answers["es"]
    assert "Not a valid integer value" in answers["en"]
