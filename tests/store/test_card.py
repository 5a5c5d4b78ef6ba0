"""Cards: the buyer pays elsewhere, and only a signed message makes the purchase paid."""

from datetime import timedelta

import pytest

from bookstore.catalog.models import Book
from bookstore.columns import utcnow
from bookstore.config import ConfigError, load_config
from bookstore.orders.models import Purchase
from bookstore.orders.services import expire_purchases
from bookstore.payments.gateway import minor_units
from bookstore.payments.models import GatewayEvent, Payment

from .conftest import KEY, purchase_of
from .gateway import SECRET, StandIn


@pytest.fixture
def gateway(app, monkeypatch):
    stand_in = StandIn()
    for name, value in {
        "STRIPE_SECRET_KEY": "sk_test_x",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_BASE": stand_in.url,
    }.items():
        monkeypatch.setitem(app.config, name, value)
    yield stand_in
    stand_in.stop()


class Card:
    """A buyer who pays by card."""

    def __init__(self, make, browser, fetch, gateway):
        self.fetch, self.gateway = fetch, gateway
        self.book = make.book(stock=5)
        self.buyer, self.staff = browser(make.user()), browser(make.admin())
        self.anyone = browser()
        self.id = purchase_of(self.buyer.post(f"/buy/{self.book.id}", {"quantity": "2"}))

    def begin(self, **more):
        return self.buyer.post(f"/payment/{self.id}", {"method": "Card", **more})

    @property
    def session(self):
        return self.gateway.sessions[self.fetch(Payment)[0].reference]

    def send(self, body, signature):
        return self.anyone.client.post(
            "/payments/messages",
            data=body,
            content_type="application/json",
            headers={"Stripe-Signature": signature},
            base_url="https://store.example",
        )

    def tell(self, *args, **options):
        return self.send(*self.gateway.message(self.session, *args, **options))

    @property
    def states(self):
        return self.fetch(Purchase)[0].status, self.fetch(Payment)[0].status


@pytest.fixture
def card(make, browser, fetch, gateway):
    return Card(make, browser, fetch, gateway)


def test_paying_by_card(card):
    assert 'value="Card"' in card.buyer.get(f"/payment/{card.id}").text
    response = card.begin(provider="Envia")
    assert response.headers["Location"] == card.session["url"]
    # 2 x 30.00 + 20.00, in cents.
    assert (card.session["amount_total"], card.session["currency"]) == (8000, "cop")
    assert card.states == ("reserved", "pending")
    assert card.tell().status_code == 200
    assert card.states == ("paid", "completed")


def test_a_double_click_opens_one_page(card, gateway):
    assert card.begin().headers["Location"] == card.begin().headers["Location"]
    assert len(gateway.sessions) == 1


def test_a_message_that_comes_again_changes_nothing(card, fetch):
    card.begin()
    message = card.gateway.message(card.session)
    assert [card.send(*message).status_code for _ in range(3)] == [200, 200, 200]
    assert card.states == ("paid", "completed")
    assert len(fetch(GatewayEvent)) == 1
    # The same news under another name.
    assert card.tell().status_code == 200
    assert card.states == ("paid", "completed")


@pytest.mark.parametrize("how", ["secret", "old", "body", "none", "junk"])
def test_a_forged_message_is_refused(card, how):
    card.begin()
    options = {"secret": {"secret": "whsec_other"}, "old": {"age": 600}}.get(how, {})
    body, signature = card.gateway.message(card.session, **options)
    if how == "body":
        body = body.replace(b"8000", b"1")
        body += b" "
    elif how in ("none", "junk"):
        signature = "" if how == "none" else "t=1,v1=\xe9"
    assert card.send(body, signature).status_code == 400
    assert card.states == ("reserved", "pending")


def test_messages_in_the_wrong_order(card):
    card.begin()
    assert card.tell("checkout.session.async_payment_failed").status_code == 200
    assert card.tell("checkout.session.expired").status_code == 200
    assert card.tell().status_code == 200
    assert card.tell("checkout.session.expired").status_code == 200
    assert card.tell("something.new").status_code == 200
    assert card.states == ("paid", "completed")


@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_money_that_comes_too_late_is_given_back(card, app, fetch, end):
    card.begin()
    if end == "expired":
        with app.app_context():
            assert expire_purchases(utcnow() + timedelta(hours=2)) == 1
    else:
        card.buyer.post(f"/purchases/{card.id}/cancel")
        assert card.session["status"] == "expired"
    card.tell()
    assert card.states == (end, "refund_due")
    assert fetch(Book, card.book.id).stock == 5
    payment = fetch(Payment)[0].id
    card.gateway.broken = True
    assert card.staff.post(f"/admin/payments/{payment}/refund").status_code == 503
    assert card.states == (end, "refund_due")
    card.gateway.broken = False
    assert card.staff.post(f"/admin/payments/{payment}/refund").status_code == 302
    assert card.gateway.refunds == [card.session["payment_intent"]]
    assert card.states == (end, "refunded")


def test_a_wrong_amount_does_not_pay(card):
    card.begin()
    card.session["amount_total"] = 1
    card.tell()
    assert card.states == ("reserved", "refund_due")


def test_choosing_another_way_closes_the_page(card):
    card.begin()
    assert card.buyer.post(f"/payment/{card.id}", {"method": "Bank Transfer"}).status_code == 302
    assert card.session["status"] == "expired"
    assert card.states == ("placed", "pending")
    # Paid all the same, in the last moment: then it is paid.
    card.tell()
    assert card.states == ("paid", "completed")


def test_a_gateway_that_is_away_leaves_the_purchase_as_it_is(card, gateway):
    gateway.broken = True
    response = card.begin()
    assert response.status_code == 503
    assert "Card payments do not work" in response.text
    gateway.broken = False
    assert card.begin().status_code == 302


def test_the_staff_cannot_confirm_a_card(card, fetch):
    card.begin()
    assert card.staff.post(f"/admin/payments/{fetch(Payment)[0].id}/confirm").status_code == 409


def test_a_message_about_something_else_is_ignored(card):
    card.begin()
    other = dict(card.session, id="cs_unknown")
    assert card.send(*card.gateway.message(other)).status_code == 200
    unpaid = card.gateway.message(card.session, "checkout.session.async_payment_succeeded")
    assert card.send(*unpaid).status_code == 200
    assert card.states == ("reserved", "pending")


def test_without_keys_there_are_no_cards(make, browser):
    buyer = browser(make.user())
    purchase = purchase_of(buyer.post(f"/buy/{make.book().id}", {"quantity": "1"}))
    assert 'value="Card"' not in buyer.get(f"/payment/{purchase}").text
    assert buyer.post(f"/payment/{purchase}", {"method": "Card"}).status_code == 422
    assert buyer.client.post("/payments/messages", base_url="https://store.example").status_code == 404


def test_half_of_the_keys_is_refused():
    with pytest.raises(ConfigError, match="STRIPE_WEBHOOK_SECRET"):
        load_config({"SECRET_KEY": KEY, "DATABASE_URL": "sqlite://", "STRIPE_SECRET_KEY": "sk"})


@pytest.mark.parametrize(
    ("amount", "currency", "units"), [("12.50", "EUR", 1250), ("45000.00", "COP", 4500000), ("900.00", "JPY", 900)]
)
def test_amounts_as_the_gateway_counts_them(amount, currency, units):
    from decimal import Decimal

    assert minor_units(Decimal(amount), currency) == units
