"""``flask check-integrity`` finds what was broken behind the services' backs, and nothing else."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy.exc import DBAPIError

from bookstore import integrity
from bookstore.accounts.models import User
from bookstore.catalog.models import Book, BookTerm
from bookstore.catalog.search import index_book
from bookstore.columns import utcnow
from bookstore.extensions import db
from bookstore.orders.models import Purchase, Rating
from bookstore.payments.models import Payment
from bookstore.shipping.models import Delivery, DeliveryProvider

HASH = "ab" * 32


@pytest.fixture
def check(app):
    def run(*arguments):
        result = app.test_cli_runner().invoke(args=["check-integrity", *arguments])
        assert not result.exception or isinstance(result.exception, SystemExit), result.exception
        *found, summary = result.output.splitlines()
        assert result.exit_code == (1 if found else 0), result.output
        return found, summary

    return run


@pytest.fixture
def book(app, make):
    made = make.book()
    with app.app_context():
        index_book(db.session, db.session.get(Book, made.id))
        db.session.commit()
    return made


@pytest.fixture
def purchase(app, make, book, fetch):
    """Make a purchase with a payment and a delivery, each in the state that is given."""

    def made(status, payment=None, delivery=None, amount="60.00", method="Paypal", **values):
        with app.app_context():
            defaults = {"quantity": 2, "unit_price": Decimal(30), "total": Decimal(60)}
            defaults |= {"reserved_until": utcnow() + timedelta(minutes=5), "buyer_id": make.user().id}
            row = Purchase(book_id=book.id, status=status, **(defaults | values))
            db.session.add(row)
            db.session.flush()
            if payment:
                db.session.add(Payment(purchase_id=row.id, method=method, amount=Decimal(amount), status=payment))
            if delivery:
                provider = db.session.scalars(db.select(DeliveryProvider)).first()
                db.session.add(Delivery(purchase_id=row.id, provider_id=provider.id, cost=1, status=delivery))
            db.session.commit()
            return row.id

    return made


def execute(app, statement):
    with app.app_context():
        db.session.execute(statement)
        db.session.commit()


def test_an_empty_store_is_whole(check):
    assert check() == ([], "books, purchases, ratings, words: 0 findings")


def test_every_state_that_the_services_make_is_whole(check, purchase):
    cash = {"method": "Cash on Delivery"}
    purchase("reserved")
    purchase("reserved", "pending", "pending")
    purchase("placed", "pending")
    purchase("placed", "pending", "shipped", **cash)
    purchase("placed", "pending", "delivered", **cash)
    purchase("paid", "completed", amount="75.50")
    purchase("paid", "completed", "shipped")
    purchase("completed", "completed", "delivered")
    for ended in ("cancelled", "expired"):
        old = {"reserved_until": utcnow() - timedelta(days=9)}
        purchase(ended, **old)
        purchase(ended, "cancelled", "cancelled", **old)
        purchase(ended, "refund_due", **old)
        purchase(ended, "refunded", **old)
    assert check()[0] == []


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("lost",), "status is 'lost'"),
        (("paid",), "paid, but its payment is missing"),
        (("paid", "pending"), "paid, but its payment is pending"),
        (("completed", "completed"), "completed, but its delivery is missing"),
        (("completed", "completed", "shipped"), "completed, but its delivery is shipped"),
        (("placed",), "placed, but its payment is missing"),
        (("placed", "pending", "shipped"), "shipped before it is paid"),
        (("reserved", "completed"), "reserved, but its payment is completed"),
        (("reserved", None, "shipped"), "reserved, but its delivery is shipped"),
        (("expired", "completed"), "expired, but its payment is completed"),
        (("cancelled", "cancelled", "delivered"), "cancelled, but its delivery is delivered"),
    ],
)
def test_states_that_contradict_each_other(check, purchase, arguments, fault):
    key = purchase(*arguments)
    assert check()[0] == [f"purchase {key}: {fault}"]


def test_money_that_does_not_add_up(check, purchase):
    short = purchase("paid", "completed", amount="59.99")
    wrong = purchase("paid", "completed", total=Decimal("59.00"))
    assert check()[0] == [
        f"purchase {short}: 59.99 is paid of 60.00",
        f"purchase {wrong}: the total is not quantity times price",
    ]


def test_a_dead_timer(check, purchase):
    purchase("reserved", reserved_until=utcnow() - timedelta(minutes=50))
    late = purchase("reserved", reserved_until=utcnow() - timedelta(minutes=70))
    placed = purchase("placed", "pending", reserved_until=utcnow() - timedelta(days=1))
    assert [line.split(";")[0] for line in check()[0]] == [
        f"purchase {late}: reserved and overdue",
        f"purchase {placed}: placed and overdue",
    ]


def test_books_below_zero_and_in_no_state(app, check, book):
    with app.app_context():
        if db.engine.dialect.name != "sqlite":
            # There such a row cannot come about.
            with pytest.raises(DBAPIError, match="stock_not_negative"):
                db.session.execute(db.update(Book).values(stock=-1, status="gone"))
            return
        db.session.execute(db.text("PRAGMA ignore_check_constraints = ON"))
        db.session.execute(db.update(Book).values(stock=-1, status="gone"))
        db.session.commit()
        db.session.execute(db.text("PRAGMA ignore_check_constraints = OFF"))
    assert check()[0] == [f"book {book.id}: stock is -1", f"book {book.id}: status is 'gone'"]


def test_ratings_that_nobody_gave(app, make, check, purchase, book):
    key = purchase("completed", "completed", "delivered")
    execute(app, db.update(User).where(User.id == book.seller_id).values(rating_count=1, rating_sum=4))
    assert check()[0] == [f"user {book.seller_id}: 1 ratings of 4 stars, but there are 0 of 0"]
    execute(app, db.insert(Rating).values(purchase_id=key, seller_id=book.seller_id, stars=4))
    assert check()[0] == []


def test_words_that_search_does_not_know(app, check, book, make):
    found = [f"book {book.id}: its words are out of date; run rebuild-search"]
    execute(app, db.update(Book).values(title="Howards End"))
    assert check()[0] == found
    execute(app, db.update(Book).values(title=book.title))
    assert check()[0] == []
    execute(app, db.update(Book).values(price=book.price + 1))
    assert check()[0] == found
    execute(app, db.delete(BookTerm))
    assert check("--all-words")[0] == found


def test_words_are_sampled_in_a_large_catalogue(app, check, make, monkeypatch):
    newest = [make.book() for _ in range(6)][-1].id
    # Every second one; ids do not begin at one.
    monkeypatch.setattr(integrity, "SAMPLE", newest // 2)
    execute(app, db.delete(BookTerm))
    assert 0 < len(check()[0]) < 6
    assert len(check("--all-words")[0]) == 6


def test_covers_without_files_and_files_without_covers(app, check, book, tmp_path, monkeypatch):
    monkeypatch.setitem(app.config, "UPLOAD_FOLDER", str(tmp_path))
    execute(app, db.update(Book).values(cover=HASH))
    assert len(check()[0]) == 2
    folder = tmp_path / "covers" / "ab"
    folder.mkdir(parents=True)
    (folder / f"{HASH}-small.webp").touch()
    assert check()[0] == [f"book {book.id}: {HASH[:12]}…-large.webp is missing"]
    (folder / f"{HASH}-large.webp").touch()
    (folder / f"{HASH[:-1]}0-large.webp").touch()
    assert check() == (
        [],
        "books, purchases, ratings, words, covers: 0 findings; 1 files of covers belong to no book",
    )


def test_lines_are_capped_and_batches_are_small(app, check, make, monkeypatch):
    monkeypatch.setattr(integrity, "BATCH", 2)
    seller = make.user()
    for _ in range(7):
        make.book(seller)
    execute(app, db.delete(BookTerm))
    found, summary = check("--most", "3", "--all-words")
    assert found[-1] == "words: 4 more"
    assert len(found) == 4
    assert summary.endswith("7 findings")
