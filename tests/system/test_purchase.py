"""The store from outside: what a customer does, over HTTPS, against deployed hosts."""

from __future__ import annotations

import re
import secrets

from tests.system.customer import Customer


def test_a_book_is_sold_and_bought(customer: Customer, other_customer: Customer) -> None:
    seller, buyer = customer, other_customer
    title = f"Rayuela {secrets.token_hex(4)}"

    seller.join()
    listed = seller.submit(
        "/book/add_book",
        title=title,
        author="Julio Cortázar",
        description="Usado",
        price="38000",
        stock="1",
    )
    assert listed.status_code == 302, listed.text

    buyer.join()
    catalogue = buyer.get("/book/catalog").text
    assert title in catalogue
    book = re.search(r"/buy/(\d+)", catalogue[catalogue.index(title) :])
    assert book, "the catalogue offers no way to buy the book"

    bought = buyer.submit("/book/catalog", path=f"/buy/{book[1]}", quantity="1")
    assert bought.status_code == 302, bought.text
    payment = bought.headers["Location"]
    assert re.search(r"/payment/\d+$", payment)

    paid = buyer.submit(payment, method="Bank Transfer")
    assert paid.status_code == 302, paid.text
    delivery = paid.headers["Location"]
    assert re.search(r"/delivery/\d+$", delivery)

    delivered = buyer.submit(delivery, provider=provider_value(buyer.get(delivery).text))
    assert delivered.status_code == 302, delivered.text
    assert title in buyer.get("/purchases").text

    sold_out = seller.submit("/book/catalog", path=f"/buy/{book[1]}", quantity="1")
    assert sold_out.status_code >= 400


def test_a_kept_page_is_nobodys(customer: Customer, other_customer: Customer) -> None:
    """The proxy keeps strangers' pages for a moment; who has logged in meets none of them, and leaves none."""
    customer.join()
    for _ in range(2):
        assert "Log out" in customer.get("/book/catalog").text
        assert "Log out" not in other_customer.get("/book/catalog").text


def provider_value(page: str) -> str:
    """The first delivery provider that the page offers."""
    offered = re.search(r'name="provider"[^>]*value="([^"]+)"', page) or re.search(r'<option value="([^"]+)"', page)
    assert offered, "the page offers no delivery provider"
    return offered[1]


def test_health_tells_of_the_database(customer: Customer) -> None:
    answer = customer.get("/health").json()

    assert answer["status"] == "healthy"
    assert answer["database"] == "connected"


def test_metrics_are_not_public(customer: Customer) -> None:
    assert customer.get("/metrics").status_code in (403, 404)
