"""Mail about purchases: who is told of what, when, and in which language."""

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from bookstore.accounts.models import User
from bookstore.columns import utcnow
from bookstore.extensions import db
from bookstore.orders import notices
from bookstore.payments.models import Payment

from .conftest import purchase_of
from .mailbox import link_in

ADDRESS = {"provider": "DHL", "recipient": "Ana", "address": "Calle 1", "city": "Bogotá", "phone": "+57 300 0000000"}


@pytest.fixture
def people(make, mailbox):
    now = utcnow()
    buyer = make.user(email="buyer@example.com", email_verified_at=now, language="en")
    return buyer, make.user(email="seller@example.com", email_verified_at=now, language="es")


@pytest.fixture
def buy(make, browser, people):
    """Reserve a book; returns the buyer's browser, the seller's and the purchase's id."""
    buyer, seller = (browser(person, person.language) for person in people)
    book = make.book(people[1], title="Rayuela", stock=3)
    return lambda: (buyer, seller, purchase_of(buyer.post(f"/buy/{book.id}", {"quantity": "1"})))


def told(mailbox, count):
    """Recipient and subject of each mail."""
    found = sorted((message["To"], message["Subject"]) for message in mailbox.wait(count))
    mailbox.messages.clear()
    return found


def test_both_are_told_of_a_sale_each_in_their_language(buy, mailbox):
    buyer, _seller, purchase = buy()
    assert mailbox.stays_empty()

    buyer.post(f"/payment/{purchase}", {"method": "Paypal"})

    messages = {message["To"]: message for message in mailbox.wait(2)}
    assert messages["buyer@example.com"]["Subject"] == "Paid: Rayuela"
    assert messages["seller@example.com"]["Subject"] == "Vendido: Rayuela"
    assert f"Compra {purchase}" in messages["seller@example.com"].get_content()
    for message in messages.values():
        assert link_in(message) == f"/purchases/{purchase}"


def test_a_form_that_comes_twice_tells_once(buy, mailbox):
    buyer, _seller, purchase = buy()
    for _ in range(2):
        buyer.post(f"/payment/{purchase}", {"method": "Paypal"})
    assert len(told(mailbox, 2)) == 2
    assert mailbox.stays_empty()


def test_the_seller_waits_for_a_transfer(buy, mailbox, browser, make, fetch):
    buyer, _seller, purchase = buy()
    buyer.post(f"/payment/{purchase}", {"method": "Bank Transfer"})
    assert told(mailbox, 1) == [("buyer@example.com", "Your order: Rayuela")]

    browser(make.admin()).post(f"/admin/payments/{fetch(Payment)[0].id}/confirm")

    assert told(mailbox, 2) == [("buyer@example.com", "Paid: Rayuela"), ("seller@example.com", "Vendido: Rayuela")]


def test_the_seller_does_not_wait_for_cash(buy, mailbox):
    buyer, seller, purchase = buy()
    buyer.post(f"/payment/{purchase}", {"method": "Cash on Delivery"})
    expected = [("buyer@example.com", "Your order: Rayuela"), ("seller@example.com", "Vendido: Rayuela")]
    assert told(mailbox, 2) == expected

    buyer.post(f"/delivery/{purchase}", ADDRESS)
    seller.post(f"/sales/{purchase}/shipped", {"tracking_number": "CO-1234"})

    shipped = mailbox.newest()
    assert (shipped["To"], shipped["Subject"]) == ("buyer@example.com", "On its way: Rayuela")
    assert "CO-1234" in shipped.get_content()


def test_a_sale_that_is_cancelled_is_not_sent(buy, mailbox):
    buyer, _seller, purchase = buy()
    buyer.post(f"/payment/{purchase}", {"method": "Paypal"})
    told(mailbox, 2)

    buyer.post(f"/purchases/{purchase}/cancel")

    expected = [("buyer@example.com", "Cancelled: Rayuela"), ("seller@example.com", "Cancelada: Rayuela")]
    assert told(mailbox, 2) == expected


def test_what_was_never_ordered_is_cancelled_in_silence(buy, mailbox):
    buyer, _seller, purchase = buy()
    buyer.post(f"/purchases/{purchase}/cancel")
    assert mailbox.stays_empty()


def test_nobody_is_told_at_an_address_that_is_not_confirmed(buy, mailbox, app):
    buyer, _seller, purchase = buy()
    with app.app_context():
        db.session.execute(update(User).where(User.email == "buyer@example.com").values(email_verified_at=None))
        db.session.commit()
    buyer.post(f"/payment/{purchase}", {"method": "Paypal"})
    assert told(mailbox, 1) == [("seller@example.com", "Vendido: Rayuela")]


def test_a_store_without_mail_sells_all_the_same(make, browser):
    book = make.book()
    buyer = browser(make.user())
    purchase = purchase_of(buyer.post(f"/buy/{book.id}", {"quantity": "1"}))
    assert buyer.post(f"/payment/{purchase}", {"method": "Paypal"}).status_code == 302


def test_a_sale_stands_when_nobody_can_be_told(buy, mailbox, monkeypatch):
    buyer, _seller, purchase = buy()

    def fail(*_):
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(notices, "_send", fail)
    assert buyer.post(f"/payment/{purchase}", {"method": "Paypal"}).status_code == 302
    assert mailbox.stays_empty()


def test_the_language_is_that_of_the_last_log_in(make, browser, fetch):
    person = make.user()
    assert fetch(User, person.id).language == "es"
    browser(person, "en")
    assert fetch(User, person.id).language == "en"
