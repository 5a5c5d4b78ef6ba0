"""Selling and looking at books: what a listing says, who sees it, pausing it; a seller's page."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from bookstore.accounts.models import Role
from bookstore.admin.models import Report, ReportReason
from bookstore.catalog import services
from bookstore.catalog.models import Book
from bookstore.columns import utcnow
from bookstore.errors import NotFound
from bookstore.extensions import db
from bookstore.orders.models import Purchase, PurchaseStatus, Rating

OLD = {"title": "T", "author": "A", "description": "", "price": "10", "stock": "1"}
ALL = OLD | {
    "condition": "like_new",
    "condition_notes": "Una dedicatoria\r\nen la portada",
    "category": "poetry",
    "language": "es",
    "isbn": "0-8044-2957-X",
}


@pytest.fixture
def purchase(app):
    def make_one(book, buyer, status=PurchaseStatus.PAID, quantity=1, stars=None, comment=""):
        with app.app_context():
            row = Purchase(
                buyer_id=buyer.id, book_id=book.id, quantity=quantity, unit_price=book.price,
                total=book.price * quantity, status=status, reserved_until=utcnow(),
            )  # fmt: skip
            db.session.add(row)
            db.session.flush()
            if stars:
                db.session.add(Rating(purchase_id=row.id, seller_id=book.seller_id, stars=stars, comment=comment))
            db.session.commit()

    return make_one


# The form


def test_everything_about_a_book(make, browser, fetch):
    visitor = browser(make.user(name="Papel y Tinta"))
    assert visitor.post("/book/add_book", ALL).status_code == 302
    (book,) = fetch(Book)
    assert (book.condition, book.category, book.language, book.isbn) == ("like_new", "poetry", "es", "9780804429573")
    page = browser().get(f"/book/{book.id}").text
    for part in ("Like new", "Una dedicatoria", "Poetry", "Spanish", "9780804429573", "Papel y Tinta", "COP\u00a010",
                 "No ratings yet", 'href="/book/catalog?q=A"', 'href="/book/catalog?category=poetry"'):  # fmt: skip
        assert part in page, part
    form = visitor.get(f"/book/edit_book/{book.id}").text
    for part in ('<option selected value="like_new">', '<option selected value="es">', 'value="9780804429573"'):
        assert part in form


def test_clients_that_know_less_leave_the_rest_as_it_is(make, browser, fetch):
    visitor = browser(make.user())
    assert visitor.post("/book/add_book", OLD).status_code == 302
    (book,) = fetch(Book)
    said = (book.condition, book.condition_notes, book.category, book.language, book.isbn)
    assert said == ("good", "", "other", "other", None)
    visitor.post(f"/book/edit_book/{book.id}", ALL)
    visitor.post(f"/book/edit_book/{book.id}", OLD | {"title": "New"})
    book = fetch(Book, book.id)
    assert (book.title, book.condition, book.category, book.isbn) == ("New", "like_new", "poetry", "9780804429573")
    visitor.post(f"/book/edit_book/{book.id}", OLD | {"isbn": ""})
    assert fetch(Book, book.id).isbn is None


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("isbn", "9780804429570", "no ISBN"),
        ("isbn", "x" * 41, "At most 40"),
        ("isbn", "\x00", "no ISBN"),
        ("condition", "mint", "Condition"),
        ("condition", "", "Condition"),
        ("category", "x" * 9000, "Category"),
        ("language", "\x00", "Language"),
        ("condition_notes", "x" * 501, "At most 500"),
        ("condition_notes", "\x1b", "invisible control"),
    ],
)
def test_junk_in_the_new_fields(make, browser, fetch, field, value, words):
    response = browser(make.user()).post("/book/add_book", ALL | {field: value})
    assert response.status_code == 422
    assert words in response.text
    assert fetch(Book) == []


@pytest.mark.parametrize(
    ("seen", "stock"), [("0", 1_000_000), ("-1", 1_000_000), ("999999", 500_001), ("9" * 40, 1_000_000)]
)
def test_a_forged_stock_seen_does_not_pass_the_limit(make, browser, fetch, seen, stock):
    seller = make.user()
    book = make.book(seller, stock=500_000)
    form = OLD | {"stock": "1000000", "stock_seen": seen}
    assert browser(seller).post(f"/book/edit_book/{book.id}", form).status_code == 302
    assert fetch(Book, book.id).stock == stock


# The page of a book


def test_a_book_that_is_not_there(browser):
    assert browser().get("/book/999999").status_code == 404
    assert "There is no such book here." in browser().get("/book/999999").text


@pytest.mark.parametrize(("status", "code"), [("paused", 404), ("archived", 410)])
def test_off_sale_only_those_concerned_see_it(make, browser, purchase, status, code):
    seller, buyer = make.user(), make.user()
    book = make.book(seller, status=status)
    purchase(book, buyer)
    for visitor in (browser(), browser(make.user())):
        response = visitor.get(f"/book/{book.id}")
        assert response.status_code == code
        assert "off sale for a while" in response.text or "no longer on sale" in response.text
        assert book.title not in response.text
    for person in (seller, buyer, make.admin(), make.user(role=Role.SUPPORT)):
        response = browser(person).get(f"/book/{book.id}")
        assert response.status_code == 200
        assert "Not on sale at the moment" in response.text
        assert 'action="/buy/' not in response.text
    edits = "/book/edit_book/" in browser(seller).get(f"/book/{book.id}").text
    assert edits == (status == "paused")


def test_what_a_visitor_can_do_with_a_book(make, browser):
    seller = make.user()
    book, sold_out = make.book(seller), make.book(seller, stock=0)
    page = browser().get(f"/book/{book.id}").text
    assert f"/login?next=/book/{book.id}" in page
    page = browser(make.user()).get(f"/book/{book.id}").text
    assert f'action="/buy/{book.id}"' in page
    assert "5 copies left" in page
    page = browser(make.user()).get(f"/book/{sold_out.id}").text
    assert "Sold out" in page
    assert f'action="/buy/{sold_out.id}"' not in page
    assert f'href="/book/edit_book/{book.id}"' in browser(seller).get(f"/book/{book.id}").text


def test_others_by_the_author(make, browser, count_queries):
    book = make.book(title="Howards End")
    visitor = browser()
    with count_queries() as few:
        assert "More by this author" not in visitor.get(f"/book/{book.id}").text
    for number in range(9):
        make.book(title=f"Other {number}")
    make.book(title="Somebody else's", author="Anybody")
    make.book(title="Paused one", status="paused")
    with count_queries() as more:
        page = visitor.get(f"/book/{book.id}").text
    assert len(more) == len(few) == 1
    assert [number for number in range(9) if f"Other {number}" in page] == [5, 6, 7, 8]
    assert "Somebody else" not in page
    assert "Paused one" not in page


def test_the_sellers_text_stays_text(make, browser):
    book = make.book(title="<script>x</script>", description="<b>y</b>", condition_notes="<i>z</i>")
    page = browser().get(f"/book/{book.id}").text
    for tag in ("<script>x", "<b>y", "<i>z"):
        assert tag not in page


# The page of a seller


def test_a_seller(make, browser, purchase):
    seller = make.user(name="Marcela", rating_count=3, rating_sum=13, created_at=datetime(2024, 5, 9, tzinfo=UTC))
    book = make.book(seller, title="On sale here")
    make.book(seller, title="Not now", status="paused")
    make.book(title="Of others")
    buyer = make.user(name="Curious Buyer")
    for number in range(7):
        purchase(book, buyer, stars=number % 5 + 1, comment=f"Comment <{number}>")
    page = browser().get(f"/seller/{seller.id}").text
    for part in ("Marcela", "4.3 of 5", "3 ratings", "May 2024", "On sale here", "Comment &lt;6&gt;", "2 stars of 5"):
        assert part in page, part
    for part in ("Not now", "Of others", "Curious Buyer", "Comment &lt;1&gt;", seller.email):
        assert part not in page, part
    assert "4,3 " in browser(language="es").get(f"/seller/{seller.id}").text
    assert f'href="/seller/{seller.id}"' in browser().get(f"/book/{book.id}").text


def test_who_never_sold_or_left_has_no_page(make, browser):
    mere_buyer, gone, resting = make.user(name="Private"), make.user(deleted_at=utcnow()), make.user()
    make.book(gone)
    make.book(resting, status="archived")
    for person in (mere_buyer, gone):
        response = browser().get(f"/seller/{person.id}")
        assert response.status_code == 404
        assert person.name not in response.text
    assert browser().get("/seller/999999").status_code == 404
    assert "No books on sale at the moment" in browser().get(f"/seller/{resting.id}").text


def test_a_sellers_books_page_by_page(make, browser, count_queries):
    seller = make.user()
    make.book(seller)
    visitor = browser()
    with count_queries() as few:
        visitor.get(f"/seller/{seller.id}")
    for _ in range(29):
        make.book(seller)
    with count_queries() as more:
        page = visitor.get(f"/seller/{seller.id}").text
    assert len(more) == len(few) == 3
    assert page.count('class="card-link"') == 24
    path = page.split('rel="next" href="')[1].split('"')[0]
    assert path.startswith(f"/seller/{seller.id}?after=")
    second = visitor.get(path).text
    assert second.count('class="card-link"') == 6
    assert f'href="/seller/{seller.id}">First page' in second
    assert visitor.get(f"/seller/{seller.id}?after=junk").status_code == 400


# Pausing


def test_pause_and_resume(make, browser, fetch, purchase):
    seller, buyer = make.user(), make.user()
    book = make.book(seller)
    own, other = browser(seller), browser(buyer)
    for _ in range(2):
        assert own.post(f"/book/pause_book/{book.id}").status_code == 302
        assert fetch(Book, book.id).status == "paused"
    assert book.title not in other.get("/book/catalog").text
    assert other.post(f"/buy/{book.id}", {"quantity": "1"}).status_code == 404
    page = own.get("/book/my_books").text
    assert "Paused" in page
    assert f'action="/book/resume_book/{book.id}"' in page
    # A paused book can be changed, and stays paused.
    assert own.post(f"/book/edit_book/{book.id}", OLD | {"title": "Renamed"}).status_code == 302
    assert fetch(Book, book.id).status == "paused"
    for _ in range(2):
        assert own.post(f"/book/resume_book/{book.id}").status_code == 302
    assert "Renamed" in other.get("/book/catalog").text


def test_only_the_seller_pauses_and_nobody_resumes_what_is_archived(make, browser, fetch):
    seller = make.user()
    book, archived = make.book(seller), make.book(seller, status="archived")
    for act in ("pause", "resume"):
        assert browser(make.user()).post(f"/book/{act}_book/{book.id}").status_code == 403
        assert browser(seller).post(f"/book/{act}_book/{archived.id}").status_code == 404
        assert browser(seller).post(f"/book/{act}_book/999999").status_code == 404
        assert browser(seller).get(f"/book/{act}_book/{book.id}").status_code == 405
        assert browser().post(f"/book/{act}_book/{book.id}").status_code == 302
    assert (fetch(Book, book.id).status, fetch(Book, archived.id).status) == ("active", "archived")


def test_what_staff_archives_meanwhile_is_not_brought_back(make, app, fetch, monkeypatch):
    seller = make.user()
    book = make.book(seller)
    with app.app_context():
        read = services.own_book(book.id, seller)
        db.session.execute(db.update(Book).values(status="archived"))
        monkeypatch.setattr(services, "own_book", lambda *args: read)
        data = services.BookData("New", "A", "", Decimal(1), 1)
        for act in (
            lambda: services.resume_book(book.id, seller),
            lambda: services.edit_book(book.id, seller, data, stock_seen=None),
        ):
            db.session.commit()
            with pytest.raises(NotFound):
                act()
    assert (fetch(Book, book.id).status, fetch(Book, book.id).title) == ("archived", book.title)


def test_a_reported_book_is_archived_instead_of_deleted(make, browser, app, fetch):
    """Nobody bought it, yet a row of the administration refers to it."""
    seller, reporter = make.user(), make.user()
    book = make.book(seller)
    with app.app_context():
        db.session.add(Report(book_id=book.id, reporter_id=reporter.id, reason=ReportReason.OTHER))
        db.session.commit()
    assert browser(seller).post(f"/book/delete_book/{book.id}").status_code == 302
    assert fetch(Book, book.id).status == "archived"


def test_my_books_say_how_many_were_sold(make, browser, purchase):
    seller, buyer = make.user(), make.user()
    book = make.book(seller)
    make.book(seller, title="Unsold", status="paused")
    for status, quantity in (
        ("paid", 2),
        ("placed", 1),
        ("completed", 4),
        ("reserved", 8),
        ("cancelled", 16),
        ("expired", 32),
    ):
        purchase(book, buyer, status, quantity)
    page = browser(seller).get("/book/my_books").text
    assert "7 sold" in page
    assert "0 sold" in page
    assert f'href="/book/{book.id}"' in page


@pytest.mark.parametrize("number", ["2147483648", str(2**63), "9" * 400, "-1", "0", "x", "1.0", "%00"])
def test_unknown_ids(make, browser, number):
    visitor = browser(make.user())
    for path in (f"/book/{number}", f"/seller/{number}"):
        assert visitor.get(path).status_code == 404
    for act in ("pause", "resume"):
        assert visitor.post(f"/book/{act}_book/{number}").status_code == 404
