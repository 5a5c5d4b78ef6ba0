"""Answers with what it was asked, and with whatever status /status/... names; /kept may be kept, and takes long."""

import itertools
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

numbers = itertools.count(1)


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = int(self.path.rsplit("/", 1)[1]) if self.path.startswith("/status/") else 200
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked: dict[str, object] = {"method": self.command, "path": self.path, "headers": headers}
        if self.path == "/kept":
            time.sleep(4)
            asked["number"] = next(numbers)
        body = json.dumps(asked).encode()
        self.send_response(status)
        if self.path == "/kept":
            self.send_header("X-Accel-Expires", "1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Request-ID", "the-backend-must-not-name-it")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer


ThreadingHTTPServer(("127.0.0.1", 8001), Backend).serve_forever()
