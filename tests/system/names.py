"""A test store's name needs no entry in the DNS."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def send_to(url: str, address: str) -> None:
    """Let this process find the URL's name at an address."""
    name = urlsplit(url).hostname
    resolve = socket.getaddrinfo

    def resolve_here(host: str, *arguments: object, **options: object) -> object:
        return resolve(address if host == name else host, *arguments, **options)  # type: ignore[arg-type]

    socket.getaddrinfo = resolve_here  # type: ignore[assignment]
