"""Confirming addresses and forgotten passwords: what the links in mails do, and what they do not tell."""

import time
from datetime import timedelta

import pytest
from itsdangerous import URLSafeTimedSerializer

from bookstore.accounts.models import LoginAttempt, User, UserSession
from bookstore.accounts.tokens import Purpose
from bookstore.extensions import db

from .conftest import PASSWORD
from .mailbox import link_in

NEW = "another long password"
PERSON = {"name": "Ana BUY-NOW", "email": "ana@example.com", "password": PASSWORD}


def register(visitor, **changes):
    visitor.get("/register")
    return visitor.post("/register", PERSON | changes)


# Confirmation


def test_a_new_address_is_confirmed_by_its_link(browser, mailbox, fetch):
    visitor = browser()
    assert register(visitor).headers["Location"] == "/login"
    assert "sent an e-mail" in visitor.get("/login").text
    (user,) = fetch(User)
    assert user.email_verified_at is None
    message = mailbox.newest()
    assert message["Subject"] == "Confirm your e-mail address"
    # Otherwise the store would carry advertisements to any address.
    assert "BUY-NOW" not in message.as_string()
    link = link_in(message)
    # A program that looks into mails opens links: that alone confirms nothing.
    assert "ana@example.com" in visitor.get(link).text
    assert fetch(User, user.id).email_verified_at is None
    assert visitor.post(link).headers["Location"] == "/login"
    assert fetch(User, user.id).email_verified_at is not None


def test_unconfirmed_people_can_buy_and_ask_for_the_link_again(make, browser, mailbox, fetch):
    user = make.user()
    visitor = browser(user)
    assert "Send the link again" in visitor.get("/account").text
    assert visitor.post(f"/buy/{make.book().id}", {"quantity": "1"}).status_code == 302
    visitor.post("/account/email/confirmation")
    assert "look into your mailbox" in visitor.get("/account").text
    response = visitor.post(link_in(mailbox.newest()))
    assert response.headers["Location"] == "/account"
    page = visitor.get("/account").text
    assert "Confirmed" in page
    assert "Send the link again" not in page


def test_mails_are_limited(make, browser, mailbox):
    visitor = browser(make.user())
    for _ in range(6):
        visitor.post("/account/email/confirmation")
    assert "Too many requests" in visitor.get("/account").text
    assert len(mailbox.wait(5)) == 5


def test_failing_mail_is_a_notice(make, browser, mailbox):
    mailbox.refuse = "451 later"
    visitor = browser(make.user())
    assert visitor.post("/account/email/confirmation").status_code == 302
    assert "could not send the e-mail" in visitor.get("/account").text
    form = {"email": "new@example.com", "present": PASSWORD}
    response = visitor.post("/account/email", form)
    assert response.status_code == 503
    assert "could not send the e-mail" in response.text


def test_a_taken_address_is_told_to_its_owner_only(make, browser, mailbox, fetch):
    owner = make.user(email=PERSON["email"])
    answers = set()
    for email in (owner.email, "new@example.com"):
        visitor = browser()
        response = register(visitor, email=email)
        page = visitor.get("/login").text
        answers.add((response.status_code, response.headers["Location"], page.split('role="status">')[1].split("<")[0]))
    assert len(answers) == 1
    assert {message["To"]: message["Subject"] for message in mailbox.wait(2)} == {
        owner.email: "You have an account already",
        "new@example.com": "Confirm your e-mail address",
    }
    assert fetch(User, owner.id).name == owner.name


# Forgotten passwords


def forget(visitor, email):
    visitor.get("/password/forgot")
    return visitor.post("/password/forgot", {"email": email})


def test_a_forgotten_password_is_replaced_by_link_once(make, browser, mailbox, fetch):
    user = make.user()
    elsewhere = browser(user)
    visitor = browser()
    assert forget(visitor, user.email.upper()).headers["Location"] == "/login"
    link = link_in(mailbox.newest())
    assert visitor.get(link).status_code == 200
    assert visitor.post(link, {"password": "short"}).status_code == 422
    assert visitor.post(link, {"password": NEW}).headers["Location"] == "/login"
    assert fetch(UserSession) == []
    assert elsewhere.get("/account").status_code == 302
    visitor.get("/login")
    assert visitor.post("/login", {"email": user.email, "password": PASSWORD}).status_code == 401
    visitor.log_in(user, NEW)
    # The link came to this address, so it is confirmed too; and it is of no further use.
    assert fetch(User, user.id).email_verified_at is not None
    for response in (browser().get(link), browser().post(link, {"password": "a third long one"})):
        assert response.status_code == 400
        assert "not valid any more" in response.text


def test_two_windows_with_one_link(make, browser, mailbox, app, monkeypatch):
    """Both were let in; the password changes once."""
    from bookstore.accounts import recovery

    user = make.user()
    forget(browser(), user.email)
    token = link_in(mailbox.newest()).partition("=")[2]
    read = recovery.read_link_token

    def read_then_change(*args):
        found = read(*args)
        db.session.execute(
            db.update(User).values(password_hash="changed meanwhile"), execution_options={"synchronize_session": False}
        )
        return found

    monkeypatch.setattr(recovery, "read_link_token", read_then_change)
    with app.app_context(), pytest.raises(recovery.BadLink):
        recovery.reset_password(token, NEW)


def test_all_links_die_with_the_password_or_the_address(make, browser, mailbox, app):
    user = make.user()
    visitor = browser(user)
    forget(browser(), user.email)
    visitor.post("/account/email/confirmation")
    links = {link_in(message) for message in mailbox.wait(2)}
    assert all(browser().get(link).status_code == 200 for link in links)
    with app.app_context():
        db.session.execute(db.update(User).values(email="moved@example.com"))
        db.session.commit()
    assert all(browser().get(link).status_code == 400 for link in links)


@pytest.mark.parametrize(
    ("path", "age"), [("/password/reset", timedelta(hours=1)), ("/email/confirm", timedelta(days=3))]
)
def test_links_grow_old(make, browser, mailbox, monkeypatch, path, age):
    user = make.user()
    if path == "/password/reset":
        forget(browser(), user.email)
    else:
        browser(user).post("/account/email/confirmation")
    link = link_in(mailbox.newest())
    assert link.startswith(path)
    now = time.time()
    for seconds, status in ((-5, 200), (5, 400)):
        later = now + age.total_seconds() + seconds
        monkeypatch.setattr("itsdangerous.timed.time.time", lambda later=later: later)
        assert browser().get(link).status_code == status


@pytest.mark.parametrize("path", ["/password/reset", "/email/confirm"])
@pytest.mark.parametrize("token", ["", "x", "a.b.c", "%00", "%ff", "é" * 300, "." * 50])
def test_junk_links(browser, path, token):
    assert browser().get(f"{path}?token={token}").status_code == 400
    assert browser().post(f"{path}?token={token}", {"password": NEW}).status_code == 400
    assert browser().get(path).status_code == 400


def test_a_link_is_for_one_purpose(make, browser, mailbox, fetch):
    user = make.user()
    browser(user).post("/account/email/confirmation")
    token = link_in(mailbox.newest()).partition("=")[2]
    assert browser().post(f"/password/reset?token={token}", {"password": NEW}).status_code == 400
    assert fetch(User, user.id).password_hash == user.password_hash


def test_forged_links(make, browser, mailbox, app):
    user = make.user()
    forget(browser(), user.email)
    token = link_in(mailbox.newest()).partition("=")[2]
    payload = token.split(".")[0]
    forged = URLSafeTimedSerializer("f" * 48, salt=f"bookstore.{Purpose.RESET_PASSWORD.value[0]}")
    for bad in (token[:-1], f"{payload}x{token[len(payload) :]}", forged.dumps([user.id, "", ""])):
        assert browser().get(f"/password/reset?token={bad}").status_code == 400


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}])
def test_links_lead_to_the_store_whatever_host_the_request_names(make, app, mailbox, headers):
    from .conftest import Browser

    visitor = Browser(app)
    if "Host" in headers:
        visitor.base["base_url"] = "https://evil.example"
    visitor.get("/password/forgot")
    visitor.post("/password/forgot", {"email": make.user().email}, headers=headers)
    message = mailbox.newest()
    assert link_in(message).startswith("/password/reset")
    assert "evil" not in message.as_string()


def test_known_and_unknown_addresses_get_the_same_answer(make, browser, mailbox, app, monkeypatch):
    known = make.user()
    # The mail itself takes longer than the answer: nobody waits for it.
    monkeypatch.setitem(app.config, "FAILED_LOGIN_SECONDS", 0.3)
    answers, times = set(), []
    for email in (known.email, "nobody@example.com"):
        visitor = browser()
        visitor.get("/password/forgot")
        started = time.monotonic()
        response = visitor.post("/password/forgot", {"email": email})
        times.append(time.monotonic() - started)
        answers.add(
            (response.status_code, response.headers["Location"], visitor.get("/login").text.split("notice")[1][:200])
        )
    assert len(answers) == 1
    assert abs(times[0] - times[1]) < 0.1, times
    assert [message["To"] for message in mailbox.wait(1)] == [known.email]


def test_junk_address(browser, mailbox):
    for email in ("", "x", "deleted-1", "a" * 5000):
        assert forget(browser(), email).status_code == 422
    assert mailbox.stays_empty()


def test_known_and_unknown_addresses_are_limited_alike(make, browser, mailbox, fetch):
    visitor = browser()
    for email in (make.user().email, "nobody@example.com"):
        statuses = [forget(visitor, email).status_code for _ in range(6)]
        assert statuses == [302] * 5 + [429]
    response = forget(visitor, email)
    assert int(response.headers["Retry-After"]) > 900
    assert len(mailbox.wait(5)) == 5
    # Log-ins are counted apart.
    assert visitor.post("/login", {"email": email, "password": "x"}).status_code == 401
    assert len(fetch(LoginAttempt)) == 11


def test_without_mail_the_page_says_so(make, browser):
    visitor = browser()
    page = visitor.get("/password/forgot")
    assert page.status_code == 200
    assert "sends no mail" in page.text
    assert 'name="email"' not in page.text
    assert visitor.post("/password/forgot", {"email": make.user().email}).status_code == 409
    own = browser(make.user())
    page = own.get("/account").text
    assert "sends no mail" in page
    assert "Send the link again" not in page
    own.post("/account/email/confirmation")
    assert "sends no mail" in own.get("/account").text


def test_deleted_people_get_no_link(make, browser, mailbox):
    from bookstore.columns import utcnow

    user = make.user(deleted_at=utcnow())
    assert forget(browser(), user.email).status_code == 302
    assert mailbox.stays_empty()
