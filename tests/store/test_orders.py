"""From the reservation to the parcel: every step once, by whom it is for, in the order that makes sense."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from bookstore.admin.models import AuditEntry
from bookstore.catalog.models import Book
from bookstore.columns import utcnow
from bookstore.extensions import db
from bookstore.orders.models import Purchase, PurchaseEvent, Rating
from bookstore.orders.services import MAX_OPEN_RESERVATIONS, TooManyReservations, buy, expire_purchases
from bookstore.orders.states import DELIVERY, PAYMENT, PURCHASE
from bookstore.payments.models import Payment
from bookstore.shipping.models import Delivery, DeliveryProvider

from .conftest import purchase_of

ADDRESS = {"recipient": "Bruno Díaz", "address": "Calle 10 # 5-51", "city": "Bogotá", "phone": ""}


class Trade:
    """A seller, a buyer and a book between them."""

    def __init__(self, make, browser, fetch):
        self.fetch = fetch
        self.sofia, self.bruno = make.user(name="Sofía"), make.user(name="Bruno")
        self.seller, self.buyer = browser(self.sofia), browser(self.bruno)
        self.staff = browser(make.admin())
        self.book = make.book(self.sofia, stock=5)
        self.id = purchase_of(self.buyer.post(f"/buy/{self.book.id}", {"quantity": "2"}))

    def pay(self, method="Paypal", **more):
        return self.buyer.post(f"/payment/{self.id}", {"method": method, **more})

    def deliver(self, **more):
        return self.buyer.post(f"/delivery/{self.id}", {"provider": "Envia", **ADDRESS, **more})

    def ship(self, number="ENV-1"):
        return self.seller.post(f"/sales/{self.id}/shipped", {"tracking_number": number})

    def receive(self):
        return self.buyer.post(f"/purchases/{self.id}/received")

    def cancel(self, who=None):
        return (who or self.buyer).post(f"/purchases/{self.id}/cancel")

    @property
    def states(self):
        rows = (self.fetch(Purchase), self.fetch(Payment), self.fetch(Delivery))
        return tuple(row[0].status if row else None for row in rows)

    @property
    def stock(self):
        return self.fetch(Book, self.book.id).stock


@pytest.fixture
def trade(make, browser, fetch):
    return Trade(make, browser, fetch)


def envia(fetch):
    return next(p for p in fetch(DeliveryProvider) if p.name == "Envia")


def test_the_whole_way(trade, fetch):
    page = trade.buyer.get(f"/payment/{trade.id}").text
    # 2 x 30.00 and the carrier's 20.00: said before paying.
    assert "COP\u00a080 in all" in page
    assert trade.pay("Credit Card", provider=str(envia(fetch).id)).headers["Location"] == f"/delivery/{trade.id}"
    assert fetch(Payment)[0].amount == Decimal("80.00")
    assert "Delivery service" not in trade.buyer.get(f"/delivery/{trade.id}").text
    response = trade.buyer.post(f"/delivery/{trade.id}", ADDRESS)
    assert response.headers["Location"] == f"/purchases/{trade.id}"
    assert "Bruno Díaz" in trade.seller.get(f"/purchases/{trade.id}").text
    assert "A Room with a View" in trade.seller.get("/sales").text
    assert trade.ship("ENV-77").status_code == 302
    assert trade.states == ("paid", "completed", "shipped")
    assert "ENV-77" in trade.buyer.get(f"/purchases/{trade.id}").text
    assert trade.receive().status_code == 302
    assert trade.states == ("completed", "completed", "delivered")
    assert trade.stock == 3
    page = trade.buyer.get(f"/purchases/{trade.id}").text
    history = page.split('class="history"')[1].split("</ol>")[0]
    order = ("Reserved", "Payment received", "Paid", "Shipped", "Delivered", "Completed")
    places = [history.index(f"<span>{word}<") for word in order]
    assert places == sorted(places)


def test_no_step_can_be_taken_twice(trade):
    trade.pay()
    trade.deliver()
    trade.ship()
    trade.receive()
    assert [trade.pay().status_code, trade.deliver().status_code] == [409, 409]
    assert [trade.ship().status_code, trade.receive().status_code, trade.cancel().status_code] == [409, 409, 409]


def test_no_step_is_taken_before_its_time(trade):
    assert [trade.deliver().status_code, trade.ship().status_code, trade.receive().status_code] == [409, 409, 409]
    trade.pay()
    assert [trade.ship().status_code, trade.receive().status_code] == [409, 409]
    trade.deliver()
    assert trade.receive().status_code == 409


def test_a_stranger_can_do_nothing(trade, make, browser):
    trade.pay()
    trade.deliver()
    stranger = browser(make.user())
    paths = [f"/purchases/{trade.id}/{verb}" for verb in ("cancel", "rate", "received")] + [
        f"/sales/{trade.id}/shipped"
    ]
    assert {stranger.post(path, {"stars": "5"}).status_code for path in paths} == {404}
    assert stranger.get(f"/purchases/{trade.id}").status_code == 404
    # The seller is no buyer, and the other way round.
    assert trade.seller.post(f"/purchases/{trade.id}/received").status_code == 404
    assert trade.buyer.post(f"/sales/{trade.id}/shipped").status_code == 404
    for page in ("/admin/purchases", "/admin/payments", "/admin/deliveries", "/admin/providers"):
        assert stranger.get(page).status_code == 403


@pytest.mark.parametrize("who", ["buyer", "seller"])
def test_cancelling_before_paying_gives_the_copies_back(trade, who):
    assert trade.cancel(getattr(trade, who)).status_code == 302
    assert (trade.states, trade.stock) == (("cancelled", None, None), 5)
    assert trade.pay().status_code == 409
    assert trade.cancel().status_code == 409
    assert trade.stock == 5


def test_cancelling_after_paying_makes_a_refund_due(trade, fetch):
    trade.pay()
    trade.deliver()
    trade.cancel(trade.seller)
    assert (trade.states, trade.stock) == (("cancelled", "refund_due", "cancelled"), 5)
    payment = fetch(Payment)[0].id
    # The overview leads there.
    assert "/admin/payments?status=refund_due" in trade.staff.get("/admin/").text
    assert "Refund due" in trade.staff.get("/admin/payments?status=refund_due").text
    assert trade.staff.post(f"/admin/payments/{payment}/refund").status_code == 302
    assert trade.states[1] == "refunded"
    assert trade.staff.post(f"/admin/payments/{payment}/refund").status_code == 409
    assert [entry.action for entry in fetch(AuditEntry)] == ["payment.refund"]


def test_bank_transfer_waits_for_an_administrator(trade, fetch, make, browser):
    assert trade.pay("Bank Transfer").status_code == 302
    assert trade.states == ("placed", "pending", None)
    trade.deliver()
    assert trade.ship().status_code == 409
    payment = fetch(Payment)[0].id
    support = browser(make.user(role="support"))
    assert "Money received" not in support.get("/admin/payments").text
    for visitor in (trade.buyer, support):
        assert visitor.post(f"/admin/payments/{payment}/confirm").status_code == 403
    assert trade.staff.post(f"/admin/payments/{payment}/confirm").status_code == 302
    assert trade.staff.post(f"/admin/payments/{payment}/confirm").status_code == 409
    assert trade.states == ("paid", "completed", "pending")
    assert trade.ship().status_code == 302
    assert [(entry.action, entry.target) for entry in fetch(AuditEntry)] == [("payment.confirm", f"payment {payment}")]


def test_a_transfer_that_never_comes_ends_after_days(trade, app, fetch):
    trade.pay("Bank Transfer")
    trade.deliver()
    with app.app_context():
        assert expire_purchases(utcnow() + timedelta(days=4)) == 0
        assert expire_purchases(utcnow() + timedelta(days=6)) == 1
    assert (trade.states, trade.stock) == (("expired", "cancelled", "cancelled"), 5)
    assert trade.staff.post(f"/admin/payments/{fetch(Payment)[0].id}/confirm").status_code == 409


def test_cash_on_delivery_is_paid_after_the_parcel(trade, app, fetch):
    trade.pay("Cash on Delivery")
    trade.deliver()
    assert trade.ship().status_code == 302
    with app.app_context():
        assert expire_purchases(utcnow() + timedelta(days=4000)) == 0
    trade.receive()
    assert trade.states == ("placed", "pending", "delivered")
    trade.staff.post(f"/admin/payments/{fetch(Payment)[0].id}/confirm")
    assert trade.states == ("completed", "completed", "delivered")


def test_one_broken_purchase_does_not_hold_up_the_others(trade, app, monkeypatch, make, browser):
    from sqlalchemy.exc import DataError

    from bookstore.orders import services

    second = purchase_of(browser(make.user()).post(f"/buy/{trade.book.id}", {"quantity": "1"}))
    end = services._end

    def fail_on_first(purchase, *rest):
        if purchase.id == trade.id:
            raise DataError("UPDATE", {}, Exception("out of range"))
        end(purchase, *rest)

    monkeypatch.setattr(services, "_end", fail_on_first)
    with app.app_context():
        assert expire_purchases(utcnow() + timedelta(hours=1)) == 1
        db.session.rollback()
        assert db.session.get(Purchase, second).status == "expired"


def test_a_form_that_is_sent_again_meets_its_purchase(make, browser, fetch):
    book = make.book(stock=5)
    buyer = browser(make.user())
    page = buyer.get("/book/catalog").text
    key = page.split('name="key" value="')[1].split('"')[0]
    form = {"quantity": "2", "key": key}
    first = purchase_of(buyer.post(f"/buy/{book.id}", form))
    # A double click, and the same page in another tab.
    assert purchase_of(buyer.post(f"/buy/{book.id}", form)) == first
    buyer.post(f"/payment/{first}", {"method": "Paypal"})
    # The back button, then the button to buy.
    assert buyer.post(f"/buy/{book.id}", form).headers["Location"] == f"/purchases/{first}"
    assert fetch(Book, book.id).stock == 3
    fresh = buyer.get("/book/catalog").text.split('name="key" value="')[1].split('"')[0]
    assert fresh != key
    assert purchase_of(buyer.post(f"/buy/{book.id}", form | {"key": fresh})) != first


def test_a_repeated_form_meets_its_purchase_even_when_it_took_the_last_copy(make, browser, fetch):
    book = make.book(stock=1)
    buyer = browser(make.user())
    form = {"quantity": "1", "key": "after-0"}
    assert purchase_of(buyer.post(f"/buy/{book.id}", form)) == purchase_of(buyer.post(f"/buy/{book.id}", form))


def test_nobody_can_reserve_everything(make, app):
    buyer, book = make.user(), make.book(stock=1000)
    with app.app_context():
        for number in range(MAX_OPEN_RESERVATIONS):
            last = buy(buyer, book.id, 1, f"form-{number}").id
        with pytest.raises(TooManyReservations):
            buy(buyer, book.id, 1, "one-more")
        # A form that comes twice is no further one.
        assert buy(buyer, book.id, 1, f"form-{MAX_OPEN_RESERVATIONS - 1}").id == last
        assert db.session.get(Book, book.id).stock == 1000 - MAX_OPEN_RESERVATIONS


def test_a_purchase_is_rated_once(trade, fetch):
    assert trade.buyer.post(f"/purchases/{trade.id}/rate", {"stars": "5"}).status_code == 409
    trade.pay()
    # It can still be cancelled: a rating would stay.
    assert trade.buyer.post(f"/purchases/{trade.id}/rate", {"stars": "1"}).status_code == 409
    assert "Rate the seller" not in trade.buyer.get(f"/purchases/{trade.id}").text
    trade.deliver()
    trade.ship()
    assert "Rate the seller" in trade.buyer.get(f"/purchases/{trade.id}").text
    for stars in ("0", "6", "", "x"):
        assert trade.buyer.post(f"/purchases/{trade.id}/rate", {"stars": stars}).status_code == 422
    assert trade.buyer.post(f"/purchases/{trade.id}/rate", {"stars": "4", "comment": "Quick."}).status_code == 302
    assert trade.buyer.post(f"/purchases/{trade.id}/rate", {"stars": "1"}).status_code == 409
    assert [(r.stars, r.comment, r.seller_id) for r in fetch(Rating)] == [(4, "Quick.", trade.sofia.id)]
    seller = fetch(type(trade.sofia), trade.sofia.id)
    assert (seller.rating_count, seller.rating_sum) == (1, 4)


def test_an_address_is_asked_for_and_checked(trade):
    trade.pay()
    response = trade.deliver(address="", city=" ")
    assert response.status_code == 422
    assert "Please enter the address." in response.text
    assert trade.deliver().status_code == 302
    assert trade.deliver().status_code == 409


def test_an_unknown_carrier_is_refused_when_paying(trade):
    response = trade.pay(provider="Pigeon")
    assert response.status_code == 422
    assert trade.states == ("reserved", None, None)


def test_demonstration_payments_can_be_off(trade, app, monkeypatch):
    monkeypatch.setitem(app.config, "SIMULATED_PAYMENTS", False)
    page = trade.buyer.get(f"/payment/{trade.id}").text
    assert "Demonstration" not in page
    assert trade.pay("Paypal").status_code == 422
    # No account to transfer to is named.
    assert "Bank transfer" not in page
    assert trade.pay("Bank Transfer").status_code == 422


def test_a_transfer_says_how_much_to_which_account_and_until_when(trade, app, fetch, monkeypatch):
    monkeypatch.setitem(app.config, "SIMULATED_PAYMENTS", False)
    monkeypatch.setitem(app.config, "TRANSFER_INSTRUCTIONS", "Banco Sol, account 123-456")
    assert trade.pay("Bank Transfer").status_code == 302
    trade.deliver()
    page = trade.buyer.get(f"/purchases/{trade.id}").text
    assert "Banco Sol, account 123-456" in page
    assert re.search(rf"Please transfer COP\s[\d,.]+ until .+, and name purchase no. {trade.id}\.", page)
    assert "Enjoy your reading" not in page
    assert "Banco Sol" not in trade.seller.get(f"/purchases/{trade.id}").text
    trade.staff.post(f"/admin/payments/{fetch(Payment)[0].id}/confirm")
    assert "Banco Sol" not in trade.buyer.get(f"/purchases/{trade.id}").text


def test_nobody_pays_a_total_that_they_have_not_seen(trade):
    page = trade.buyer.get(f"/payment/{trade.id}").text
    assert 'name="carriers_shown"' in page
    refused = trade.pay("Paypal", carriers_shown="yes")
    assert refused.status_code == 422
    assert "Please choose a delivery service." in refused.text
    assert trade.states[0] == "reserved"


def test_a_purchase_has_one_total(trade):
    carrier = re.search(r'name="provider"[^>]*value="(\d+)"', trade.buyer.get(f"/payment/{trade.id}").text)[1]
    trade.pay("Paypal", carriers_shown="yes", provider=carrier)
    total = re.search(r'<p class="total">.*?<strong>(.+?)</strong>', trade.buyer.get(f"/purchases/{trade.id}").text)[1]
    assert total in trade.buyer.get("/purchases").text
    assert total in trade.seller.get("/sales").text
    assert total in trade.staff.get("/admin/purchases").text


def test_carriers_are_kept_by_administrators(trade, make, browser, fetch):
    new = {"name": "Coordinadora", "cost": "12.50", "active": "y"}
    assert trade.staff.post("/admin/providers/new", new).status_code == 302
    assert "Coordinadora" in trade.buyer.get(f"/payment/{trade.id}").text
    assert trade.staff.post("/admin/providers/new", new).status_code == 422
    provider = next(p for p in fetch(DeliveryProvider) if p.name == "Coordinadora")
    assert trade.staff.get(f"/admin/providers/{provider.id}").status_code == 200
    assert trade.staff.post(f"/admin/providers/{provider.id}", {"name": "C2", "cost": "1"}).status_code == 302
    assert "C2" not in trade.buyer.get(f"/payment/{trade.id}").text
    assert "Retired" in trade.staff.get("/admin/providers").text
    assert trade.staff.get("/admin/providers/999").status_code == 404
    assert [e.action for e in fetch(AuditEntry)] == ["provider.add", "provider.change"]
    support = browser(make.user(role="support"))
    assert support.get("/admin/providers").status_code == 200
    assert support.get("/admin/providers/new").status_code == 403


def test_the_staff_see_everything(trade):
    trade.pay("Bank Transfer")
    trade.deliver()
    assert "A Room with a View" in trade.staff.get("/admin/purchases?status=placed").text
    assert "A Room with a View" not in trade.staff.get("/admin/purchases?status=paid").text
    assert "Money received" in trade.staff.get("/admin/payments").text
    assert "Bogotá" in trade.staff.get("/admin/deliveries?status=pending").text


def test_every_state_can_be_reached_and_the_tables_are_closed():
    for table in (PURCHASE, PAYMENT, DELIVERY):
        reached = set().union(*table.values())
        assert reached <= table.keys()
        assert len(table.keys() - reached) == 1


def test_the_history_names_who_did_it(trade, fetch):
    trade.pay()
    assert {event.actor_id for event in fetch(PurchaseEvent)} == {trade.bruno.id}


def test_an_expired_reservation_cannot_be_paid_late(trade, app):
    with app.app_context():
        db.session.execute(update(Purchase).values(reserved_until=utcnow() - timedelta(seconds=1)))
        db.session.commit()
    assert trade.pay().status_code == 409
    assert trade.states == ("reserved", None, None)
