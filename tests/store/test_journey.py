"""What people come for: register, sell, buy, pay, have it delivered."""

from decimal import Decimal

import pytest

from bookstore.accounts.models import User
from bookstore.catalog.models import Book
from bookstore.orders.models import Purchase
from bookstore.payments.models import Payment
from bookstore.shipping.models import Delivery, DeliveryProvider

from .conftest import purchase_of


@pytest.mark.parametrize("language", ["en", "es"])
def test_whole_journey(browser, fetch, language):
    seller, buyer = browser(language=language), browser(language=language)
    for visitor, name in ((seller, "sofia"), (buyer, "bruno")):
        visitor.get("/register")
        form = {"name": name, "email": f"{name}@example.com", "password": "long enough, this"}
        response = visitor.post("/register", form)
        assert (response.status_code, response.headers["Location"]) == (302, "/login")
        response = visitor.post("/login", form)
        assert (response.status_code, response.headers["Location"]) == (302, "/book/catalog")
        visitor.get("/book/add_book")

    book_form = {
        "title": "Rayuela & otros",
        "author": "J. C.",
        "description": "<b>nuevo</b>",
        "price": "1234567.89",
        "stock": "3",
    }
    response = seller.post("/book/add_book", book_form)
    assert (response.status_code, response.headers["Location"]) == (302, "/book/catalog")
    (book,) = fetch(Book)
    assert book.price == Decimal("1234567.89")
    page = buyer.get("/book/catalog").text
    assert "Rayuela &amp; otros" in page
    assert "<b>nuevo" not in page

    purchase = purchase_of(buyer.post(f"/buy/{book.id}", {"quantity": "2", "price": "0.01"}))
    assert fetch(Book, book.id).stock == 1
    row = fetch(Purchase, purchase)
    assert (row.unit_price, row.total) == (Decimal("1234567.89"), Decimal("2469135.78"))
    assert buyer.get(f"/payment/{purchase}").status_code == 200
    response = buyer.post(f"/payment/{purchase}", {"method": "Paypal", "amount": "0.01"})
    assert response.headers["Location"] == f"/delivery/{purchase}"
    (payment,) = fetch(Payment)
    assert (payment.amount, payment.method) == (Decimal("2469135.78"), "Paypal")
    assert buyer.get(f"/delivery/{purchase}").status_code == 200
    dhl = next(p for p in fetch(DeliveryProvider) if p.name == "DHL")
    response = buyer.post(f"/delivery/{purchase}", {"provider": str(dhl.id)})
    assert (response.status_code, response.headers["Location"]) == (302, "/book/catalog")
    (delivery,) = fetch(Delivery)
    assert (delivery.provider_id, delivery.cost) == (dhl.id, Decimal("50.00"))
    assert "Rayuela" in buyer.get("/purchases").text
    assert "DHL" in buyer.get("/purchases").text


def test_provider_by_name_as_the_original_clients_send_it(make, browser, fetch):
    buyer = browser(make.user())
    purchase = purchase_of(buyer.post(f"/buy/{make.book().id}", {"quantity": "1"}))
    buyer.post(f"/payment/{purchase}", {"method": "Bank Transfer"})
    assert buyer.post(f"/delivery/{purchase}", {"provider": "Envia"}).status_code == 302
    assert fetch(Delivery)[0].cost == Decimal("20.00")


def test_seeded_providers(fetch):
    providers = {p.name: p.cost for p in fetch(DeliveryProvider)}
    assert providers == {"DHL": 50, "FedEx": 45, "Envia": 20, "Servientrega": 15}


def test_edit_and_delete_own_book(make, browser, fetch):
    seller = make.user()
    book = make.book(seller)
    visitor = browser(seller)
    assert "A Room with a View" in visitor.get("/book/my_books").text
    assert visitor.get(f"/book/edit_book/{book.id}").status_code == 200
    form = {"title": "Howards End", "author": "E. M. Forster", "price": "12.5", "stock": "9"}
    response = visitor.post(f"/book/edit_book/{book.id}", form)
    assert (response.status_code, response.headers["Location"]) == (302, "/book/catalog")
    changed = fetch(Book, book.id)
    assert (changed.title, changed.price, changed.stock) == ("Howards End", Decimal("12.50"), 9)
    assert visitor.post(f"/book/delete_book/{book.id}").status_code == 302
    assert fetch(Book, book.id) is None


def test_copies_sold_while_the_edit_form_was_open_stay_sold(make, browser, fetch):
    seller = make.user()
    book = make.book(seller, stock=5)
    browser(make.user()).post(f"/buy/{book.id}", {"quantity": "2"})
    form = {"title": "T", "author": "A", "price": "30", "stock": "6", "stock_seen": "5"}
    assert browser(seller).post(f"/book/edit_book/{book.id}", form).status_code == 302
    assert fetch(Book, book.id).stock == 4


def test_purchased_book_is_archived_and_its_purchase_goes_on(make, browser, fetch):
    seller = make.user()
    book = make.book(seller)
    buyer = browser(make.user())
    purchase = purchase_of(buyer.post(f"/buy/{book.id}", {"quantity": "1"}))
    assert browser(seller).post(f"/book/delete_book/{book.id}").status_code == 302
    assert fetch(Book, book.id).status == "archived"
    assert "A Room with a View" not in buyer.get("/book/catalog").text
    assert buyer.post(f"/buy/{book.id}", {"quantity": "1"}).status_code == 404
    assert buyer.get(f"/payment/{purchase}").status_code == 200
    assert buyer.post(f"/payment/{purchase}", {"method": "Paypal"}).status_code == 302
    assert "A Room with a View" in buyer.get("/purchases").text


def test_catalogue_pages_hold_every_book_once(make, browser):
    seller = make.user()
    for number in range(60):
        make.book(seller, title=f"Volume {number:03}")
    visitor, path, seen, pages = browser(), "/book/catalog", [], 0
    while path:
        text = visitor.get(path).text
        pages += 1
        seen += [part[:10] for part in text.split('<h3 id="book-')[1:] for part in [part.split(">")[2]]]
        path = text.split('rel="next" href="')[1].split('"')[0] if 'rel="next"' in text else ""
    assert pages == 3
    assert seen == [f"Volume {number:03}" for number in reversed(range(60))]


def test_sold_out_book_is_shown_as_such(make, browser):
    make.book(stock=0)
    assert "Sold out" in browser().get("/book/catalog").text


def test_admin_sees_users(make, browser):
    admin = make.admin()
    person = make.user()
    page = browser(admin).get("/admin/users")
    assert page.status_code == 200
    assert person.email in page.text


def test_log_in_leads_back_to_where_one_wanted_to_go(make, browser):
    visitor = browser()
    response = visitor.get("/book/my_books?after=")
    assert response.headers["Location"].startswith("/login?next=/book/my_books")
    user = make.user()
    visitor.get("/login")
    response = visitor.post("/login?next=/book/my_books", {"email": user.email, "password": "a horse and a battery"})
    assert response.headers["Location"] == "/book/my_books"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:x",
        "/%0d\n",
    ],
)
def test_next_never_leaves_the_store(make, browser, target):
    user = make.user()
    visitor = browser()
    visitor.get("/login")
    form = {"email": user.email, "password": "a horse and a battery"}
    response = visitor.post("/login", form, query_string={"next": target})
    assert response.headers["Location"] == "/book/catalog"


def test_registration_normalises_the_address(browser, fetch):
    visitor = browser()
    form = {"name": " Ana ", "email": " Ana.Lopez@Example.COM ", "password": "long enough, this"}
    assert visitor.post("/register", form).status_code == 302
    (user,) = fetch(User)
    assert (user.name, user.email) == ("Ana", "ana.lopez@example.com")
    assert user.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    visitor.log_in("ANA.lopez@example.com", "long enough, this")
