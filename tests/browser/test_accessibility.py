"""WCAG 2.2, levels A and AA, as far as a program can judge it."""

from __future__ import annotations

import pytest

from tests.browser.conftest import PAGES, Look


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_barrier(look: Look, name: str) -> None:
    visitor = look(name, "en")
    light = visitor.page.locator("body").evaluate("body => getComputedStyle(body).color")
    assert not visitor.barriers()

    visitor.page.emulate_media(color_scheme="dark")
    dark = visitor.page.locator("body").evaluate("body => getComputedStyle(body).color")
    assert dark != light
    assert not visitor.barriers()
