"""Take the pictures of the store that the README shows, of the lab's store: `make up` first.

Needs Chromium: sudo apt-get install -y chromium
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from pathlib import Path

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


def reserve_a_book(page: Page) -> None:
    """Put a copy of a sample book aside; unpaid, it is back on sale half an hour later."""
    page.goto("/book/catalog")
    # One that has many, so that nobody misses it.
    most = max(
        page.locator("form.buy").all(),
        key=lambda form: int(form.locator("[name=quantity]").get_attribute("max") or 0),
    )
    most.locator("button").click()
    page.wait_for_url("**/payment/*")
    page.locator(".choice").first.click()


def take(page: Page, name: str, size: ViewportSize, *, whole: bool = False) -> None:
    """Write a picture of what the window shows, or of the whole page."""
    page.set_viewport_size(size)
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, full_page=whole)
    if path.stat().st_size >= LIMIT:
        sys.exit(f"{path.name} has {path.stat().st_size} bytes; the README wants below {LIMIT}")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


def main() -> None:
    """Take every picture."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("Chromium is missing: sudo apt-get install -y chromium")
    if not LAB.exists():
        sys.exit("There is no lab: run `make up` first.")
    url = json.loads(LAB.read_text())["url"]
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        # Chromium trusts no CA file by option, and this one looks at pages of its own machine;
        # that the lab's certificate verifies, tests/system checks.
        context = browser.new_context(base_url=url, locale="en-US", viewport=DESKTOP, ignore_https_errors=True)
        page = context.new_page()
        become_a_customer(page)
        page.goto("/book/catalog")
        take(page, "catalogue", DESKTOP)
        reserve_a_book(page)
        take(page, "payment", DESKTOP, whole=True)
        page.goto("/?lang=es")
        take(page, "phone", PHONE)
        browser.close()


if __name__ == "__main__":
    main()
