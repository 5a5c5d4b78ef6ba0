"""What people do with their accounts: change, export and delete them; and limits that lock no owner out."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from bookstore.accounts import export, throttle
from bookstore.accounts.models import LoginAttempt, Role, User, UserSession
from bookstore.admin.models import AuditEntry
from bookstore.catalog.models import Book
from bookstore.columns import utcnow
from bookstore.extensions import db
from bookstore.orders.models import Purchase, PurchaseStatus, Rating
from bookstore.payments.models import Payment, PaymentStatus
from bookstore.shipping.models import Delivery

from .conftest import PASSWORD, purchase_of
from .mailbox import link_in

NEW = "another long password"
PAGES = ("/account", "/account/name", "/account/email", "/account/password", "/account/export", "/account/delete")


@pytest.mark.parametrize("path", PAGES)
def test_visitors_are_asked_to_log_in(browser, path):
    assert browser().get(path).headers["Location"].startswith("/login")


@pytest.mark.parametrize("path", ["/account/sessions/end", "/account/email/confirmation"])
def test_changes_need_a_post(make, browser, path):
    assert browser(make.user()).get(path).status_code == 405


def test_the_page_costs_the_same_with_many_sessions(make, browser, count_queries, fetch):
    user = make.user()
    visitor = browser(user)
    with count_queries() as few:
        page = visitor.get("/account").text
    assert user.email in page
    assert "Log out everywhere else" not in page
    for number in range(25):
        make._add(UserSession(token_hash=str(number), user_id=user.id, expires_at=utcnow() + timedelta(days=1)))
    with count_queries() as many:
        page = visitor.get("/account").text
    assert len(few) == len(many) == 2
    assert page.count("<li>") == 21
    assert "And more." in page


def test_other_sessions_can_be_ended(make, browser, fetch):
    user = make.user()
    here, there, somebody = browser(user), browser(user), browser(make.user())
    assert "Log out everywhere else" in here.get("/account").text
    assert here.post("/account/sessions/end").status_code == 302
    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 302
    assert somebody.get("/account").status_code == 200


def test_name(make, browser, fetch):
    user = make.user()
    visitor = browser(user)
    assert f'value="{user.name}"' in visitor.get("/account/name").text
    assert visitor.post("/account/name", {"name": " Ana "}).headers["Location"] == "/account"
    assert fetch(User, user.id).name == "Ana"
    for name in ("", "x" * 101, "a\x00b"):
        assert visitor.post("/account/name", {"name": name}).status_code == 422
    assert fetch(User, user.id).name == "Ana"


def test_password(make, browser, fetch):
    user = make.user()
    here, there = browser(user), browser(user)
    here.get("/account/password")
    wrong = here.post("/account/password", {"present": "wrong", "password": NEW})
    assert wrong.status_code == 422
    assert "The password is not right" in wrong.text
    assert here.post("/account/password", {"present": PASSWORD, "password": "short"}).status_code == 422
    assert there.get("/account").status_code == 200
    assert here.post("/account/password", {"present": PASSWORD, "password": NEW}).headers["Location"] == "/account"
    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 302
    assert len(fetch(UserSession)) == 1
    browser().log_in(user, NEW)


def test_an_open_window_is_no_place_to_guess(make, browser, fetch):
    user = make.user()
    visitor = browser(user)
    form = {"present": "wrong", "password": NEW}
    statuses = [visitor.post("/account/password", form).status_code for _ in range(11)]
    assert statuses == [422] * 10 + [429]
    response = visitor.post("/account/delete", {"present": PASSWORD})
    assert response.status_code == 429
    assert response.headers["Retry-After"]
    # Its owner can still log in elsewhere.
    browser(user)


def test_email_without_mail(make, browser, fetch):
    user, other = make.user(email_verified_at=utcnow()), make.user()
    visitor = browser(user)
    visitor.get("/account/email")
    for email, present, status in (
        ("new@example.com", "wrong", 422),
        ("junk", PASSWORD, 422),
        (other.email.upper(), PASSWORD, 409),
    ):
        assert visitor.post("/account/email", {"email": email, "present": present}).status_code == status
        assert fetch(User, user.id).email == user.email
    assert visitor.post("/account/email", {"email": "New@example.com", "present": PASSWORD}).status_code == 302
    changed = fetch(User, user.id)
    assert (changed.email, changed.email_verified_at) == ("new@example.com", None)
    browser().log_in("new@example.com")


def test_email_by_link(make, browser, mailbox, fetch):
    user = make.user()
    visitor = browser(user)
    assert "We send a link" in visitor.get("/account/email").text
    assert visitor.post("/account/email", {"email": "new@example.com", "present": PASSWORD}).status_code == 302
    assert fetch(User, user.id).email == user.email
    by_recipient = {message["To"]: message for message in mailbox.wait(2)}
    assert link_in(by_recipient[user.email]) == "/account/password"
    link = link_in(by_recipient["new@example.com"])
    assert "new@example.com" in visitor.get(link).text
    assert visitor.post(link).headers["Location"] == "/account"
    changed = fetch(User, user.id)
    assert changed.email == "new@example.com"
    assert changed.email_verified_at is not None
    assert visitor.post(link).status_code == 400


def test_the_warned_owner_can_stop_the_change(make, browser, mailbox):
    user = make.user()
    visitor = browser(user)
    visitor.post("/account/email", {"email": "new@example.com", "present": PASSWORD})
    link = link_in(next(message for message in mailbox.wait(2) if message["To"] == "new@example.com"))
    visitor.post("/account/password", {"present": PASSWORD, "password": NEW})
    assert visitor.post(link).status_code == 400


def test_a_change_to_anothers_address_tells_nothing(make, browser, mailbox, fetch):
    user, owner = make.user(), make.user()
    response = browser(user).post("/account/email", {"email": owner.email, "present": PASSWORD})
    assert response.headers["Location"] == "/account"
    subjects = {message["To"]: message["Subject"] for message in mailbox.wait(2)}
    assert subjects[owner.email] == "You have an account already"


def test_an_address_that_was_taken_meanwhile(make, browser, mailbox, fetch):
    user = make.user()
    visitor = browser(user)
    visitor.post("/account/email", {"email": "new@example.com", "present": PASSWORD})
    link = link_in(next(message for message in mailbox.wait(2) if message["To"] == "new@example.com"))
    make.user(email="new@example.com")
    assert visitor.post(link).status_code == 409
    assert fetch(User, user.id).email == user.email


# Export


def test_export(make, browser, app, fetch):
    user, other = make.user(name="Ana «Ñ»"), make.user(name="SOMEBODY ELSE")
    visitor = browser(user)
    own = make.book(user)
    theirs = make.book(other, title="Secret Agent", price=Decimal("12.50"))
    purchase = purchase_of(visitor.post(f"/buy/{theirs.id}", {"quantity": "2"}))
    visitor.post(f"/payment/{purchase}", {"method": "Paypal"})
    visitor.post(f"/delivery/{purchase}", {"provider": "DHL"})
    visitor.post(f"/book/{theirs.id}/report", {"reason": "other", "details": "torn"})
    unpaid = purchase_of(visitor.post(f"/buy/{theirs.id}", {"quantity": "1"}))
    with app.app_context():
        db.session.add(Rating(purchase_id=purchase, seller_id=other.id, stars=4, comment="quick"))
        db.session.commit()
    response = visitor.get("/account/export")
    assert response.mimetype == "application/json"
    assert "attachment" in response.headers["Content-Disposition"]
    assert response.headers["Cache-Control"] == "private, no-store"
    data = json.loads(response.data)
    assert data["profile"]["name"] == "Ana «Ñ»"
    assert [book["id"] for book in data["books"]] == [own.id]
    assert [row["id"] for row in data["purchases"]] == [purchase, unpaid]
    bought = data["purchases"][0]
    assert (bought["title"], bought["total"], bought["payment_method"]) == ("Secret Agent", "25.00", "Paypal")
    assert (bought["delivery_provider"], bought["delivery_cost"]) == ("DHL", "50.00")
    assert data["purchases"][1]["payment_method"] is None
    assert [row["comment"] for row in data["ratings_given"]] == ["quick"]
    assert data["ratings_received"] == []
    assert [row["details"] for row in data["reports"]] == ["torn"]
    for secret in (other.email, other.name, "argon2"):
        assert secret not in response.text
    theirs_data = json.loads(browser(other).get("/account/export").data)
    assert [row["stars"] for row in theirs_data["ratings_received"]] == [4]
    assert theirs_data["purchases"] == []


def test_export_in_batches(make, browser, app, monkeypatch):
    monkeypatch.setattr(export, "_BATCH", 3)
    user = make.user()
    ids = [make.book(user).id for _ in range(7)]
    data = json.loads(browser(user).get("/account/export").data)
    assert [book["id"] for book in data["books"]] == ids


# Deletion


def finish(app, purchase_id, status=PurchaseStatus.COMPLETED):
    with app.app_context():
        db.session.execute(db.update(Purchase).where(Purchase.id == purchase_id).values(status=status))
        db.session.commit()


def delete(visitor):
    visitor.get("/account/delete")
    return visitor.post("/account/delete", {"present": PASSWORD})


def test_deletion(make, browser, app, fetch):
    user, other = make.user(role=Role.SUPPORT), make.user()
    email = user.email
    visitor, elsewhere, buyer = browser(user), browser(user), browser(other)
    sold, _unsold, reported = make.book(user), make.book(user), make.book(user)
    sale = purchase_of(buyer.post(f"/buy/{sold.id}", {"quantity": "1"}))
    buyer.post(f"/book/{reported.id}/report", {"reason": "other"})
    purchase = purchase_of(visitor.post(f"/buy/{make.book(other).id}", {"quantity": "1"}))
    visitor.post(f"/payment/{purchase}", {"method": "Paypal"})
    visitor.post(f"/delivery/{purchase}", {"provider": "DHL"})
    with app.app_context():
        db.session.execute(db.update(Delivery).values(recipient="Ana", address="Calle 1", city="Cali", phone="300"))
        db.session.commit()
    finish(app, sale)
    finish(app, purchase)
    assert visitor.post("/account/delete", {"present": "wrong"}).status_code == 422
    assert delete(visitor).headers["Location"] == "/"

    gone = fetch(User, user.id)
    assert gone.deleted_at is not None
    assert (gone.name, gone.role, gone.email_verified_at) == ("—", Role.USER, None)
    assert gone.email == f"deleted-{user.id}"
    assert [session.user_id for session in fetch(UserSession)] == [other.id]
    assert elsewhere.get("/account").status_code == 302
    assert visitor.get("/account").status_code == 302
    visitor.get("/login")
    for name in (email, gone.email):
        assert visitor.post("/login", {"email": name, "password": PASSWORD}).status_code == 401
    # What others have to do with stays; nothing of it is for sale.
    assert {book.id: book.status for book in fetch(Book) if book.seller_id == user.id} == {
        sold.id: "archived",
        reported.id: "archived",
    }
    assert "A Room with a View" in buyer.get("/purchases").text
    (delivery,) = fetch(Delivery)
    assert (delivery.recipient, delivery.address, delivery.city, delivery.phone) == ("", "", "", "")
    assert len(fetch(Payment)) == 1
    # The address is free again.
    visitor.get("/register")
    assert visitor.post("/register", {"name": "A", "email": email, "password": PASSWORD}).status_code == 302


@pytest.mark.parametrize("side", ["buyer", "seller"])
@pytest.mark.parametrize("status", ["reserved", "placed", "paid"])
def test_deletion_waits_for_open_purchases(make, browser, app, fetch, side, status):
    buyer, seller = make.user(), make.user()
    book = make.book(seller)
    purchase = purchase_of(browser(buyer).post(f"/buy/{book.id}", {"quantity": "1"}))
    finish(app, purchase, status)
    visitor = browser(buyer if side == "buyer" else seller)
    response = delete(visitor)
    assert response.status_code == 409
    assert "not finished" in response.text
    assert fetch(Book, book.id).status == "active"
    assert visitor.get("/account").status_code == 200
    finish(app, purchase, PurchaseStatus.CANCELLED)
    with app.app_context():
        db.session.add(Payment(purchase_id=purchase, method="Card", amount=1, status=PaymentStatus.REFUND_DUE))
        db.session.commit()
    assert delete(visitor).status_code == 409
    with app.app_context():
        db.session.execute(db.update(Payment).values(status=PaymentStatus.REFUNDED))
        db.session.commit()
    assert delete(visitor).status_code == 302


def test_a_reservation_whose_time_is_over_is_not_open(make, browser, app):
    buyer = make.user()
    visitor = browser(buyer)
    visitor.post(f"/buy/{make.book().id}", {"quantity": "1"})
    with app.app_context():
        db.session.execute(db.update(Purchase).values(reserved_until=utcnow() - timedelta(minutes=1)))
        db.session.commit()
    assert delete(visitor).status_code == 302


def test_the_last_administrator_stays(make, browser, fetch):
    admin = make.admin()
    visitor = browser(admin)
    response = delete(visitor)
    assert response.status_code == 409
    assert "last administrator" in response.text
    make.admin()
    assert delete(visitor).status_code == 302
    # Now it is the other one that stays.
    assert [user.role for user in fetch(User) if user.role != Role.USER] == [Role.ADMINISTRATOR]


# Limits


def test_registrations_are_limited_by_network(browser, app, fetch, monkeypatch):
    monkeypatch.setitem(app.config, "REGISTRATIONS_PER_HOUR", 3)
    visitor = browser()
    visitor.get("/register")

    def register(number, address):
        form = {"name": "N", "email": f"n{number}@example.com", "password": PASSWORD}
        return visitor.post("/register", form, environ_overrides={"REMOTE_ADDR": address})

    # One network of IPv6 is one visitor.
    assert [register(n, f"2001:db8:1:1::{n}").status_code for n in range(4)] == [302] * 3 + [429]
    refused = register(9, "2001:db8:1:1::9")
    assert "Too many requests" in refused.text
    assert 0 < int(refused.headers["Retry-After"]) <= 3601
    assert register(10, "2001:db8:2::1").status_code == 302
    assert len(fetch(User)) == 4
    with app.app_context():
        db.session.execute(db.update(LoginAttempt).values(attempted_at=utcnow() - timedelta(hours=1, seconds=1)))
        db.session.commit()
    assert register(11, "2001:db8:1:1::1").status_code == 302


def guess_from_everywhere(app, email):
    """As many attempts as an account is allowed, from ten addresses."""
    with app.app_context():
        for number in range(100):
            throttle.begin_attempt(email, f"203.0.113.{number // 10}")


def test_strangers_cannot_lock_out_a_browser_that_was_there_before(make, browser, app):
    user = make.user()
    own = browser(user)
    cookie = own.client.get_cookie("__Host-device", domain="store.example")
    assert cookie.secure
    assert cookie.http_only
    assert cookie.path == "/"
    own.post("/logout")
    guess_from_everywhere(app, user.email)
    stranger = browser()
    stranger.get("/login")
    right = {"email": user.email, "password": PASSWORD}
    assert stranger.post("/login", right, environ_overrides={"REMOTE_ADDR": "203.0.113.99"}).status_code == 429
    own.get("/login")
    assert own.post("/login", right).status_code == 302
    # The same cookie goes on.
    assert own.client.get_cookie("__Host-device", domain="store.example").value == cookie.value


def test_a_known_browser_is_limited_too(make, browser):
    user = make.user()
    own = browser(user)
    own.post("/logout")
    own.get("/login")
    wrong = {"email": user.email, "password": "wrong"}
    assert [own.post("/login", wrong).status_code for _ in range(11)] == [401] * 10 + [429]


@pytest.mark.parametrize("kind", ["others", "forged"])
def test_no_other_cookie_opens_that_door(make, browser, app, kind):
    user, other = make.user(), make.user()
    visitor = browser(other)
    visitor.post("/logout")
    if kind == "forged":
        visitor.client.set_cookie("__Host-device", f'[{user.id},"x"].a.b', domain="store.example", secure=True)
    guess_from_everywhere(app, user.email)
    visitor.get("/login")
    assert visitor.post("/login", {"email": user.email, "password": PASSWORD}).status_code == 429


# The command


def test_create_support(app, make, fetch):
    run = app.test_cli_runner().invoke
    args = ["create-admin", "--email", "help@example.com", "--role", "support"]
    env = {"ADMIN_PASSWORD": PASSWORD}
    assert run(args=args, env=env).output.splitlines()[-1] == "created"
    assert run(args=args, env=env).output.splitlines()[-1] == "unchanged"
    (user,) = fetch(User)
    assert (user.is_staff, user.is_admin) == (True, False)
    (entry,) = fetch(AuditEntry)
    assert (entry.actor_id, entry.action, entry.target) == (None, "user.role", f"user {user.id}")
    assert run(args=[*args[:-1], "user"], env=env).exit_code == 2


def test_the_command_keeps_the_last_administrator(app, make, fetch):
    run = app.test_cli_runner().invoke
    admin = make.admin()
    args = ["create-admin", "--email", admin.email, "--role", "support"]
    result = run(args=args, env={"ADMIN_PASSWORD": PASSWORD})
    assert result.exit_code == 1
    assert "last administrator" in result.output
    assert fetch(User, admin.id).is_admin
    make.admin()
    assert run(args=args, env={"ADMIN_PASSWORD": PASSWORD}).output.splitlines()[-1] == "updated"
