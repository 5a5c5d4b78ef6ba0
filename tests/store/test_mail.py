"""Mail: settings, a real server with and without TLS, failures, and addresses that no request can bend."""

import logging
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bookstore import ConfigError, mail
from bookstore.config import load_config

from .conftest import KEY
from .mailbox import STORE_URL, Mailbox, free_port, link_in, serve

MINIMUM = {"SECRET_KEY": KEY, "DATABASE_URL": "sqlite://"}
MAIL = {"MAIL_SERVER": "smtp.example.com", "MAIL_FROM": "store@example.com", "STORE_URL": STORE_URL}


# Settings


def test_no_server_means_no_mail(app):
    config = load_config(MINIMUM)
    assert (config["MAIL_SERVER"], config["STORE_URL"]) == ("", "")
    with app.test_request_context("/"), pytest.raises(mail.MailOff):
        mail.compose("a@example.com", "reset")


def test_settings():
    config = load_config(MINIMUM | MAIL | {"STORE_URL": f"{STORE_URL}/"})
    assert (config["MAIL_PORT"], config["MAIL_TLS"]) == (587, "starttls")
    assert config["STORE_URL"] == STORE_URL
    assert load_config(MINIMUM | MAIL | {"MAIL_TLS": "tls"})["MAIL_PORT"] == 465
    assert load_config(MINIMUM | MAIL | {"MAIL_PORT": "25"})["MAIL_PORT"] == 25
    insecure = {"STORE_URL": "http://127.0.0.1:5000", "SESSION_COOKIE_INSECURE": "1"}
    assert load_config(MINIMUM | MAIL | insecure)["STORE_URL"] == "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"MAIL_FROM": ""}, "MAIL_FROM"),
        ({"STORE_URL": ""}, "STORE_URL"),
        ({"MAIL_FROM": "nobody"}, "MAIL_FROM"),
        ({"MAIL_FROM": "Store\n <store@example.com>"}, "MAIL_FROM"),
        ({"MAIL_TLS": "yes"}, "MAIL_TLS"),
        ({"MAIL_PORT": "0"}, "MAIL_PORT"),
        ({"MAIL_TLS": "none", "MAIL_PASSWORD": "hidden-word"}, "MAIL_PASSWORD"),
        ({"MAIL_PASSWORD": "hidden-word-é"}, "MAIL_PASSWORD"),
        ({"STORE_URL": "http://books.example.com"}, "STORE_URL"),
        ({"STORE_URL": "books.example.com"}, "STORE_URL"),
        ({"STORE_URL": "https://books.example.com/shop"}, "STORE_URL"),
        ({"STORE_URL": "https://books.example.com?x"}, "STORE_URL"),
        ({"STORE_URL": "https://me@books.example.com"}, "STORE_URL"),
        ({"STORE_URL": "https://books example.com"}, "STORE_URL"),
        ({"STORE_URL": "https://[books"}, "STORE_URL"),
        ({"REGISTRATIONS_PER_HOUR": "0"}, "REGISTRATIONS_PER_HOUR"),
    ],
)
def test_unusable_settings(change, named):
    with pytest.raises(ConfigError, match=named) as caught:
        load_config(MINIMUM | MAIL | change)
    assert "hidden-word" not in str(caught.value)


# Delivery


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """A context of a server for 127.0.0.1 whose authority the store trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "both.pem"
    pem.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    return context


def check_login(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"store", b"p ss")
    return AuthResult(success=good, handled=False)


@pytest.fixture
def send(app, mailbox, monkeypatch):
    """Send a mail with other settings than the mailbox fixture's."""

    def sending(recipient="ana@example.com", language="en", **settings):
        for name, value in settings.items():
            monkeypatch.setitem(app.config, name, value)
        with app.test_request_context("/", headers={"Accept-Language": language, "Host": "evil.example"}):
            mail.send(mail.compose(recipient, "reset", link=mail.link("accounts.reset_password", token="t")))

    return sending


@pytest.mark.parametrize("language", ["en", "es"])
def test_message(send, mailbox, language):
    send(language=language)
    (message,) = mailbox.messages
    assert message["From"] == "BookStore <store@books.example.com>"
    assert message["To"] == "ana@example.com"
    assert message.recipients == ["ana@example.com"]
    assert message["Message-ID"].endswith("@books.example.com>")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime
    assert message["Subject"]
    assert link_in(message) == "/password/reset?token=t"


def test_starttls_with_a_password(send, certificate):
    box = Mailbox()
    controller = serve(
        box, tls_context=certificate, require_starttls=True, auth_required=True, authenticator=check_login
    )
    try:
        settings = {"MAIL_SERVER": "localhost", "MAIL_PORT": controller.port, "MAIL_TLS": "starttls"}
        send(**settings, MAIL_USERNAME="store", MAIL_PASSWORD="p ss")
        assert box.newest().authenticated
        with pytest.raises(mail.MailFailed):
            send(MAIL_PASSWORD="wrong")
    finally:
        controller.stop()


def test_tls_from_the_start(send, certificate):
    box = Mailbox()
    controller = serve(box, ssl_context=certificate, server_hostname="localhost")
    try:
        send(MAIL_SERVER="localhost", MAIL_PORT=controller.port, MAIL_TLS="tls")
        assert box.newest()["To"] == "ana@example.com"
    finally:
        controller.stop()


def test_no_mail_to_a_server_of_another_name(send, certificate):
    """The certificate is for localhost, so 127.0.0.1 may be anybody."""
    box = Mailbox()
    controller = serve(box, tls_context=certificate)
    try:
        with pytest.raises(mail.MailFailed):
            send(MAIL_PORT=controller.port, MAIL_TLS="starttls")
    finally:
        controller.stop()
    assert box.messages == []


def test_no_mail_without_the_encryption_that_is_asked_for(send, mailbox):
    with pytest.raises(mail.MailFailed):
        send(MAIL_TLS="starttls")
    assert mailbox.messages == []


def test_failures_are_told_without_addresses(send, mailbox, caplog):
    caplog.set_level(logging.WARNING)
    mailbox.refuse = "550 no such mailbox ana@example.com"
    with pytest.raises(mail.MailFailed):
        send()
    with pytest.raises(mail.MailFailed):
        # This server does not know such addresses.
        send(recipient="josé@example.com")
    with pytest.raises(mail.MailFailed):
        send(MAIL_PORT=free_port())
    with pytest.raises(mail.MailFailed):
        send(MAIL_SERVER="a" * 70 + ".example")
    assert caplog.text.count("mail not sent") == 4
    assert "ana@" not in caplog.text


def test_a_silent_server_is_not_waited_for(send, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.2)
        with pytest.raises(mail.MailFailed):
            send(MAIL_PORT=silent.getsockname()[1])
