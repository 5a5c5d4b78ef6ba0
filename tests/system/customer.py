"""A customer who has no browser, but reads pages and fills in their forms."""

from __future__ import annotations

import re
import secrets

import requests

CSRF_FIELD = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Customer:
    """One person's session with the store.

    Args:
        url: address of the store.
        verify: file of the CA that its certificate must be from, or True for the system's.
    """

    def __init__(self, url: str, verify: str | bool) -> None:
        self.url = url
        self.web = requests.Session()
        self.web.verify = verify
        self.web.trust_env = False
        self.web.headers.update({"Accept-Language": "en", "Accept": "text/html", "Referer": url})
        self.email = f"{secrets.token_hex(6)}@customers.example"
        self.password = secrets.token_urlsafe(12)

    def get(self, path: str) -> requests.Response:
        """Read a page."""
        return self.web.get(self.url + path, timeout=10)

    def submit(
        self, page: str, path: str | None = None, files: dict[str, tuple[str, bytes]] | None = None, **fields: object
    ) -> requests.Response:
        """Fill in the form on a page and send it, by default to the page's own address.

        Follows no redirect: where a form leads is part of what is tested.
        """
        token = CSRF_FIELD.search(self.get(page).text)
        assert token, f"{page} has no form"
        return self.web.post(
            self.url + (path or page),
            data={"csrf_token": token[1], **fields},
            files=files,
            allow_redirects=False,
            timeout=10,
        )

    def join(self) -> None:
        """Register and log in."""
        registered = self.submit("/register", name="Ana", email=self.email, password=self.password)
        assert registered.status_code == 302, registered.text
        logged_in = self.submit("/login", email=self.email, password=self.password)
        assert logged_in.status_code == 302, logged_in.text
