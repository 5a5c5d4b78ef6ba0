"""Take the pictures of the store that the README shows, of the lab's store: `make up` first.

Needs Chromium: sudo apt-get install -y chromium
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / ".lab" / "lab.json"
IMAGES = ROOT / "docs" / "images"
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
LIMIT = 400_000
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def become_a_customer(page: Page) -> None:
    """Register somebody and log in; the account stays behind, as a visitor's would."""
    email, password = f"lucia.{secrets.token_hex(4)}@customers.example", secrets.token_urlsafe(12)
    page.goto("/register")
    page.locator("#name").fill("Lucía")
    page.locator("#email").fill(email)
    page.locator("#password").fill(password)
    page.locator("main button").click()
    page.locator("#email").fill(email)
    page.locator("#password").fill(password)
    page.locator("main button").click()
    page.wait_for_url("**/book/catalog")


def log_in_as_administrator(page: Page, lab: dict[str, Any]) -> None:
    """Log in as the lab's administrator."""
    page.goto("/login")
    page.locator("#email").fill(lab["admin"]["email"])
    page.locator("#password").fill(Path(lab["admin"]["password_file"]).read_text().strip())
    page.locator("main button").click()
    page.wait_for_url("**/book/catalog")


def reserve_a_book(page: Page) -> None:
    """Put a copy of a sample book aside; the end of this program gives it back."""
    page.goto("/book/catalog")
    # One that has many, so that nobody misses it.
    most = max(
        page.locator("form.buy").all(),
        key=lambda form: int(form.locator("[name=quantity]").get_attribute("max") or 0),
    )
    most.locator("button").click()
    page.wait_for_url("**/payment/*")
    page.locator(".choice").first.click()


def order_it(page: Page) -> None:
    """Order what is reserved, to be paid in cash, and say where it goes."""
    page.get_by_label("Cash on delivery").check()
    page.get_by_role("button", name="Order and pay").click()
    for field, text in {"recipient": "Lucía Mejía", "address": "Carrera 7 # 12-34", "city": "Bogotá"}.items():
        page.locator(f"#{field}").fill(text)
    page.get_by_role("button", name="Confirm the delivery").click()
    page.wait_for_url("**/purchases/*")


def take(page: Page, name: str, size: ViewportSize = DESKTOP, *, whole: bool = False) -> None:
    """Write a picture of what the window shows, or of the whole page."""
    page.set_viewport_size(size)
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, full_page=whole)
    if path.stat().st_size >= LIMIT:
        sys.exit(f"{path.name} has {path.stat().st_size} bytes; the README wants below {LIMIT}")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


def take_both(page: Page, name: str) -> None:
    """Write a page's pictures: on a desktop and on a phone."""
    take(page, name, DESKTOP)
    take(page, f"{name}-phone", PHONE)
    page.set_viewport_size(DESKTOP)


def main() -> None:
    """Take every picture."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("Chromium is missing: sudo apt-get install -y chromium")
    if not LAB.exists():
        sys.exit("There is no lab: run `make up` first.")
    lab = json.loads(LAB.read_text())
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        # Chromium trusts no CA file by option, and this one looks at pages of its own machine;
        # that the lab's certificate verifies, tests/system checks.
        look: dict[str, Any] = {"base_url": lab["url"], "locale": "en-US", "ignore_https_errors": True}
        page = browser.new_context(**look).new_page()
        become_a_customer(page)
        page.goto("/book/catalog")
        take_both(page, "catalogue")
        page.goto("/book/catalog?q=jane+austen&sort=price")
        take_both(page, "search")
        page.locator(".card-link").first.click()
        take_both(page, "book")
        reserve_a_book(page)
        take(page, "payment", whole=True)
        order_it(page)
        take_both(page, "purchase")
        page.get_by_role("button", name="Cancel the purchase").click()
        page.goto("/?lang=es")
        take_both(page, "home")
        dark = browser.new_context(**look, color_scheme="dark").new_page()
        log_in_as_administrator(dark, lab)
        dark.goto("/admin/")
        take_both(dark, "admin-dark")
        browser.close()


if __name__ == "__main__":
    main()
