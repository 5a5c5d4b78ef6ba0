"""From two hosts to a clone of the golden image: every row, every cover, whatever happens on the way."""

from __future__ import annotations

import io
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Callable

import pytest
from PIL import Image

from tests.move.conftest import NAME, Result, Store, client, playbook
from tests.system.customer import Customer
from tests.system.test_purchase import provider_value

Move = Callable[..., Result]
# What the store's regular work does not touch by itself meanwhile.
TABLES = ("users", "books", "book_terms", "purchases", "payments", "deliveries", "delivery_providers")


def customer(store: Store) -> Customer:
    made = Customer(store.url, store.ca_file)
    made.join()
    return made


def sell(seller: Customer) -> str:
    """Put a book with a cover up; its title."""
    picture, title = io.BytesIO(), f"Rayuela {secrets.token_hex(4)}"
    Image.new("RGB", (200, 300), tuple(secrets.token_bytes(3))).save(picture, "PNG")
    fields = {
        "title": title,
        "author": "Julio Cortázar",
        "description": "100 % 'usado'\n📚",
        "price": "38000",
        "stock": "2",
    }
    listed = seller.submit("/book/add_book", files={"cover": ("cover.png", picture.getvalue())}, **fields)
    assert listed.status_code == 302, listed.text
    return title


def buy(buyer: Customer, title: str) -> None:
    """Buy it by transfer."""
    page = buyer.get(f"/book/catalog?q={title.split()[1]}").text
    book = re.search(r"/buy/(\d+)", page)
    assert book, page
    payment = buyer.submit("/book/catalog", path=f"/buy/{book[1]}", quantity="1").headers["Location"]
    delivery = buyer.submit(payment, method="Bank Transfer").headers["Location"]
    delivered = buyer.submit(delivery, provider=provider_value(buyer.get(delivery).text))
    assert delivered.status_code == 302, delivered.text


def end(process: subprocess.Popen[str]) -> None:
    """End a playbook and all that it started, at once."""
    os.killpg(process.pid, signal.SIGKILL)


def test_the_store_moves(old: Store, new: Store, move: Move, aws: dict[str, str]) -> None:
    seller, buyer = customer(old), customer(old)
    titles = [sell(seller) for _ in range(3)]
    buy(buyer, titles[0])

    # Somebody sells on while the covers are copied, and then the operator's laptop dies.
    move(when={
        "TASK [Send what was packed, covers.tar.gz]": lambda _: titles.append(sell(seller)),
        "TASK [Dump the rows]": end,
    })  # fmt: skip
    closed = old.get("/book/catalog")
    assert (closed.status_code, "maintenance" in closed.text) == (503, True)

    moved = move()
    assert moved.code == 0, moved.text
    assert "every table and every cover was compared" in moved.text
    assert old.rows(*TABLES) == new.rows(*TABLES)
    assert old.covers() == new.covers()
    assert old.covers().count("-large.webp") >= len(titles)
    assert client(aws, "s3").list_buckets()["Buckets"] == []

    # The same person, with the same password, finds the old purchase and makes a new one.
    known = Customer(new.url, new.ca_file)
    assert known.submit("/login", email=buyer.email, password=buyer.password).status_code == 302
    assert titles[0] in known.get("/purchases").text
    buy(known, titles[-1])
    cover = re.search(r"/covers/[0-9a-f]{64}-small\.webp", known.get(f"/book/catalog?q={titles[-1].split()[1]}").text)
    assert cover
    assert new.get(cover[0]).headers["Content-Type"] == "image/webp"

    again = move()
    assert (again.code, again.changed) == (0, 0), again.text
    assert f"The store has moved to {NAME}" in again.text
    assert old.get("/book/catalog").status_code == 503

    back = playbook(aws, "move-back")
    assert back.code == 0, back.text
    assert old.get("/book/catalog").status_code == 200


def test_covers_that_come_while_others_are_copied_follow(old: Store, new: Store, move: Move) -> None:
    seller = customer(old)
    sell(seller)

    moved = move(when={"TASK [Send what was packed, covers.tar.gz]": lambda _: sell(seller)})

    assert moved.code == 0, moved.text
    assert "Copy the last covers" in moved.text
    assert old.covers() == new.covers()


def test_a_store_that_people_use_is_left_alone(old: Store, new: Store, move: Move) -> None:
    customer(new)
    before = new.rows("users")

    refused = move()

    assert refused.code != 0, refused.text
    assert "has 1 accounts already" in refused.text
    assert "-e move_replace=true" in refused.text
    assert "Nothing was changed" in refused.text
    assert new.rows("users") == before
    assert old.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"aws_environment": "nowhere"}, "No instance of the store of nowhere runs in eu-west-1"),
        ({"confirm": False}, "Nothing was changed. Answer with the environment's name, shop"),
    ],
    ids=["no such environment", "nobody to ask"],
)
def test_what_cannot_go_well_is_told_first(
    old: Store, new: Store, move: Move, given: dict[str, object], told: str
) -> None:
    refused = move(**given)

    assert refused.code != 0, refused.text
    assert told in refused.text, refused.text
    assert old.get("/health").status_code == 200
