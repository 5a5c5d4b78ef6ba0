"""A real SMTP server for the store to hand its mail to."""

import re
import socket
import threading
import time
from email import message_from_bytes, policy

from aiosmtpd.controller import Controller

STORE_URL = "https://books.example.com"
LINK = re.compile(rf"{STORE_URL}(/\S+)")


class Mailbox:
    """What arrived. Also aiosmtpd's handler."""

    def __init__(self):
        self.messages = []
        self.arrived = threading.Condition()
        self.refuse = ""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        message.recipients, message.authenticated = envelope.rcpt_tos, session.authenticated
        with self.arrived:
            self.messages.append(message)
            self.arrived.notify_all()
        return "250 OK"

    def wait(self, count=1):
        """The messages, once there are ``count``: some are sent behind the answer."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.messages) >= count, 5), self.messages
        return self.messages

    def newest(self, count=1):
        return self.wait(count)[count - 1]

    def stays_empty(self):
        time.sleep(0.15)
        return not self.messages


def link_in(message):
    """The path of the link in a mail; it begins with the store's address."""
    return LINK.search(message.get_content())[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(handler, **options):
    """Start a server; returns its controller."""
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    return controller
