"""A stand-in for the card gateway: its HTTP interface as far as the store uses it, and its signed messages.

Written after https://docs.stripe.com/api/checkout/sessions and https://docs.stripe.com/webhooks#verify-manually.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

SECRET = "whsec_" + "f" * 32


class StandIn:
    """The gateway, running."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.refunds: list[str] = []
        self.broken = False
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                form = dict(parse_qsl(self.rfile.read(length).decode()))
                self.answer(stand_in.act(self.path, form, self.headers.get("Idempotency-Key")))

            def do_GET(self) -> None:
                self.answer(stand_in.sessions.get(self.path.rsplit("/", 1)[1]))

            def answer(self, body: dict[str, Any] | None) -> None:
                status = 500 if stand_in.broken else 200 if body else 404
                data = json.dumps(body if status == 200 else {"error": {"type": "api_error", "message": "no"}}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                # The library asks again when it is told that it may.
                self.send_header("Stripe-Should-Retry", "false")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def act(self, path: str, form: dict[str, str], key: str | None) -> dict[str, Any] | None:
        if path == "/v1/refunds":
            self.refunds.append(form["payment_intent"])
            return {"id": "re_1", "object": "refund", "status": "succeeded"}
        if path.endswith("/expire"):
            session = self.sessions[path.split("/")[-2]]
            session["status"] = "expired"
            return session
        assert path == "/v1/checkout/sessions", path
        assert key is not None
        if key not in self.answers:
            name = f"cs_test_{secrets.token_hex(8)}"
            assert int(form["expires_at"]) >= time.time() + 1800, "the gateway refuses shorter sessions"
            self.answers[key] = self.sessions[name] = {
                "id": name,
                "object": "checkout.session",
                "url": f"https://pay.example/{name}",
                "status": "open",
                "payment_status": "unpaid",
                "payment_intent": f"pi_{name}",
                "amount_total": int(form["line_items[0][price_data][unit_amount]"]),
                "currency": form["line_items[0][price_data][currency]"],
                "client_reference_id": form["client_reference_id"],
            }
        return self.answers[key]

    def message(
        self, session: dict[str, Any], kind: str = "checkout.session.completed", *, age: int = 0, secret: str = SECRET
    ) -> tuple[bytes, str]:
        """What the gateway sends when the buyer has paid, and its signature."""
        paid = session | ({"payment_status": "paid", "status": "complete"} if kind.endswith("completed") else {})
        event = {"id": f"evt_{secrets.token_hex(8)}", "object": "event", "type": kind, "data": {"object": paid}}
        body = json.dumps(event).encode()
        moment = int(time.time()) - age
        digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
        return body, f"t={moment},v1={digest}"
