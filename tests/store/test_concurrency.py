"""Many at once: no copy is sold twice, nothing is paid twice, one migration runs."""

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import NullPool, create_engine, text

from bookstore import extensions
from bookstore.accounts.erasure import delete_account
from bookstore.accounts.models import LoginAttempt, Role, User
from bookstore.accounts.recovery import reset_password
from bookstore.accounts.services import EmailTaken, register
from bookstore.accounts.tokens import Purpose, make_link_token
from bookstore.admin.services import change_role
from bookstore.catalog.models import Book
from bookstore.columns import utcnow
from bookstore.errors import StoreError
from bookstore.extensions import db
from bookstore.orders.models import Purchase
from bookstore.orders.services import buy, expire_purchases
from bookstore.payments.models import Payment
from bookstore.payments.services import pay

from .conftest import PASSWORD, ROOT, environment, make_app

pytestmark = pytest.mark.commits


@pytest.fixture
def at_once(app):
    """Call a function many times in as many threads; count what they return or raise."""

    def run(function, arguments):
        def call(argument):
            with app.app_context():
                try:
                    return function(argument)
                except StoreError as error:
                    return type(error).__name__

        with ThreadPoolExecutor(len(arguments)) as pool:
            return Counter(pool.map(call, arguments))

    # As many connections as threads would be many more than a worker has.
    with app.app_context():
        pool = db.engine.pool
        pool._timeout = 60
    return run


@pytest.mark.parametrize("stock", [1, 10])
def test_fifty_buyers(make, at_once, fetch, stock):
    book = make.book(stock=stock)
    buyers = [make.user() for _ in range(50)]

    def attempt(buyer):
        buy(buyer, book.id, 1)
        return "sold"

    assert at_once(attempt, buyers) == {"sold": stock, "OutOfStock": 50 - stock}
    assert fetch(Book, book.id).stock == 0
    assert len(fetch(Purchase)) == stock


def test_paying_in_eight_tabs(make, app, at_once, fetch):
    buyer, book = make.user(), make.book()
    with app.app_context():
        purchase = buy(buyer, book.id, 1).id

    def attempt(_number):
        pay(purchase, buyer, "Paypal")
        return "paid"

    assert at_once(attempt, range(8)) == {"paid": 1, "AlreadyPaid": 7}
    assert len(fetch(Payment)) == 1


def test_paying_while_it_expires(make, app, at_once, fetch):
    buyer, book = make.user(), make.book(stock=10)
    with app.app_context():
        purchases = [buy(buyer, book.id, 1).id for _ in range(10)]
    later = utcnow() + timedelta(hours=1)

    def attempt(number):
        if number is None:
            return f"expired {expire_purchases(later)}"
        pay(number, buyer, "Paypal")
        return "paid"

    at_once(attempt, [None, *purchases, None])
    states = Counter(p.status for p in fetch(Purchase))
    assert states.total() == 10
    assert len(fetch(Payment)) == states["paid"]
    assert fetch(Book, book.id).stock == 10 - states["paid"] - states["reserved"]


def test_expiring_on_four_hosts(make, app, at_once, fetch):
    buyer, book = make.user(), make.book(stock=30)
    with app.app_context():
        for _ in range(30):
            buy(buyer, book.id, 1)
    later = utcnow() + timedelta(hours=1)
    ended = at_once(lambda _: expire_purchases(later), range(4))
    assert sum(number * times for number, times in ended.items()) == 30
    assert fetch(Book, book.id).stock == 30


def test_registering_the_same_address_at_once(at_once, fetch):
    def attempt(number):
        try:
            register("N", "Same@example.com", PASSWORD)
        except EmailTaken:
            return "taken"
        return "made"

    assert at_once(attempt, range(6)) == {"made": 1, "taken": 5}
    assert len(fetch(User)) == 1


def test_guessing_in_parallel_is_limited_too(make, app, at_once, fetch):
    from bookstore.accounts.services import log_in

    user = make.user()
    found = at_once(lambda _: log_in(user.email, "wrong", "192.0.2.1"), range(30))
    assert found["BadCredentials"] <= 10
    assert found.total() == 30
    assert len(fetch(LoginAttempt)) <= 10


def test_price_of_a_sale_is_the_price_of_its_moment(make, app, at_once, fetch):
    seller, book = make.user(), None
    book = make.book(seller, stock=100, price=Decimal("10.00"))
    buyers = [make.user() for _ in range(10)]

    def attempt(buyer):
        if buyer is None:
            db.session.execute(db.update(Book).values(price=Decimal("20.00")))
            db.session.commit()
            return "dearer"
        buy(buyer, book.id, 2)
        return "sold"

    at_once(attempt, [*buyers[:5], None, *buyers[5:]])
    for purchase in fetch(Purchase):
        assert purchase.unit_price in (Decimal("10.00"), Decimal("20.00"))
        assert purchase.total == purchase.unit_price * 2


def test_administrators_who_take_each_others_role(make, at_once, fetch):
    first, second = make.admin(), make.admin()

    def attempt(pair):
        change_role(pair[0], pair[1].id, Role.USER)
        return "taken"

    assert at_once(attempt, [(first, second), (second, first)]) == {"taken": 1, "Forbidden": 1}
    assert [user.role for user in fetch(User)].count(Role.ADMINISTRATOR) == 1


def test_the_last_administrators_leave_at_once(make, at_once, fetch):
    def attempt(admin):
        delete_account(admin)
        return "gone"

    assert at_once(attempt, [make.admin() for _ in range(3)]) == {"gone": 2, "LastAdministrator": 1}
    assert [user.role for user in fetch(User)].count(Role.ADMINISTRATOR) == 1


def test_a_seller_leaves_while_people_buy(make, at_once, fetch):
    """Either somebody was quicker and the seller stays, or nobody bought anything."""
    seller = make.user()
    book = make.book(seller, stock=50)

    def attempt(buyer):
        if buyer is None:
            delete_account(seller)
            return "left"
        buy(buyer, book.id, 1)
        return "sold"

    buyers = [make.user() for _ in range(12)]
    counts = at_once(attempt, [*buyers[:3], None, *buyers[3:]])
    assert (counts["left"], counts["sold"]) in ((1, 0), (0, 12)), counts
    assert (fetch(User, seller.id).deleted_at is not None) == bool(counts["left"])
    assert len(fetch(Purchase)) == counts["sold"]


def test_one_link_in_four_windows(make, app, at_once, fetch):
    user = make.user()
    with app.app_context():
        token = make_link_token(Purpose.RESET_PASSWORD, user)

    def attempt(number):
        reset_password(token, f"new password no. {number}")
        return "set"

    assert at_once(attempt, range(4)) == {"set": 1, "BadLink": 3}


@pytest.mark.mysql
def test_eight_hosts_migrate_at_once(server):
    url = server.new_database()
    command = [sys.executable, "-m", "flask", "--app", "bookstore", "db", "upgrade"]
    env = os.environ | environment(url)
    running = [subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    errors = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 8, "\n".join(errors)
    app = make_app(url)
    with app.app_context():
        count = db.text("SELECT COUNT(*) FROM delivery_providers")
        assert db.session.execute(count).scalar() == 4
        db.session.remove()
        db.engine.dispose()
    server.drop(url)


@pytest.mark.mysql
def test_strict_mode(app):
    with app.app_context():
        assert "STRICT_ALL_TABLES" in db.session.execute(db.text("SELECT @@sql_mode")).scalar()


def test_an_attempt_that_another_tab_forgave_is_no_error(app, fetch):
    from bookstore.accounts import throttle

    with app.app_context():
        first = throttle.begin_attempt("ana@example.com", "192.0.2.1")
        second = throttle.begin_attempt("ana@example.com", "192.0.2.1")
        throttle.forgive(first)
        db.session.commit()
        throttle.forgive(second)
        db.session.commit()
    assert fetch(LoginAttempt) == []


def end_connections(app):
    """As a restart of MySQL does, or a firewall that forgets."""
    engine = create_engine(app.config["SQLALCHEMY_DATABASE_URI"], poolclass=NullPool)
    mine = text("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
    with engine.connect() as connection:
        for number in connection.scalars(mine).all():
            connection.execute(text(f"KILL {number}"))


@pytest.mark.mysql
def test_a_connection_that_ended_while_it_was_idle_is_replaced(app, browser, monkeypatch):
    visitor = browser()
    assert visitor.get("/book/catalog").status_code == 200
    end_connections(app)
    monkeypatch.setattr(extensions, "TRUSTED_SECONDS", 0)
    assert visitor.get("/book/catalog").status_code == 200


@pytest.mark.mysql
def test_a_connection_that_ended_a_moment_ago_costs_one_page(app, browser):
    visitor = browser()
    assert visitor.get("/book/catalog").status_code == 200
    end_connections(app)
    statuses = [visitor.get("/book/catalog").status_code for _ in range(4)]
    assert statuses.count(503) <= 1, statuses
    assert statuses[2:] == [200, 200]
