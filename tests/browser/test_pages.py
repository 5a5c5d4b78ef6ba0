"""What holds on every page: language, width, keyboard, forms that forget nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import LONG_NAME, PAGES, Look, OpenWindow, Shop, Store
from tests.browser.visitor import Person

# The same in both languages: names, and what people wrote themselves.
DATA = ".card, .row-body, .order h2, .order .by, .cover, .who, .foot nav, .brand, td, .facts dd, .name, .data, .book h1, .book .by a, .seller-head h1, .lines"
OUTLINE = "element => { const s = getComputedStyle(element); return s.outlineStyle + s.outlineWidth }"
PHONE = {"width": 390, "height": 844}


@pytest.mark.parametrize("name", PAGES)
def test_no_text_is_the_same_in_both_languages(look: Look, name: str) -> None:
    lines = {}
    for language in ("en", "es"):
        visitor = look(name, language)
        expect(visitor.page.locator("html")).to_have_attribute("lang", language)
        visitor.page.locator(DATA).evaluate_all("all => all.forEach(one => one.remove())")
        lines[language] = set(visitor.lines())

    # ": Title" is what only screen readers get to hear on a row's button.
    same = {line for line in lines["en"] & lines["es"] if not line.startswith(": ")}
    untranslated = {line for line in same if any(map(str.isalpha, line))}
    assert untranslated <= {"PayPal", "Total", "ISBN", "Hot sur, Laura Restrepo", LONG_NAME}


def test_one_click_changes_the_language_for_good(open_window: OpenWindow, language: str) -> None:
    other = {"en": "es", "es": "en"}[language]
    visitor = open_window(other)
    visitor.go("/login", "Log in")
    visitor.page.get_by_role("contentinfo").get_by_role(
        "link", name={"en": "English", "es": "Español"}[language]
    ).click()
    visitor.language = language
    visitor.see("Log in")
    visitor.follow("Create an account")
    visitor.see("Create an account")


def test_the_browsers_language_is_the_stores(open_window: OpenWindow) -> None:
    for language, heading in (("en", "Catalogue"), ("es", "Catálogo")):
        visitor = open_window(language)
        visitor.go("/book/catalog", "Catalogue")
        assert visitor.page.locator("h1").inner_text() == heading


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_scrolls_in_one_direction(look: Look, name: str) -> None:
    # Spanish words are longer.
    visitor = look(name, "es", viewport=PHONE)
    width = visitor.page.evaluate("document.documentElement.scrollWidth")

    assert width == PHONE["width"]


def test_the_skip_link_skips(open_window: OpenWindow) -> None:
    visitor = open_window()
    visitor.go("/")
    visitor.page.keyboard.press("Tab")
    skip = visitor.page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport(ratio=1)
    visitor.page.keyboard.press("Enter")
    visitor.page.keyboard.press("Tab")

    expect(visitor.page.get_by_role("main").locator("a, button, input").first).to_be_focused()


def test_an_account_can_be_made_and_used_by_keyboard_alone(open_window: OpenWindow) -> None:
    visitor = open_window()
    page, person = visitor.page, Person("Kai")
    visitor.go("/register", "Create an account")
    visitor.field("Name").focus()
    for text in (person.name, person.email, person.password):
        assert not page.locator(":focus").evaluate(OUTLINE).startswith("none")
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Register"
    assert page.locator(":focus").evaluate(OUTLINE) == "solid3px"
    page.keyboard.press("Enter")
    visitor.see("Log in")
    visitor.field("E-mail address").focus()
    page.keyboard.type(person.email)
    page.keyboard.press("Tab")
    page.keyboard.type(person.password)
    page.keyboard.press("Enter")
    visitor.see("Catalogue")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def test_every_stop_of_the_keyboard_can_be_seen(open_window: OpenWindow, shop: Shop) -> None:
    visitor = shop.window(open_window, "payment")
    stops = []
    for _ in range(40):
        visitor.page.keyboard.press("Tab")
        focused = visitor.page.locator(":focus")
        if focused.count() == 0:
            break
        expect(focused).to_be_in_viewport()
        assert focused.evaluate(OUTLINE) == "solid3px", focused.evaluate("e => e.outerHTML")
        stops.append(focused.evaluate("e => e.name || e.textContent.trim()"))
    assert "method" in stops
    assert "Order and pay" in stops


def test_a_failing_registration_keeps_what_was_typed(open_window: OpenWindow, language: str) -> None:
    visitor = open_window(language)
    visitor.allowed_statuses = {422}
    visitor.go("/register", "Create an account")
    visitor.fill(Name="Inés", Password="short")
    visitor.field("E-mail address").fill("ines@example.com")
    visitor.press("Register")
    visitor.see("Create an account")

    expect(visitor.field("Name")).to_have_value("Inés")
    expect(visitor.field("E-mail address")).to_have_value("ines@example.com")
    expect(visitor.field("Password")).to_have_value("")
    problem = visitor.say("The password must have between 10 and 128 characters.")
    expect(visitor.field("Password")).to_have_accessible_description(
        f"{visitor.say('At least 10 characters. A short sentence is easy to remember.')} {problem}"
    )
    summary = visitor.page.get_by_role("alert")
    summary.get_by_role("link", name=f"{visitor.say('Password')}: {problem}").click()
    expect(visitor.field("Password")).to_be_focused()
    assert not visitor.barriers()


def test_a_failing_sale_keeps_what_was_typed(open_window: OpenWindow, shop: Shop, language: str) -> None:
    visitor = shop.window(open_window, "sell form", language=language)
    visitor.allowed_statuses = {422}
    typed = {"Author": "G. García", "Description": "Dos\nlíneas", "Price": "-5", "Title": ""}
    visitor.fill(**typed, Copies_for_sale="2")
    visitor.press("Put on sale")
    visitor.see("Sell a book")

    for name, value in typed.items():
        expect(visitor.field(name)).to_have_value(value)
    expect(visitor.field("Copies for sale")).to_have_value("2")
    summary = visitor.page.get_by_role("alert")
    for label, problem in (
        ("Title", "Please enter the title."),
        ("Price", "The price must be between 0.01 and 99,999,999.99."),
    ):
        expect(summary).to_contain_text(f"{visitor.say(label)}: {visitor.say(problem)}")
    assert not visitor.barriers()


@pytest.mark.parametrize(
    ("language", "typed", "meant"),
    [
        ("es", "45.000", "$\u00a045.000"),
        ("es", "45.000,50", "$\u00a045.000,50"),
        ("en", "45,000", "COP\u00a045,000"),
        ("en", "45000.50", "COP\u00a045,000.50"),
    ],
)
def test_a_price_is_what_the_seller_meant_or_refused(
    open_window: OpenWindow, shop: Shop, language: str, typed: str, meant: str
) -> None:
    visitor = shop.window(open_window, "sell form", language=language)
    visitor.allowed_statuses = {422}
    title = f"Precio {typed} {language}"
    visitor.fill(Title=title, Author="Anónimo", Copies_for_sale="1")
    visitor.field("Price").press_sequentially(typed)
    visitor.press("Put on sale")

    main = visitor.page.get_by_role("main")
    expect(main.get_by_role("alert").or_(main.get_by_role("status"))).to_be_visible()
    if main.get_by_role("alert").count():
        expect(visitor.field("Price")).to_have_value(typed)
    else:
        card = main.get_by_role("article").filter(has_text=title)
        expect(card.locator(".price")).to_have_text(meant)


@pytest.mark.parametrize(
    ("page", "problem", "field"),
    [
        ("payment", "Please choose a delivery service.", "#provider-0"),
        ("delivery", "Please enter who receives the parcel.", "#recipient"),
    ],
)
def test_a_choice_that_was_not_made_is_asked_for(
    open_window: OpenWindow, shop: Shop, language: str, page: str, problem: str, field: str
) -> None:
    visitor = shop.window(open_window, page, language=language)
    visitor.allowed_statuses = {422}
    visitor.page.get_by_role("main").get_by_role("button").first.click()

    summary = visitor.page.get_by_role("alert")
    expect(summary).to_contain_text(visitor.say(problem))
    summary.get_by_role("link").first.click()
    expect(visitor.page.locator(field)).to_be_focused()
    assert not visitor.barriers()


def test_a_wrong_password_keeps_the_address(open_window: OpenWindow, language: str) -> None:
    visitor = open_window(language)
    visitor.allowed_statuses = {401}
    visitor.go("/login", "Log in")
    visitor.field("E-mail address").fill("nobody@example.com")
    visitor.fill(Password="not my password")
    visitor.press("Log in")
    visitor.see("Log in")

    expect(visitor.field("E-mail address")).to_have_value("nobody@example.com")
    expect(visitor.page.get_by_role("alert")).to_have_text(
        visitor.say("The e-mail address or the password is not right.")
    )


def test_a_page_that_is_not_there_leads_on(open_window: OpenWindow, language: str) -> None:
    visitor = open_window(language)
    visitor.allowed_statuses = {404}
    visitor.go("/no/such/page", "Page not found")
    expect(visitor.page.get_by_role("main")).to_contain_text(
        visitor.say("The address may be mistyped, or the page may have moved.")
    )
    assert not visitor.barriers()
    visitor.follow("Go to the catalogue")
    visitor.see("Catalogue")


def test_the_watch_notices(open_window: OpenWindow, store: Store) -> None:
    """Without this, a watch that sees nothing would look like a store without faults."""
    visitor = open_window()

    def spoil(route: Route) -> None:
        answer = route.fetch()
        body = answer.text().replace("</main>", '<p style="color: red">!</p><script>throw 1</script></main>')
        route.fulfill(response=answer, body=body)

    def add_image(route: Route) -> None:
        body = '<img src="https://elsewhere.example/x.png">'
        route.fulfill(body=body, content_type="text/html")

    visitor.page.route(f"{store.url}/login", spoil)
    visitor.page.route(f"{store.url}/register", add_image)
    visitor.page.route("https://elsewhere.example/*", lambda route: route.abort())
    for path in ("/login", "/register", "/no/such/page"):
        visitor.go(path)
    seen = "\n".join(visitor.complaints)
    visitor.complaints.clear()

    assert "inline style" in seen
    assert "inline script" in seen
    assert "another origin: https://elsewhere.example/x.png" in seen
    assert f"404 GET {store.url}/no/such/page" in seen
