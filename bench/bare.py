"""The limits: what Flask alone does with the same workers, the same driver and the same tables.

No sessions, no forms, no languages, no ORM: nothing in here could be left out.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import pymysql
from flask import Flask, render_template, request
from sqlalchemy import make_url
from werkzeug.security import check_password_hash, generate_password_hash

app = Flask(__name__)
_local = threading.local()
_url = make_url(os.environ["DATABASE_URL"])
_PAGE = """SELECT id, title, author, description, price, stock FROM books
    WHERE status = 'active' AND id < %s ORDER BY id DESC LIMIT 24"""
_TAKE = "UPDATE books SET stock = stock - 1 WHERE id = %s AND stock >= 1"
_SELL = """INSERT INTO purchases
    (buyer_id, book_id, quantity, unit_price, total, status, reserved_until, created_at)
    SELECT %s, id, 1, price, price, 'reserved', UTC_TIMESTAMP(6) + INTERVAL 30 MINUTE, UTC_TIMESTAMP(6)
    FROM books WHERE id = %s"""
# The original store's hash.
_HASH = generate_password_hash("a horse and a battery", "pbkdf2:sha256:600000")


def connection() -> pymysql.Connection[Any]:
    """This thread's connection."""
    if not hasattr(_local, "connection"):
        _local.connection = pymysql.connect(
            host=_url.host,
            port=_url.port or 3306,
            user=_url.username,
            password=str(_url.password),
            database=_url.database,
            charset="utf8mb4",
            autocommit=True,
        )
    found: pymysql.Connection[Any] = _local.connection
    return found


@app.get("/page")
def page() -> str:
    """Twenty-four rows by key, and a page of them."""
    with connection().cursor(pymysql.cursors.DictCursor) as cursor:
        cursor.execute(_PAGE, (request.args.get("before", 2**31, type=int),))
        return render_template("page.html", books=cursor.fetchall())


@app.post("/buy/<int:book>")
def buy(book: int) -> tuple[str, int]:
    """Take a copy and write down the sale, in one transaction."""
    shared = connection()
    with shared.cursor() as cursor:
        shared.begin()
        if not cursor.execute(_TAKE, (book,)):
            shared.rollback()
            return "sold out", 400
        cursor.execute(_SELL, (request.form["buyer"], book))
        shared.commit()
    return "sold", 200


@app.post("/login")
def login() -> tuple[str, int]:
    """Check the original store's hash, and no more."""
    return ("in", 200) if check_password_hash(_HASH, request.form["password"]) else ("out", 401)
