"""Mail, handed to an SMTP server. A store without ``MAIL_SERVER`` sends none, and its pages say so."""

import logging
import smtplib
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Any
from urllib.parse import urlsplit

from flask import current_app, render_template, url_for
from flask_babel import lazy_gettext as _l

from .errors import Conflict, StoreError

log = logging.getLogger(__name__)
# For each answer of the server.
TIMEOUT_SECONDS = 5
# Makes no thread before its first mail, so none is lost when gunicorn forks.
_background = ThreadPoolExecutor(2, thread_name_prefix="mail")


class MailOff(Conflict):
    """No mail server is configured."""

    message = _l("This store sends no mail, so this is not possible here.")


class MailFailed(StoreError):
    """The mail server did not take a message."""

    status = 503
    message = _l("We could not send the e-mail. Please try again in a few minutes.")


def enabled() -> bool:
    """Whether this store sends mail."""
    return bool(current_app.config["MAIL_SERVER"])


def link(endpoint: str, **values: Any) -> str:
    """An address for a mail. It begins with STORE_URL, never with what a request calls this host."""
    return str(current_app.config["STORE_URL"]) + url_for(endpoint, **values)


def compose(recipient: str, template: str, **values: Any) -> EmailMessage:
    """Write a message in the language of the present page.

    Texts that people chose, their names too, do not belong into mails to addresses that are not yet known to be
    theirs: the store would carry advertisements.

    Args:
        recipient: the address.
        template: name in ``templates/mail``; its first line is the subject.
        values: for the template.

    Raises:
        MailOff: no mail server is configured.
    """
    if not enabled():
        raise MailOff
    subject, _, text = render_template(f"mail/{template}.txt", **values).partition("\n")
    sender = current_app.config["MAIL_FROM"]
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject.strip()
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rsplit("@", 1)[1])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.strip() + "\n")
    return message


def send(message: EmailMessage) -> None:
    """Hand a message in now.

    Raises:
        MailFailed: the server cannot be reached or refuses.
    """
    if not _hand_in(message, current_app.config):
        raise MailFailed


def send_later(message: EmailMessage) -> None:
    """Hand a message in behind the visitor's back: the answer must not tell whether there is one."""
    # The thread has no request and no application of its own.
    _background.submit(_hand_in, message, dict(current_app.config))


def _hand_in(message: EmailMessage, config: Mapping[str, Any]) -> bool:
    try:
        with _connect(config) as server:
            if config["MAIL_USERNAME"]:
                server.login(config["MAIL_USERNAME"], config["MAIL_PASSWORD"])
            server.send_message(message)
        return True
    except (OSError, UnicodeError) as error:
        # SMTP's errors are OSErrors too. Their texts can hold addresses, so only kind and code are told.
        log.error("mail not sent: %s %s", type(error).__name__, getattr(error, "smtp_code", ""))
        return False


def _connect(config: Mapping[str, Any]) -> smtplib.SMTP:
    # Without a name smtplib asks DNS for this host's.
    name = urlsplit(config["STORE_URL"]).hostname
    where = (config["MAIL_SERVER"], config["MAIL_PORT"], name)
    if config["MAIL_TLS"] == "tls":
        return smtplib.SMTP_SSL(*where, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
    server = smtplib.SMTP(*where, timeout=TIMEOUT_SECONDS)
    if config["MAIL_TLS"] == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except OSError:
            server.close()
            raise
    return server
