"""Finding books: words, filters, orders, pages, and what is said when nothing fits."""

import random
import re
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given, settings, strategies as st
from sqlalchemy import and_, exists, insert, select
from sqlalchemy.orm import aliased

from bookstore.catalog import finding, search
from bookstore.catalog.finding import Search, Sort, find
from bookstore.catalog.isbn import as_isbn13, check_digit
from bookstore.catalog.models import Book, BookTerm, Category, Condition, Language
from bookstore.errors import InvalidInput
from bookstore.extensions import db
from bookstore.pagination import decode_position, encode_position

CARD = re.compile(r'class="card-link" href="/book/\d+">([^<]+)<')


def titles(page):
    return CARD.findall(page.text)


@pytest.fixture
def shelf(make, browser):
    seller = make.user(name="Librería Ñandú")
    for values in (
        {"title": "Cien años de soledad", "author": "Gabriel García Márquez", "language": "es", "category": "fiction",
         "price": Decimal("40000"), "isbn": "9780307474728"},
        {"title": "El otoño del patriarca", "author": "Gabriel García Márquez", "language": "es",
         "price": Decimal("25000"), "stock": 0},
        {"title": "The C++ Programming Language", "author": "Bjarne Stroustrup", "language": "en",
         "category": "technology", "price": Decimal("90000"), "condition": "like_new"},
        {"title": "The C Programming Language", "author": "Kernighan & Ritchie", "language": "en",
         "category": "technology", "price": Decimal("60000"), "condition": "acceptable"},
        {"title": "Autumn", "author": "Ali Smith", "price": Decimal("30000")},
        {"title": "Hidden", "author": "Gabriel García Márquez", "status": "paused"},
        {"title": "Long gone", "author": "Gabriel García Márquez", "status": "archived"},
    ):  # fmt: skip
        make.book(seller, **values)
    return browser()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("soledad", ["Cien años de soledad"]),
        ("SOLEDAD", ["Cien años de soledad"]),
        ("anos soledad", ["Cien años de soledad"]),
        ("garcia marquez", ["El otoño del patriarca", "Cien años de soledad"]),
        ("Márquez, otoño", ["El otoño del patriarca"]),
        ("the of cien de los años", ["Cien años de soledad"]),
        ("c++", ["The C++ Programming Language"]),
        ("C", ["The C Programming Language"]),
        ("programming language", ["The C Programming Language", "The C++ Programming Language"]),
        ("978-0-307-47472-8", ["Cien años de soledad"]),
        ("ISBN 0-307-47472-0", ["Cien años de soledad"]),
        ("9780307474728", ["Cien años de soledad"]),
        ("soledad autumn", []),
        ("solead", []),
        ("*", []), ("+-", []), ('"', []), ("'", []), ("%", []), ("\\", []), ("()", []), ("de la", []), ("\x00", []),
        ("'; DROP TABLE books; --", []),
        ('"cien años"', ["Cien años de soledad"]),
        ("+soledad -cien", ["Cien años de soledad"]),
        ("soledad " + "x " * 5000, []),
        ("𝒸ien", ["Cien años de soledad"]),
        ("日本", []),
    ],
)  # fmt: skip
def test_words(shelf, query, found):
    page = shelf.get("/book/catalog", query_string={"q": query})
    assert page.status_code == 200
    assert titles(page) == found
    if not found:
        assert "No book fits" in page.text
        assert 'href="/book/catalog">See the newest books' in page.text


def test_what_was_looked_for_is_said_and_stays_in_the_field(shelf):
    page = shelf.get("/book/catalog", query_string={"q": '<i>"nothing'})
    assert "You looked for “&lt;i&gt;&#34;nothing”." in page.text
    assert 'value="&lt;i&gt;&#34;nothing"' in page.text


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"category": "technology"}, 2),
        ({"language": "es"}, 2),
        ({"condition": "like_new"}, 1),
        ({"price_min": "40000"}, 3),
        ({"price_max": "30000,00"}, 2),
        ({"price_min": "30000", "price_max": "60000"}, 3),
        ({"price_min": "60000", "price_max": "30000"}, 0),
        ({"in_stock": "1"}, 4),
        ({"in_stock": "0"}, 5),
        ({"language": "es", "in_stock": "y"}, 1),
        ({"q": "gabriel", "language": "es", "price_max": "26000"}, 1),
        ({"q": "", "category": "", "price_min": "", "price_max": " "}, 5),
        # What is not known is not asked for.
        ({"category": "cookery", "language": "xx", "condition": "'", "sort": "random"}, 5),
        ({"category": "technology", "language": "%", "sort": "\x00"}, 2),
    ],
)
def test_filters(shelf, filters, found):
    page = shelf.get("/book/catalog", query_string=filters)
    assert page.status_code == 200
    assert len(titles(page)) == found


@pytest.mark.parametrize("price", ["x", "45.000", "1e5", "nan", "9" * 400, "1,5,5"])
def test_a_price_that_is_none_is_said_beside_the_field(shelf, price):
    page = shelf.get("/book/catalog", query_string={"price_min": price, "q": "soledad"})
    assert page.status_code == 422
    assert "Price from: Please enter digits alone" in page.text
    assert f'value="{price}"' in page.text


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("newest", ["Autumn", "The C Programming Language", "The C++ Programming Language"]),
        ("price", ["El otoño del patriarca", "Autumn", "Cien años de soledad"]),
        ("price_desc", ["The C++ Programming Language", "The C Programming Language", "Cien años de soledad"]),
        ("title", ["Autumn", "Cien años de soledad", "El otoño del patriarca"]),
    ],
)
def test_orders(shelf, sort, found):
    assert titles(shelf.get(f"/book/catalog?sort={sort}"))[:3] == found


def test_addresses_hold_what_was_asked_and_no_more(shelf):
    page = shelf.get("/book/catalog?q=language&category=technology&language=&price_min=&price_max=95000&sort=newest")
    links = re.findall(r'href="(/book/catalog\?[^"]+)"', page.text.replace("&amp;", "&"))
    asked = [{name: value[0] for name, value in parse_qs(urlsplit(link).query).items()} for link in links]
    kept = {"q": "language", "category": "technology", "price_max": "95000"}
    assert kept | {"sort": "price"} in asked
    assert {"q": "language", "category": "technology"} in asked
    assert {"q": "language", "price_max": "95000"} in asked
    assert all("=&" not in link and not link.endswith("=") for link in links)


def test_no_result_offers_the_search_without_filters(shelf):
    page = shelf.get("/book/catalog?q=soledad&language=en")
    assert titles(page) == []
    assert 'href="/book/catalog?q=soledad">Search without filters' in page.text
    assert "Remove one of the filters" in page.text


def test_log_in_leads_back_to_the_search(shelf):
    page = shelf.get("/book/catalog?q=soledad&sort=price")
    assert "/login?next=/book/catalog?q%3Dsoledad%26sort%3Dprice" in page.text.replace("%3F", "?").replace("%2F", "/")


def test_the_header_of_every_page_searches(make, browser):
    for path in ("/", "/login", "/nothing", "/book/catalog"):
        page = browser().get(path)
        assert 'action="/book/catalog"' in page.text
        assert 'name="q"' in page.text


# Pages


@pytest.fixture
def many(make, app):
    """300 books in which words, prices and titles repeat, some of them not on sale."""
    seller, chance = make.user().id, random.Random(7)
    letters = ("alpha", "beta", "gamma", "delta")
    rows = [
        {
            "seller_id": seller,
            "title": " ".join(chance.sample(letters, chance.randint(1, 3))),
            "author": chance.choice(["Ana", "Ángel", "ana beta"]),
            "description": "",
            "price": Decimal(chance.randint(1, 9)),
            "stock": chance.randint(0, 1),
            "status": chance.choice(["active"] * 8 + ["paused", "archived"]),
            "condition": chance.choice(list(Condition)).value,
            "category": chance.choice(list(Category)[:3]).value,
            "language": chance.choice(list(Language)[:2]).value,
        }
        for _ in range(300)
    ]
    with app.app_context():
        db.session.execute(insert(Book), rows)
        search.rebuild(db.session.connection())
        db.session.commit()
        yield chance
        db.session.rollback()


def plainly(asked):
    """The ids of what a search must find, by a query without any plan."""
    query = select(Book.id).where(Book.status == "active")
    for term in search.query_terms(asked.q):
        word = aliased(BookTerm)
        query = query.where(exists().where(and_(word.book_id == Book.id, word.term == term)))
    for name in ("condition", "category", "language"):
        if value := getattr(asked, name):
            query = query.where(getattr(Book, name) == value)
    if asked.price_min is not None:
        query = query.where(Book.price >= asked.price_min)
    if asked.price_max is not None:
        query = query.where(Book.price <= asked.price_max)
    if asked.in_stock:
        query = query.where(Book.stock > 0)
    orders = {
        Sort.NEWEST: (Book.id.desc(),),
        Sort.PRICE: (Book.price, Book.id),
        Sort.PRICE_DESC: (Book.price.desc(), Book.id.desc()),
        Sort.TITLE: (Book.title, Book.id),
    }
    return db.session.scalars(query.order_by(*orders[asked.sort])).all()


# Everything by its few rows; all plans in turn; windows that are always too short, with and without a way out.
@pytest.mark.parametrize(("few", "window", "most"), [(5000, 25000, 150000), (20, 40, 60), (0, 25, 0), (0, 30, 10**6)])
def test_all_pages_together_are_what_was_asked_for(many, monkeypatch, few, window, most):
    monkeypatch.setattr(finding, "FEW", few)
    monkeypatch.setattr(finding, "WINDOW", window)
    monkeypatch.setattr(finding, "MANY", most)
    for _ in range(10):
        asked = Search(
            q=many.choice(["", "", "beta", "gamma", "alpha delta", "angel gamma", "ana alpha beta delta", "omega"]),
            condition=many.choice(["", "", "new"]),
            category=many.choice(["", "", "poetry"]),
            language=many.choice(["", "", "en"]),
            price_min=many.choice([None, None, Decimal("3")]),
            price_max=many.choice([None, None, Decimal("7.00")]),
            in_stock=many.choice([False, True]),
            sort=many.choice(list(Sort)),
        )
        found, cursor = [], None
        for _turn in range(400):
            page = find(asked, cursor)
            assert len(page.rows) <= 24
            found += [book.id for book in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == plainly(asked), asked


def test_a_window_without_matches_leads_on(make, browser, monkeypatch):
    monkeypatch.setattr(finding, "FEW", 0)
    monkeypatch.setattr(finding, "WINDOW", 4)
    monkeypatch.setattr(finding, "MANY", 0)
    seller = make.user()
    make.book(seller, title="Alpha omega")
    for _ in range(5):
        make.book(seller, title="Alpha")
        make.book(seller, title="Omega")
    visitor = browser()
    path, pages = "/book/catalog?q=alpha+omega", []
    while path:
        page = visitor.get(path)
        pages.append(titles(page))
        ahead = re.search(r'rel="next" href="([^"]+)"', page.text)
        path = ahead and ahead[1].replace("&amp;", "&")
        assert bool(path) == ("There are more to look at on the next page" in page.text)
    assert pages == [[], ["Alpha omega"]]


@pytest.mark.parametrize(
    "query", ["q=room", "q=room+view&sort=title", "category=other&sort=price", "q=room&in_stock=1"]
)
def test_queries_of_a_search_do_not_grow(make, browser, count_queries, query):
    seller = make.user()
    make.book(seller)
    visitor = browser()
    with count_queries() as few:
        assert len(titles(visitor.get(f"/book/catalog?{query}"))) == 1
    for _ in range(9):
        make.book(make.user())
    with count_queries() as more:
        assert len(titles(visitor.get(f"/book/catalog?{query}"))) == 10
    assert len(more) == len(few) <= 2


@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize(
    "cursor", ["x", "a" * 5000, "%00", "ñ", "azk5OTk5OTk5OTk5OTk", encode_position("rank", 1, 1),
               encode_position("price", "nan", 1), encode_position("price", "1e9", 1), encode_position("title", "a", 0),
               encode_position("title", "a", 2**31), encode_position("price_desc", "-1", 5)],
)  # fmt: skip
def test_junk_cursors(make, browser, sort, cursor):
    make.book()
    assert browser().get(f"/book/catalog?sort={sort}&after={cursor}").status_code == 400


def test_a_cursor_is_of_its_order(make, browser):
    make.book()
    cursor = encode_position("price", "10.00", 5)
    assert browser().get(f"/book/catalog?sort=price&after={cursor}").status_code == 200
    assert browser().get(f"/book/catalog?sort=price_desc&after={cursor}").status_code == 400


@given(st.sampled_from(["title", "price"]), st.text(max_size=150), st.integers(1, 2**31 - 1))
@example("title", "📚" * 150, 2**31 - 1)
@example("title", "a:b:\x00", 1)
def test_positions_come_back(order, value, key):
    value = value.encode("utf-8", "ignore").decode()
    assert decode_position(order, encode_position(order, value, key)) == (value, key)


@given(st.text(max_size=60))
def test_no_text_is_mistaken_for_a_cursor(text):
    for order in Sort:
        try:
            finding._read_cursor(order, text)
        except InvalidInput:
            continue


# Words


@given(st.text(max_size=300))
@example("ﷺ" * 300)
@example("ß İ ǰ ﬃ")
@settings(max_examples=200)
def test_every_text_can_be_looked_for(text):
    terms = search.query_terms(text)
    assert len(terms) <= search.MAX_QUERY_TERMS
    assert len(set(terms)) == len(terms)
    assert all(0 < len(term) <= search.MAX_TERM_LENGTH for term in terms)
    assert search.words(" ".join(search.words(text))) == search.words(text)


@given(st.text(alphabet="aáÁbñÑ c+#1", max_size=40))
def test_a_title_is_found_by_itself(title):
    assert set(search.words(title)) <= set(search.book_terms(title, "", None))
    assert search.words(title) == search.words(title.upper())


@given(st.integers(0, 10**12 - 1).map("{:012}".format))
def test_isbn_13(digits):
    digits = "978" + digits[3:]
    isbn = digits + check_digit(digits)
    assert as_isbn13(isbn) == isbn
    assert as_isbn13(f" ISBN-13: {isbn[:3]}-{isbn[3]}-{isbn[4:9]}–{isbn[9:12]} {isbn[12]} ") == isbn
    wrong = str((int(isbn[-1]) + 1) % 10)
    assert as_isbn13(isbn[:-1] + wrong) is None


@pytest.mark.parametrize(
    ("text", "isbn"),
    [
        ("0-8044-2957-X", "9780804429573"),
        ("0-8044-2957-0", None),
        ("080442957x", "9780804429573"),
        ("", None),
        ("12", None),
    ],
)
def test_isbn_10(text, isbn):
    assert as_isbn13(text) == isbn


def test_prices_follow_the_book(make, browser):
    seller = make.user()
    dear, cheap = make.book(seller, title="Alpha one", price=9), make.book(seller, title="Alpha two", price=1)
    visitor = browser(seller)
    assert titles(visitor.get("/book/catalog?q=alpha&sort=price")) == ["Alpha two", "Alpha one"]
    form = {"title": "Alpha two", "author": cheap.author, "price": "20", "stock": "1"}
    visitor.post(f"/book/edit_book/{cheap.id}", form)
    assert titles(visitor.get("/book/catalog?q=alpha&sort=price")) == ["Alpha one", "Alpha two"]
    assert titles(visitor.get("/book/catalog?q=alpha&sort=price_desc&price_min=10")) == ["Alpha two"]
    assert titles(visitor.get(f"/book/catalog?q=alpha&sort=price&price_max={dear.price}")) == ["Alpha one"]


def test_a_book_whose_price_beside_its_words_is_old_is_left_out_of_the_order_by_price(app, make, browser):
    seller = make.user()
    first, second = (make.book(seller, title=f"Alpha {n}", price=n) for n in (1, 2))
    with app.app_context():
        db.session.execute(db.update(BookTerm).where(BookTerm.book_id == second.id).values(price=0))
        db.session.commit()
    visitor = browser()
    assert titles(visitor.get("/book/catalog?q=alpha&sort=price")) == [first.title]
    assert titles(visitor.get("/book/catalog?q=alpha")) == [second.title, first.title]


def test_tidying_brings_prices_beside_words_that_an_older_release_wrote(app, make, browser):
    first, second = (make.book(title=f"Alpha {n}", price=n) for n in (2, 1))
    run = app.test_cli_runner().invoke
    with app.app_context():
        db.session.execute(db.update(BookTerm).where(BookTerm.book_id == second.id).values(price=0))
        db.session.commit()
    assert run(args=["tidy"]).output == "indexed 1 books\n"
    assert run(args=["tidy"]).output == "unchanged\n"
    assert titles(browser().get("/book/catalog?q=alpha&sort=price")) == [second.title, first.title]


def test_words_follow_the_book(make, browser, fetch):
    seller = make.user()
    visitor = browser(seller)
    form = {"title": "Delirio", "author": "Laura Restrepo", "price": "1", "stock": "1"}
    visitor.post("/book/add_book", form)
    (book,) = fetch(Book)
    assert titles(visitor.get("/book/catalog?q=delirio+restrepo")) == ["Delirio"]
    visitor.post(f"/book/edit_book/{book.id}", form | {"title": "Hot sur", "isbn": "080442957x"})
    assert titles(visitor.get("/book/catalog?q=delirio")) == []
    assert titles(visitor.get("/book/catalog?q=9780804429573")) == ["Hot sur"]
    visitor.post(f"/book/delete_book/{book.id}")
    assert fetch(BookTerm) == []


@pytest.mark.commits
def test_the_index_can_be_made_anew(app, make, fetch, monkeypatch):
    monkeypatch.setattr(search, "_BATCH", 2)
    books = [make.book(title=f"Volume {n}") for n in range(5)]
    right = {(row.term, row.book_id, row.price) for row in fetch(BookTerm)}
    with app.app_context():
        db.session.execute(db.delete(BookTerm).where(BookTerm.book_id != books[0].id))
        db.session.execute(insert(BookTerm), [{"term": "wrong", "book_id": book.id} for book in books])
        db.session.commit()
        search.rebuild(db.session.connection(), [books[1].id])
        db.session.commit()
    assert {row.term for row in fetch(BookTerm) if row.book_id == books[1].id} == {
        "volume",
        "1",
        "e",
        "m",
        "forster",
    } - {"e"}
    assert app.test_cli_runner().invoke(args=["rebuild-search"]).output == "indexed 5 books\n"
    assert {(row.term, row.book_id, row.price) for row in fetch(BookTerm)} == right


def test_sample_books_are_found(app, browser):
    app.test_cli_runner().invoke(args=["sample-data", "--books", "3100"])
    visitor = browser()
    assert titles(visitor.get("/book/catalog?q=quijote")) == ["Don Quijote de la Mancha"]
    with app.app_context():
        rows = db.session.execute(
            select(BookTerm.term, db.func.count()).group_by(BookTerm.term).order_by(db.func.count().desc())
        ).all()
        assert db.session.scalar(select(db.func.count(Book.isbn))) == 765
    counts = dict(map(tuple, rows))
    assert 0.08 < counts["cartas"] / 3100 < 0.12
    rare = [term for term, count in counts.items() if count == 30]
    assert len(rare) > 50
    assert len(titles(visitor.get(f"/book/catalog?q={rare[0]}"))) == 24
