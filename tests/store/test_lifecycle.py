"""Purchases in any order of steps, by anybody: copies are neither lost nor made, and no state contradicts another."""

import os
from collections.abc import Mapping
from datetime import timedelta

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import func, select

from bookstore import integrity
from bookstore.catalog.models import Book
from bookstore.columns import utcnow
from bookstore.errors import StoreError
from bookstore.extensions import db
from bookstore.orders import services as orders
from bookstore.orders.models import Purchase, PurchaseStatus
from bookstore.orders.states import DELIVERY, PAYMENT, PURCHASE
from bookstore.payments import services as payments
from bookstore.payments.models import Method, Payment
from bookstore.shipping import services as shipping
from bookstore.shipping.models import Delivery

from .conftest import Factory, rolled_back

# `make fuzz` takes many more, and others each time.
EXAMPLES = max(15, int(os.environ.get("FUZZ_REQUESTS", "0")) // 100)
COPIES = (3, 12)
# Ended ones have given their copies back; all others hold theirs.
ENDED = (PurchaseStatus.CANCELLED, PurchaseStatus.EXPIRED)
numbers = st.integers(0, 50)


def reachable(table: Mapping[str, frozenset[str]]) -> dict[str, set[str]]:
    """Which states can be where another one was, after any steps."""
    found = {state: {state} for state in table}
    for _ in table:
        for states in found.values():
            states.update(*(table[state] for state in tuple(states)))
    return found


AFTER = {Purchase: reachable(PURCHASE), Payment: reachable(PAYMENT), Delivery: reachable(DELIVERY)}


class Lifecycle(RuleBasedStateMachine):
    """A seller, two buyers, the staff and two books; every rule is a step that somebody tries."""

    app = None

    def __init__(self):
        super().__init__()
        self.transaction = rolled_back(self.app)
        self.transaction.__enter__()
        make = Factory(self.app)
        self.seller, self.staff = make.user(), make.admin()
        self.people = [make.user(), make.user(), self.seller]
        self.books = [make.book(self.seller, stock=copies).id for copies in COPIES]
        self.purchases = {}
        self.states = {}

    def teardown(self):
        self.transaction.__exit__(None, None, None)

    # Steps. To add one: a rule that lets somebody attempt a service. Services refuse by StoreError and nothing else.

    def attempt(self, service, *arguments):
        """Call a service; whether it did its work. ``made`` is the id of what it made."""
        with self.app.app_context():
            try:
                self.made = getattr(service(*arguments), "id", None)
                return True
            except StoreError:
                db.session.rollback()
                return False

    def attempt_on(self, number, service, who, *arguments, seller=False, buyer=True):
        """Let a person try a service on one of the purchases; who has no part in it must be refused."""
        key = sorted(self.purchases)[number % len(self.purchases)]
        person = self.people[who % len(self.people)]
        allowed = {self.seller.id if seller else None, self.purchases[key] if buyer else None}
        assert not self.attempt(service, key, person, *arguments) or person.id in allowed

    def payment(self, number):
        """The payment of one of the purchases, or an id that none has."""
        key = sorted(self.purchases)[number % len(self.purchases)]
        with self.app.app_context():
            return db.session.scalar(select(Payment.id).where(Payment.purchase_id == key)) or 0

    @rule(who=numbers, book=st.sampled_from([0, 1]), quantity=st.integers(-1, 5))
    def buy(self, who, book, quantity):
        person = self.people[who % len(self.people)]
        if self.attempt(orders.buy, person, self.books[book], quantity):
            assert person is not self.seller
            assert quantity > 0
            self.purchases[self.made] = person.id

    @rule(minutes=st.sampled_from([0, 40]))
    def expire(self, minutes):
        with self.app.app_context():
            orders.expire_purchases(utcnow() + timedelta(minutes=minutes))

    @precondition(lambda self: self.purchases)
    @rule(number=numbers, who=numbers, method=st.sampled_from([*Method, "Shells"]))
    def pay(self, number, who, method):
        self.attempt_on(number, payments.pay, who, method)

    @precondition(lambda self: self.purchases)
    @rule(number=numbers, who=numbers, choice=st.sampled_from(["1", "DHL", "Pigeon"]))
    def choose_provider(self, number, who, choice):
        self.attempt_on(number, shipping.choose_provider, who, choice)

    @precondition(lambda self: self.purchases)
    @rule(number=numbers, who=numbers)
    def cancel(self, number, who):
        self.attempt_on(number, orders.cancel_purchase, who, seller=True)

    @precondition(lambda self: self.purchases)
    @rule(number=numbers, who=numbers)
    def ship(self, number, who):
        self.attempt_on(number, shipping.mark_shipped, who, "T1", seller=True, buyer=False)

    @precondition(lambda self: self.purchases)
    @rule(number=numbers, who=numbers)
    def receive(self, number, who):
        self.attempt_on(number, shipping.mark_delivered, who)

    @precondition(lambda self: self.purchases)
    @rule(number=numbers)
    def confirm(self, number):
        self.attempt(payments.confirm_payment, self.payment(number), self.staff)

    @precondition(lambda self: self.purchases)
    @rule(number=numbers)
    def refund(self, number):
        self.attempt(payments.refund_payment, self.payment(number), self.staff)

    @invariant()
    def copies_are_neither_lost_nor_made(self):
        with self.app.app_context():
            held = func.coalesce(func.sum(Purchase.quantity), 0)
            for book, copies in zip(self.books, COPIES, strict=True):
                holding = select(held).where(Purchase.book_id == book, Purchase.status.not_in(ENDED))
                stock = db.session.get(Book, book).stock
                assert stock >= 0
                assert stock + db.session.scalar(holding) == copies

    @invariant()
    def states_agree(self):
        with self.app.app_context():
            assert [*integrity.books(), *integrity.purchases()] == []

    @invariant()
    def states_follow_each_other(self):
        with self.app.app_context():
            now = {
                (model, key): status
                for model in AFTER
                for key, status in db.session.execute(select(model.id, model.status))
            }
        for (model, key), before in self.states.items():
            assert now[model, key] in AFTER[model][before], f"{model.__name__} {before} -> {now[model, key]}"
        self.states = now


def test_lifecycle(migrated_app):
    Lifecycle.app = migrated_app
    run_state_machine_as_test(
        Lifecycle,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=20,
            database=None,
            derandomize="FUZZ_SEED" not in os.environ,
        ),
    )
