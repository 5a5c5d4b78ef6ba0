"""The store alone on this machine: SQLite, sample books, plain HTTP on the loopback address."""

from __future__ import annotations

import os
import secrets

from lab.checks import check_port
from lab.settings import DEV, ROOT, VENV, LabError
from lab.shell import run, say

DATABASE = DEV / "store.sqlite"
UPLOADS = DEV / "uploads"
SECRET_KEY = DEV / "secret-key"
ADMIN_EMAIL = "admin@bookstore.example"
ADMIN_PASSWORD = DEV / "admin-password"


def serve() -> None:
    """Make the database where it is missing, fill it, and serve it until interrupted.

    Raises:
        LabError: DEV_PORT is not a port or is taken, or a step failed.
    """
    port = os.environ.get("DEV_PORT", "5000")
    if not port.isdigit() or not 1 <= int(port) <= 65535:
        raise LabError(f"DEV_PORT={port} is not a port. Give a number from 1 to 65535.")
    check_port(int(port), "DEV_PORT", "dev")
    DEV.mkdir(mode=0o700, exist_ok=True)
    UPLOADS.mkdir(exist_ok=True)
    for path in (SECRET_KEY, ADMIN_PASSWORD):
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(36))
    environment = {
        "DATABASE_URL": f"sqlite:///{DATABASE}",
        "SECRET_KEY": SECRET_KEY.read_text(),
        "UPLOAD_FOLDER": str(UPLOADS),
        "SESSION_COOKIE_INSECURE": "1",
        "ADMIN_PASSWORD": ADMIN_PASSWORD.read_text(),
    }
    flask = (VENV / "bin" / "flask", "--app", "bookstore")
    run(*flask, "db", "upgrade", env=environment)
    run(*flask, "sample-data", "--books", "40", env=environment)
    run(*flask, "create-admin", "--email", ADMIN_EMAIL, env=environment)
    say(f"http://127.0.0.1:{port} (administrator {ADMIN_EMAIL}, password in {ADMIN_PASSWORD.relative_to(ROOT)})")
    run(*flask, "run", "--debug", "--port", port, env=environment)
