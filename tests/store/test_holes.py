"""Every hole of the original store, each by the request that proved it."""

import io
import re
import time
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from werkzeug.security import generate_password_hash

from bookstore import create_app
from bookstore.accounts.models import LoginAttempt, User, UserSession
from bookstore.catalog.models import Book
from bookstore.columns import utcnow
from bookstore.config import load_config
from bookstore.extensions import db
from bookstore.orders.models import Purchase
from bookstore.orders.services import expire_purchases
from bookstore.payments.models import Payment
from bookstore.shipping.models import Delivery

from .conftest import PASSWORD, environment, make_app, purchase_of

BOOK = {"title": "T", "author": "A", "description": "", "price": "10", "stock": "1"}


# Money and stock


def test_price_in_the_form_is_ignored(make, browser, fetch):
    book = make.book(price=Decimal("30.00"))
    form = {"quantity": "1", "price": "0.01", "total": "nan", "amount": "-5"}
    purchase = purchase_of(browser(make.user()).post(f"/buy/{book.id}", form))
    assert fetch(Purchase, purchase).total == Decimal("30.00")


@pytest.mark.parametrize(
    "quantity",
    [
        "-1000",
        "0",
        "",
        None,
        "x",
        "1.5",
        "nan",
        "1e3",
        "101",
        "9" * 30,
        "9" * 5000,
        "\x00",
        "1\x00",
    ],
)
def test_junk_quantity(make, browser, fetch, quantity):
    book = make.book()
    form = {} if quantity is None else {"quantity": quantity}
    assert browser(make.user()).post(f"/buy/{book.id}", form).status_code == 400
    assert fetch(Book, book.id).stock == 5
    assert fetch(Purchase) == []


def test_short_stock_is_400(make, browser, fetch):
    book = make.book(stock=2)
    response = browser(make.user()).post(f"/buy/{book.id}", {"quantity": "3"})
    assert response.status_code == 400
    assert "not enough copies" in response.text
    assert fetch(Book, book.id).stock == 2


def test_own_book_cannot_be_bought(make, browser, fetch):
    seller = make.user()
    book = make.book(seller)
    assert browser(seller).post(f"/buy/{book.id}", {"quantity": "1"}).status_code == 403
    assert fetch(Book, book.id).stock == 5


def test_money_is_exact(make, browser, fetch):
    form = BOOK | {"price": "1234567.89"}
    assert browser(make.user()).post("/book/add_book", form).status_code == 302
    assert fetch(Book)[0].price == Decimal("1234567.89")


@pytest.mark.parametrize("values", [{"stock": -1}, {"price": Decimal("-1")}, {"stock": None}])
def test_the_database_refuses_impossible_books(make, values):
    seller = make.user()
    # MySQL's driver calls a violated CHECK an OperationalError.
    with pytest.raises(DBAPIError):
        make.book(seller, **values)


# Payment and delivery


def test_unknown_method_pays_nothing(make, browser, fetch):
    buyer = browser(make.user())
    purchase = purchase_of(buyer.post(f"/buy/{make.book().id}", {"quantity": "1"}))
    for method in ("x", "", "y" * 51, "credit card", "\x00"):
        response = buyer.post(f"/payment/{purchase}", {"method": method, "amount": "-5"})
        assert response.status_code == 422
    assert buyer.post(f"/payment/{purchase}").status_code == 422
    assert fetch(Purchase, purchase).status == "reserved"
    assert fetch(Payment) == []


def test_nobody_pays_or_sees_others_purchases(make, browser, fetch):
    purchase = purchase_of(browser(make.user()).post(f"/buy/{make.book().id}", {"quantity": "1"}))
    other = browser(make.user())
    assert other.get(f"/payment/{purchase}").status_code == 404
    assert other.post(f"/payment/{purchase}", {"method": "Paypal"}).status_code == 404
    assert other.get(f"/delivery/{purchase}").status_code == 404
    assert other.post(f"/delivery/{purchase}", {"provider": "DHL"}).status_code == 404
    assert "A Room with a View" not in other.get("/purchases").text
    assert fetch(Purchase, purchase).status == "reserved"


def test_paying_twice_is_409(make, browser, fetch):
    buyer = browser(make.user())
    purchase = purchase_of(buyer.post(f"/buy/{make.book().id}", {"quantity": "1"}))
    assert buyer.post(f"/payment/{purchase}", {"method": "Paypal"}).status_code == 302
    assert buyer.post(f"/payment/{purchase}", {"method": "Paypal"}).status_code == 409
    assert buyer.get(f"/payment/{purchase}").status_code == 409
    assert len(fetch(Payment)) == 1


def test_delivery_only_after_payment_and_only_once(make, browser, fetch):
    buyer = browser(make.user())
    purchase = purchase_of(buyer.post(f"/buy/{make.book().id}", {"quantity": "1"}))
    assert buyer.post(f"/delivery/{purchase}", {"provider": "DHL"}).status_code == 409
    buyer.post(f"/payment/{purchase}", {"method": "Paypal"})
    assert buyer.post(f"/delivery/{purchase}", {"provider": "DHL"}).status_code == 302
    assert buyer.post(f"/delivery/{purchase}", {"provider": "FedEx"}).status_code == 409
    assert [d.cost for d in fetch(Delivery)] == [Decimal("50.00")]


@pytest.mark.parametrize("provider", [None, "", "0", "999999", "9" * 40, "Pigeon", "x" * 300])
def test_unknown_or_missing_provider(make, browser, fetch, provider):
    buyer = browser(make.user())
    purchase = purchase_of(buyer.post(f"/buy/{make.book().id}", {"quantity": "1"}))
    buyer.post(f"/payment/{purchase}", {"method": "Paypal"})
    form = {} if provider is None else {"provider": provider}
    assert buyer.post(f"/delivery/{purchase}", form).status_code == 422
    assert fetch(Delivery) == []


def test_unpaid_purchases_give_their_stock_back(make, browser, fetch, app):
    book = make.book(stock=5)
    buyer = browser(make.user())
    unpaid = purchase_of(buyer.post(f"/buy/{book.id}", {"quantity": "2"}))
    paid = purchase_of(buyer.post(f"/buy/{book.id}", {"quantity": "1"}))
    buyer.post(f"/payment/{paid}", {"method": "Paypal"})
    later = utcnow() + timedelta(minutes=31)
    with app.app_context():
        assert expire_purchases() == 0
        assert expire_purchases(later) == 1
        assert expire_purchases(later) == 0
    assert fetch(Book, book.id).stock == 4
    assert fetch(Purchase, unpaid).status == "expired"
    assert buyer.post(f"/payment/{unpaid}", {"method": "Paypal"}).status_code == 409


def test_payment_after_the_reservation_is_refused_before_it_is_expired(make, browser, fetch, app):
    buyer = browser(make.user())
    purchase = purchase_of(buyer.post(f"/buy/{make.book().id}", {"quantity": "1"}))
    with app.app_context():
        db.session.get(Purchase, purchase).reserved_until = utcnow() - timedelta(seconds=1)
        db.session.commit()
    assert buyer.post(f"/payment/{purchase}", {"method": "Paypal"}).status_code == 409
    assert fetch(Payment) == []


def test_buyers_see_their_purchases(make, browser):
    book = make.book()
    buyer = browser(make.user())
    buyer.post(f"/buy/{book.id}", {"quantity": "1"})
    assert book.title in buyer.get("/purchases").text


# Ownership


def test_others_books_cannot_be_changed(make, browser, fetch):
    book = make.book()
    other = browser(make.user())
    assert other.get(f"/book/edit_book/{book.id}").status_code == 403
    assert other.post(f"/book/edit_book/{book.id}", BOOK).status_code == 403
    assert other.post(f"/book/delete_book/{book.id}").status_code == 403
    assert fetch(Book, book.id).title == book.title


def test_users_do_not_read_others_addresses(make, browser):
    user = make.user()
    other = make.user()
    page = browser(user).get("/admin/users")
    assert page.status_code == 403
    assert other.email not in page.text


@pytest.mark.parametrize(
    "path",
    ["/book/my_books", "/book/add_book", "/book/edit_book/1", "/payment/1", "/delivery/1",
     "/purchases", "/admin/users", "/logout", "/account", "/book/1/report"],
)  # fmt: skip
def test_anonymous_visitors_are_asked_to_log_in(browser, path):
    response = browser().get(path)
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/login")
    response = browser().get(path, headers={"Accept": "application/json"})
    assert response.status_code == 401


# Sessions and requests


def test_post_without_token_is_a_400_page(make, browser):
    book = make.book()
    visitor = browser(make.user())
    response = visitor.post(f"/buy/{book.id}", {"quantity": "1", "csrf_token": ""})
    assert response.status_code == 400
    assert "<h1>" in response.text
    anonymous = browser()
    form = {"email": "a@example.com", "password": "x", "csrf_token": "junk"}
    assert anonymous.post("/login", form).status_code == 400


# The card gateway signs what it sends, and has no session that somebody could ride on.
SIGNED = "payments.messages"
FORMS = sorted(
    rule.rule
    for rule in make_app(make_url("sqlite:///never-opened")).url_map.iter_rules()
    if "POST" in rule.methods and rule.endpoint != SIGNED
)


@pytest.mark.parametrize("rule", FORMS)
def test_no_form_is_taken_without_its_token(app, make, browser, rule):
    visitor = browser(make.admin())
    path = re.sub(r"<[^>]+>", str(make.book().id), rule)
    before = everything(app)
    for token in ("", "junk"):
        response = visitor.post(path, {**BOOK, "csrf_token": token})
        assert response.status_code == 400
        assert "came from elsewhere" in response.text
    assert everything(app) == before


def everything(app):
    """All rows of all tables."""
    with app.app_context():
        return {table.name: db.session.execute(table.select()).all() for table in db.metadata.sorted_tables}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://[bad"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://store.example"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_foreign_origins_are_refused_even_with_a_token(make, browser, fetch, headers):
    book = make.book()
    visitor = browser(make.user())
    response = visitor.post(f"/buy/{book.id}", {"quantity": "1"}, headers=headers)
    assert response.status_code == 403
    assert fetch(Purchase) == []


def test_own_origin_is_accepted(make, browser):
    visitor = browser(make.user())
    for headers in ({"Origin": "https://store.example"}, {"Sec-Fetch-Site": "same-origin"}):
        response = visitor.post(f"/buy/{make.book().id}", {"quantity": "1"}, headers=headers)
        assert response.status_code == 302


def test_cookie_attributes(make, browser):
    visitor = browser()
    cookie = visitor.get("/login").headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    for part in ("; Secure", "; HttpOnly", "; Path=/", "; SameSite=Lax"):
        assert part in cookie
    assert "Domain" not in cookie


def test_get_does_not_log_out(make, browser):
    visitor = browser(make.user())
    assert visitor.get("/logout").status_code == 200
    assert visitor.get("/book/my_books").status_code == 200
    response = visitor.post("/logout")
    assert (response.status_code, response.headers["Location"]) == (302, "/login")
    assert visitor.get("/book/my_books").status_code == 302


def test_copied_cookie_dies_with_the_log_out(make, browser, fetch):
    user = make.user()
    victim, thief = browser(user), browser()
    stolen = victim.client.get_cookie("__Host-session", domain="store.example")
    thief.client.set_cookie("__Host-session", stolen.value, domain="store.example", secure=True, path="/")
    assert thief.get("/book/my_books").status_code == 200
    elsewhere = browser(user)
    victim.post("/logout")
    assert thief.get("/book/my_books").status_code == 302
    # The user's other sessions go on.
    assert elsewhere.get("/book/my_books").status_code == 200
    assert len(fetch(UserSession)) == 1


def test_log_in_starts_a_new_session(make, browser, fetch):
    user = make.user()
    visitor = browser()
    visitor.get("/login")
    before = visitor.client.get_cookie("__Host-session", domain="store.example").value
    token = visitor.token
    visitor.log_in(user)
    after = visitor.client.get_cookie("__Host-session", domain="store.example").value
    assert before != after
    assert visitor.token != token
    # What the database holds is of no use as a cookie.
    (row,) = fetch(UserSession)
    assert row.token_hash not in after


def test_session_ends_by_time(make, browser, app):
    visitor = browser(make.user())
    with app.app_context():
        db.session.execute(db.update(UserSession).values(expires_at=utcnow()))
        db.session.commit()
    assert visitor.get("/book/my_books").status_code == 302


@pytest.mark.parametrize(
    "key",
    ["", "k3y", "secret" * 8, "a" * 64, "your-key-goes-here-0123456789abcdef", "dev-key-" * 6],
)
def test_weak_secret_key_is_refused(migrated_app, key):
    url = migrated_app.config["SQLALCHEMY_DATABASE_URI"]
    with pytest.raises(RuntimeError, match="SECRET_KEY") as caught:
        create_app(environ=environment(url) | {"SECRET_KEY": key})
    assert "\n" not in str(caught.value)
    assert not key or key not in str(caught.value)


# Guessing passwords


def test_guesses_are_limited_per_account_and_address(make, browser, fetch):
    user = make.user()
    visitor = browser()
    visitor.get("/login")
    wrong = {"email": user.email, "password": "wrong"}
    statuses = [visitor.post("/login", wrong).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    response = visitor.post("/login", {"email": user.email.upper(), "password": PASSWORD})
    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= 901
    # Another address is not locked out by it, and the right password clears its own count.
    form = {"email": user.email, "password": PASSWORD}
    elsewhere = {"environ_overrides": {"REMOTE_ADDR": "198.51.100.7"}}
    assert visitor.post("/login", form, **elsewhere).status_code == 302
    assert len(fetch(LoginAttempt)) == 10


def test_guesses_are_limited_per_address(make, browser):
    visitor = browser()
    visitor.get("/login")
    for number in range(100):
        form = {"email": f"nobody{number}@example.com", "password": ""}
        form["password"] = "x"
        assert visitor.post("/login", form).status_code == 401
    form = {"email": make.user().email, "password": PASSWORD}
    assert visitor.post("/login", form).status_code == 429


def test_the_window_slides(make, browser, app):
    user = make.user()
    visitor = browser()
    visitor.get("/login")
    for _ in range(11):
        response = visitor.post("/login", {"email": user.email, "password": "wrong"})
    assert response.status_code == 429
    with app.app_context():
        old = utcnow() - timedelta(minutes=15, seconds=1)
        db.session.execute(db.update(LoginAttempt).values(attempted_at=old))
        db.session.commit()
    form = {"email": user.email, "password": PASSWORD}
    assert visitor.post("/login", form).status_code == 302


def test_known_and_unknown_addresses_answer_alike(make, browser, app, monkeypatch):
    modern = make.user()
    old = make.user(password_hash=generate_password_hash(PASSWORD, "pbkdf2:sha256:600000"))
    # What ships, not what other tests use to be quick.
    shipped = load_config(environment(make_url("sqlite://")))
    monkeypatch.setitem(app.config, "FAILED_LOGIN_SECONDS", shipped["FAILED_LOGIN_SECONDS"])
    visitor = browser()
    visitor.get("/login")
    answers, times = set(), []
    for email in (modern.email, old.email, "nobody@example.com", "@" * 500):
        started = time.monotonic()
        response = visitor.post("/login", {"email": email, "password": "wrong"})
        times.append(time.monotonic() - started)
        assert response.status_code == 401
        answers.add(response.text.split('role="alert"')[1].split("</div>")[0])
    assert len(answers) == 1
    # A busy machine adds to each; what hashing takes must stay within the floor.
    floor = shipped["FAILED_LOGIN_SECONDS"]
    assert all(floor <= seconds < floor + 0.5 for seconds in times), times


@pytest.mark.parametrize("method", ["pbkdf2:sha256:1000", "scrypt:1024:8:1"])
def test_old_hashes_work_and_are_renewed(make, browser, fetch, method):
    user = make.user(password_hash=generate_password_hash(PASSWORD, method))
    browser(user)
    renewed = fetch(User, user.id).password_hash
    assert renewed.startswith("$argon2id$")
    browser(user)
    assert fetch(User, user.id).password_hash == renewed


# Junk that was answered by 500, or accepted


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", ""), ("price", "inf"), ("price", "-inf"), ("price", "nan"), ("price", "sNaN"),
        ("price", "0"), ("price", "-5"), ("price", "0.001"), ("price", "1e400"), ("price", "x"),
        ("price", "1e-400"), ("price", "100000000"), ("price", "9" * 3000), ("price", "45.000"), ("price", "1.234,50"),
        ("price", "1e99999999999999999999"),
        ("stock", str(2**40)), ("stock", "-1"), ("stock", ""), ("stock", "1.5"), ("stock", "9" * 6000), ("stock", "9" * 400),
        ("title", "x" * 151), ("title", ""), ("title", "   "), ("title", "a\x00b"), ("title", "a\nb"),
        ("author", "x" * 101), ("author", ""), ("author", "\x1b[2J"),
        ("description", "x" * 70_000), ("description", "x\x00"),
    ],
)  # fmt: skip
def test_junk_book(make, browser, fetch, field, value):
    seller = make.user()
    book = make.book(seller)
    visitor = browser(seller)
    for path in ("/book/add_book", f"/book/edit_book/{book.id}"):
        response = visitor.post(path, BOOK | {field: value})
        assert response.status_code == 422
        assert 'role="alert"' in response.text
    (only,) = fetch(Book)
    assert only.title == book.title


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("email", "", 422), ("email", "no address", 422), ("email", "a" * 60_000 + "@example.com", 422),
        ("email", "a@b", 422), ("email", "a\x00@example.com", 422), ("email", "a@" + "é" * 250, 422),
        ("password", "short", 422), ("password", "x" * 129, 422), ("password", None, 422),
        ("password", "x" * 20_000_000, 413), ("name", "", 422), ("name", "x" * 101, 422),
        ("name", "x" * 900_000, 422),
    ],
)  # fmt: skip
def test_junk_registration(browser, fetch, field, value, status):
    form = {"name": "N", "email": "n@example.com", "password": "long enough, this"}
    form[field] = value
    form = {key: item for key, item in form.items() if item is not None}
    assert browser().post("/register", form).status_code == status
    assert fetch(User) == []


def test_duplicate_address(make, browser, fetch):
    user = make.user()
    form = {"name": "N", "email": user.email.upper(), "password": "long enough, this"}
    response = browser().post("/register", form)
    assert response.status_code == 409
    assert "already an account" in response.text
    assert len(fetch(User)) == 1


def test_accents_make_another_address(browser, fetch):
    for email in ("jose@example.com", "josé@example.com"):
        form = {"name": "N", "email": email, "password": "long enough, this"}
        assert browser().post("/register", form).status_code == 302
    assert len(fetch(User)) == 2


@pytest.mark.parametrize("password", [None, "", "x" * 129, "x" * 100_000, "\x00", "\udc80"])
def test_junk_password_at_log_in(make, browser, password):
    form = {"email": make.user().email}
    if password is not None:
        form["password"] = password.encode("utf-8", "surrogatepass")
    assert browser().post("/login", form).status_code in (401, 422)


@pytest.mark.parametrize("number", ["999999", "2147483648", str(2**63), "9" * 400, "-1", "0", "x", "1.0"])
@pytest.mark.parametrize("path", ["/payment/{}", "/delivery/{}", "/book/edit_book/{}", "/book/{}/report"])
def test_unknown_ids(make, browser, path, number):
    visitor = browser(make.user())
    address = path.format(number)
    assert visitor.get(address).status_code == 404
    assert visitor.post(address, BOOK).status_code == 404
    assert visitor.post(f"/buy/{number}", {"quantity": "1"}).status_code == 404
    assert visitor.post(f"/book/delete_book/{number}").status_code == 404


@pytest.mark.parametrize("cursor", ["x", "a" * 5000, "azE", "a1_", "%00", "%ff", "ay0x", "azk5OTk5OTk5OTk5OTk", "ñ"])
def test_junk_cursor(make, browser, cursor):
    make.book()
    visitor = browser(make.admin())
    for path in ("/book/catalog", "/book/my_books", "/purchases", "/admin/users"):
        assert visitor.get(f"{path}?after={cursor}").status_code in (200, 400)


@pytest.mark.parametrize("path", ["/book/catalog", "/book/my_books", "/nothing"])
@pytest.mark.parametrize("query", ["q=\xff\xfe", "after=\xff", "lang=\xc3", "\xe9=1"])
def test_raw_bytes_in_the_query(browser, path, query):
    response = browser().get(path, environ_overrides={"QUERY_STRING": query})
    assert response.status_code in (200, 302, 400, 404)


def test_invalid_utf8(make, browser):
    visitor = browser(make.user())
    assert visitor.get("/book/%ff%fe").status_code == 404
    assert visitor.get("/book/catalog?after=%ff&lang=%fe").status_code == 400
    body = b"csrf_token=" + visitor.token.encode() + b"&title=%ff%fe&author=A&price=1&stock=1"
    response = visitor.client.post(
        "/book/add_book",
        data=body,
        content_type="application/x-www-form-urlencoded",
        base_url="https://store.example",
    )
    assert response.status_code in (302, 422)


def test_malformed_bodies(make, browser):
    visitor = browser(make.user())
    for content_type in (
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "text/plain",
        "",
    ):
        response = visitor.client.post(
            "/book/add_book",
            data=b"--x\r\n\xff\xfe",
            content_type=content_type,
            base_url="https://store.example",
        )
        assert response.status_code == 400


def test_four_byte_characters(make, browser, fetch):
    form = BOOK | {"title": "📚 Año 𝒳", "description": "línea 1\r\nlínea 2"}
    assert browser(make.user()).post("/book/add_book", form).status_code == 302
    assert fetch(Book)[0].title == "📚 Año 𝒳"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/login", ("email", "password")),
        ("/register", ("name", "email", "password")),
        ("/password/forgot", ("email",)),
        ("/book/add_book", ("title", "author", "description", "price", "stock")),
    ],
)
def test_a_file_in_the_place_of_a_text_is_refused(make, browser, path, fields):
    visitor = browser(make.user()) if path.startswith("/book") else browser()
    for field in fields:
        response = visitor.post(path, {field: (io.BytesIO(b"x"), "x.txt")})
        assert response.status_code in (401, 409, 422), (field, response.status_code)


def test_json_in_the_place_of_a_form_is_refused(make, browser):
    visitor = browser(make.user())
    visitor.get("/book/add_book")
    response = visitor.client.post(
        "/book/add_book", json=[1, 2], base_url="https://store.example", headers={"X-CSRFToken": visitor.token}
    )
    assert response.status_code == 422
