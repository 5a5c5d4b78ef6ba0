"""A book's way from one reader to another, in both languages, with JavaScript and without."""

from __future__ import annotations

import secrets

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenWindow, Store
from tests.browser.visitor import Person


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "no-javascript"])
def test_a_book_is_sold_and_bought(open_window: OpenWindow, language: str, javascript: bool) -> None:
    title = f"Delirio {secrets.token_hex(3)}"
    seller = open_window(language, java_script_enabled=javascript)
    marcela = Person("Marcela")
    seller.register(marcela)
    seller.log_in(marcela)
    seller.sell(title)
    seller.follow("My books", "banner")
    seller.see("My books")
    expect(seller.page.get_by_role("main")).to_contain_text(title)
    seller.log_out()

    buyer = open_window(language, java_script_enabled=javascript)
    tomas = Person("Tomás")
    buyer.register(tomas)
    buyer.log_in(tomas)
    buyer.buy(title, quantity=2)
    # Numbers follow the language too.
    total = {"en": "COP\u00a090,001", "es": "$\u00a090.001"}[language]
    expect(buyer.page.locator(".total")).to_contain_text(total)
    carrier = buyer.pay()
    buyer.told("Thank you! Your payment is received. Now choose how it reaches you.")
    # 90,001 and the dearest carrier's 50.
    whole = {"en": "COP\u00a090,051", "es": "$\u00a090.051"}[language]
    expect(buyer.page.locator(".total")).to_contain_text(whole)
    buyer.deliver()

    buyer.follow("Purchases", "banner")
    buyer.see("Purchases")
    assert buyer.page.locator("h1").inner_text() == {"en": "Purchases", "es": "Compras"}[language]
    row = buyer.page.get_by_role("listitem").filter(has_text=title)
    expect(row).to_contain_text(buyer.say("Paid"))
    expect(row).to_contain_text(buyer.say("Delivery by %(name)s", name=carrier))
    expect(row).to_contain_text(whole)

    buyer.page.get_by_role("link", name=title).click()
    number = buyer.page.locator("h1").inner_text().split()[-1]
    buyer.log_out()
    seller.log_in(marcela)
    seller.follow("Sales", "banner")
    seller.page.get_by_role("link", name=title).click()
    seller.fill(Tracking_number="GUIA-123")
    seller.press("Mark as shipped")
    seller.told("The parcel is marked as shipped.")
    seller.log_out()

    buyer.log_in(tomas)
    buyer.go(f"/purchases/{number}")
    expect(buyer.page.get_by_role("main")).to_contain_text("GUIA-123")
    buyer.press("I have received it")
    buyer.told("Enjoy your reading! You can rate the seller below.")
    buyer.page.get_by_label("★★★★★", exact=True).check()
    buyer.press("Send the rating")
    buyer.told("Thank you for your rating.")
    expect(buyer.page.locator(".badges")).to_contain_text(buyer.say("Completed"))
    buyer.log_out()


def test_what_a_visitor_wanted_to_buy_is_there_after_logging_in(open_window: OpenWindow, language: str) -> None:
    visitor = open_window(language)
    person = Person("Ruth")
    visitor.register(person)
    visitor.go("/book/catalog", "Catalogue")
    visitor.follow("Log in to buy")
    visitor.see("Log in")
    visitor.log_in(person)


def test_the_sellers_text_is_shown_as_text(open_window: OpenWindow, store: Store) -> None:
    visitor = open_window()
    person = Person("<b>Eva</b>")
    title = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    visitor.register(person)
    visitor.log_in(person)
    visitor.sell(title)

    expect(visitor.page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(visitor.page.get_by_text("Primera edición. <b>Casi nueva.</b>").first).to_be_visible()
    assert visitor.page.locator("main script, main img[onerror], main b").count() == 0
