"""The administration: who may what, what waits, and that each act is written down for good."""

import pytest

from bookstore.accounts.models import Role, User
from bookstore.admin import audit, reporting, services
from bookstore.admin.models import AuditEntry, Report
from bookstore.catalog.models import Book
from bookstore.catalog.search import index_book
from bookstore.columns import utcnow
from bookstore.errors import Forbidden
from bookstore.extensions import db
from bookstore.payments.models import Payment, PaymentStatus

from .conftest import purchase_of

STAFF_PAGES = ("/admin/", "/admin/users", "/admin/reports")
ADMIN_PAGES = ("/admin/books", "/admin/audit")


@pytest.fixture
def report(make, app):
    """Report a book, and return the report."""

    def file(book=None, reporter=None, **values):
        book, reporter = book or make.book(), reporter or make.user()
        row = Report(book_id=book.id, reporter_id=reporter.id, reason="other", **values)
        return make._add(row)

    return file


def acts(fetch):
    return [(entry.actor_id, entry.action, entry.target, entry.details) for entry in fetch(AuditEntry)]


# Who may what


def test_who_sees_which_page(make, browser):
    user, support, admin = make.user(), make.user(role=Role.SUPPORT), make.admin()
    target = f"/admin/users/{user.id}"
    visitors = [browser(person) for person in (user, support, admin)]
    for path in (*STAFF_PAGES, *ADMIN_PAGES, target):
        seen = [visitor.get(path).status_code for visitor in visitors]
        assert seen == [403, 403 if path in ADMIN_PAGES else 200, 200], path
        assert browser().get(path).status_code == 302


def test_who_may_do_what(make, browser, report, fetch):
    user, support, target = make.user(), make.user(role=Role.SUPPORT), make.user()
    book = make.book()
    row = report(book)
    forbidden = (f"/admin/users/{target.id}/role", f"/admin/books/{book.id}/archive")
    shared = (f"/admin/reports/{row.id}/uphold", f"/admin/reports/{row.id}/dismiss")
    for person, paths in ((user, forbidden + shared), (support, forbidden)):
        visitor = browser(person)
        for path in paths:
            assert visitor.post(path, {"role": "administrator"}).status_code == 403
    assert fetch(Book, book.id).status == "active"
    assert acts(fetch) == []
    assert browser(support).post(shared[0]).status_code == 302


def test_the_navigation_shows_what_one_may_see(make, browser):
    assert "/admin/" not in browser(make.user()).get("/").text
    support = browser(make.user(role=Role.SUPPORT)).get("/admin/").text
    assert "/admin/reports" in support
    assert "/admin/audit" not in support
    admin = browser(make.admin()).get("/admin/").text
    assert "/admin/audit" in admin
    # Pages that this release does not have are not linked.
    assert 'href=""' not in admin


@pytest.mark.parametrize("path", [*STAFF_PAGES, *ADMIN_PAGES])
def test_queries_do_not_grow(make, browser, report, count_queries, app, path):
    admin = make.admin()
    visitor = browser(admin)

    def fill():
        report()
        with app.app_context():
            audit.record(admin, "user.role", "user 1", "user -> support")
            db.session.commit()

    fill()
    with count_queries() as few:
        assert visitor.get(path).status_code == 200
    for _ in range(6):
        fill()
    with count_queries() as many:
        assert visitor.get(path).status_code == 200
    assert len(few) == len(many) == 2, "\n".join(many)


def test_pages_follow_each_other(make, browser, report, app):
    admin, book = make.admin(), make.book()
    visitor = browser(admin)
    for number in range(30):
        report(book, details=f"detail-{number:02}")
        with app.app_context():
            audit.record(admin, "x.y", f"thing-{number:02}")
            db.session.commit()
    for path, mark in (("/admin/reports", "detail-"), ("/admin/audit", "thing-"), ("/admin/users?q=person", "person")):
        first = visitor.get(path).text
        assert first.count(mark) >= 24
        address = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
        second = visitor.get(address).text
        assert "First page" in second
        assert not {f"{mark}29"} & set(second.split())
        if "q=" in path:
            assert "q=person" in address


@pytest.mark.parametrize("query", ["after=x", "after=%ff", "status=junk", "actor=x", "actor=-1", "actor=99999999999999", "q=%00", "q=%25_%5C", "q=" + "a" * 9000, "q=%F0%9F%93%9A"])  # fmt: skip
def test_junk_queries(make, browser, query):
    visitor = browser(make.admin())
    for path in STAFF_PAGES + ADMIN_PAGES:
        assert visitor.get(f"{path}?{query}").status_code in (200, 400)


# Work that waits


def test_dashboard_counts_as_far_as_it_matters(make, browser, report, app, monkeypatch):
    monkeypatch.setattr(services, "MOST_COUNTED", 2)
    buyer, admin = browser(make.user()), browser(make.admin())
    book = make.book(stock=50)
    states = [PaymentStatus.PENDING, PaymentStatus.REFUND_DUE, PaymentStatus.REFUND_DUE, PaymentStatus.COMPLETED]
    for status in states:
        purchase = purchase_of(buyer.post(f"/buy/{book.id}", {"quantity": "1"}))
        make._add(Payment(purchase_id=purchase, method="Card", amount=1, status=status))
    for _ in range(5):
        report()
    report(status="dismissed")
    with app.app_context():
        assert services.waiting() == services.Waiting(reports=3, payments=1, refunds=2, deliveries=0)
    page = admin.get("/admin/").text
    assert "<strong>2+</strong>" in page
    assert "<strong>0</strong>" in page


# Users and roles


def test_users_are_found_by_address_or_name(make, browser):
    ana, bob = make.user(name="Ana López", email="ana@example.com"), make.user(name="Bob", email="bob@example.com")
    visitor = browser(make.admin())
    for search, found in (
        ("ANA@", {ana.email}),
        ("López", {ana.email}),
        ("bo", {bob.email}),
        ("%", set()),
        ("example", set()),
        ("deleted", set()),
    ):
        page = visitor.get("/admin/users", query_string={"q": search}).text
        assert {email for email in (ana.email, bob.email) if email in page} == found, search
    assert "Nobody was found." in visitor.get("/admin/users?q=zzz").text


def test_a_long_name_does_not_push_columns_away(make, browser):
    make.user(name="W" * 100)
    assert f'<td class="long"><a href="/admin/users/' in browser(make.admin()).get("/admin/users").text  # noqa: F541


def test_role(make, browser, fetch):
    admin, target = make.admin(), make.user()
    visitor, theirs = browser(admin), browser(target)
    page = visitor.get(f"/admin/users/{target.id}").text
    assert target.email in page
    assert "Change the role" in page
    for role in ("support", "support", "administrator", "user"):
        assert visitor.post(f"/admin/users/{target.id}/role", {"role": role}).status_code == 302
        assert fetch(User, target.id).role == role
        # At once, in the sessions that are open.
        assert theirs.get("/admin/").status_code == (403 if role == "user" else 200)
    assert acts(fetch) == [
        (admin.id, "user.role", f"user {target.id}", "user -> support"),
        (admin.id, "user.role", f"user {target.id}", "support -> administrator"),
        (admin.id, "user.role", f"user {target.id}", "administrator -> user"),
    ]


def test_roles_that_cannot_be_given(make, browser, fetch, app):
    admin, target, gone = make.admin(), make.user(), make.user(deleted_at=utcnow())
    visitor = browser(admin)
    assert "Change the role" not in visitor.get(f"/admin/users/{admin.id}").text
    assert "Deleted on" in visitor.get(f"/admin/users/{gone.id}").text
    for user_id, role, status in (
        (target.id, "king", 422),
        (target.id, "", 422),
        (admin.id, "user", 403),
        (gone.id, "support", 404),
        (999_999, "support", 404),
    ):
        assert visitor.post(f"/admin/users/{user_id}/role", {"role": role}).status_code == status
    assert visitor.get("/admin/users/999999").status_code == 404
    with app.app_context(), pytest.raises(services.InvalidInput):
        services.change_role(admin, target.id, "king")
    assert fetch(User, admin.id).is_admin
    assert acts(fetch) == []


def test_an_administrator_who_is_none_any_more_changes_no_role(make, app, fetch):
    """Two who take each other's role at once: the second has lost it when it is their turn."""
    admin, target = make.admin(), make.admin()
    with app.app_context():
        services.change_role(admin, target.id, "user")
        with pytest.raises(Forbidden):
            services.change_role(target, admin.id, "user")
    assert fetch(User, admin.id).is_admin


# Listings


def test_books_are_found_by_number_or_words(make, browser, app):
    seller = make.user(name="Sofía")
    room = make.book(seller)
    end = make.book(seller, title="Howards End", status="archived")
    with app.app_context():
        for book in (room, end):
            index_book(db.session, book)
        db.session.commit()
    visitor = browser(make.admin())
    for search, found in (
        ("", {room.title, end.title}),
        (str(end.id), {end.title}),
        (f" #{room.id} ", {room.title}),
        ("forster", {room.title, end.title}),
        ("HOWARDS forster", {end.title}),
        ("howards room", set()),
        ("the", set()),
        ("9" * 12, set()),
        ("²", set()),
    ):
        page = visitor.get("/admin/books", query_string={"q": search}).text
        assert {title for title in (room.title, end.title) if title in page} == found, search


def test_archiving_a_listing(make, browser, fetch):
    admin, book = make.admin(), make.book()
    visitor = browser(admin)
    assert "Take off sale" in visitor.get("/admin/books").text
    assert visitor.post(f"/admin/books/{book.id}/archive").status_code == 302
    assert fetch(Book, book.id).status == "archived"
    assert visitor.post(f"/admin/books/{book.id}/archive").status_code == 409
    assert visitor.post("/admin/books/999999/archive").status_code == 404
    assert acts(fetch) == [(admin.id, "book.archive", f"book {book.id}", "")]
    assert "Take off sale" not in visitor.get("/admin/books").text


# Reports


def test_reporting_a_book(make, browser, fetch):
    book, person = make.book(), make.user()
    visitor = browser(person)
    path = f"/book/{book.id}/report"
    assert book.title in visitor.get(path).text
    for form in (
        {},
        {"reason": "x"},
        {"reason": "other", "details": "x" * 1001},
        {"reason": "other", "details": "\x00"},
    ):
        response = visitor.post(path, form)
        assert response.status_code == 422
        assert 'role="alert"' in response.text
    assert visitor.post(path, {"reason": "counterfeit", "details": " a copy "}).status_code == 302
    (row,) = fetch(Report)
    assert (row.book_id, row.reporter_id, row.reason, row.details) == (book.id, person.id, "counterfeit", "a copy")
    assert row.status == "open"
    for response in (visitor.get(path), visitor.post(path, {"reason": "other"})):
        assert response.status_code == 409
        assert "reported this book already" in response.text
    assert len(fetch(Report)) == 1
    assert browser(make.user()).post(path, {"reason": "other"}).status_code == 302


def test_books_that_cannot_be_reported(make, browser, fetch):
    seller = make.user()
    book, archived = make.book(seller), make.book(status="archived")
    visitor = browser(seller)
    for path, status in ((book.id, 403), (archived.id, 404), (999_999, 404)):
        assert visitor.get(f"/book/{path}/report").status_code == status
        assert visitor.post(f"/book/{path}/report", {"reason": "other"}).status_code == status
    assert browser().get(f"/book/{book.id}/report").status_code == 302
    assert fetch(Report) == []


def test_reporting_twice_at_once(make, app, report, monkeypatch):
    book, person = make.book(), make.user()
    with app.app_context():
        asked = iter((None, *[reporting.reportable_book] * 2))
        real = reporting.reportable_book

        def first_time_blind(*args):
            return next(asked) and real(*args)

        monkeypatch.setattr(reporting, "reportable_book", first_time_blind)
        report(book, person)
        with pytest.raises(reporting.AlreadyReported):
            reporting.report_book(person, book.id, "other", "")
        with pytest.raises(reporting.InvalidInput):
            reporting.report_book(person, book.id, "junk", "")


def test_upholding(make, browser, report, fetch):
    support, book = make.user(role=Role.SUPPORT), make.book(title="Fake")
    first, second, other = report(book, details="a\nb"), report(book), report()
    visitor = browser(support)
    page = visitor.get("/admin/reports").text
    assert page.count("Fake") >= 2
    assert visitor.post(f"/admin/reports/{first.id}/uphold").status_code == 302
    assert fetch(Book, book.id).status == "archived"
    assert [fetch(Report, row.id).status for row in (first, second, other)] == ["upheld", "upheld", "open"]
    assert acts(fetch) == [(support.id, "report.uphold", f"report {first.id}", f"archived book {book.id}")]
    assert "Fake" not in visitor.get("/admin/reports").text
    assert "Fake" in visitor.get("/admin/reports?status=upheld").text
    for act in ("uphold", "dismiss"):
        assert visitor.post(f"/admin/reports/{second.id}/{act}").status_code == 409
        assert visitor.post(f"/admin/reports/999999/{act}").status_code == 404
    assert len(acts(fetch)) == 1


def test_dismissing(make, browser, report, fetch):
    support, book = make.user(role=Role.SUPPORT), make.book()
    row = report(book)
    visitor = browser(support)
    assert visitor.post(f"/admin/reports/{row.id}/dismiss").status_code == 302
    assert fetch(Report, row.id).status == "dismissed"
    assert fetch(Book, book.id).status == "active"
    assert acts(fetch) == [(support.id, "report.dismiss", f"report {row.id}", f"book {book.id}")]
    assert "There are no reports here." in visitor.get("/admin/reports").text


# The audit log


def test_audit_log_is_read_by_person(make, browser, app):
    ana, bob = make.user(name="Ana", role=Role.ADMINISTRATOR), make.user(name="Bob", role=Role.SUPPORT)
    with app.app_context():
        audit.record(ana, "user.role", "user 7", "user -> support")
        audit.record(bob, "report.dismiss", "report 8")
        audit.record(None, "user.role", "user 9")
        db.session.commit()
    visitor = browser(ana)
    page = visitor.get("/admin/audit").text
    assert all(text in page for text in ("user 7", "report 8", "A command on the host", "user -&gt; support"))
    page = visitor.get(f"/admin/audit?actor={bob.id}").text
    assert "report 8" in page
    assert "user 7" not in page
    assert f"actor={bob.id}" in visitor.get(f"/admin/users/{bob.id}").text


def test_audit_log_only_grows(make, app, fetch):
    admin = make.admin()
    with app.app_context():
        audit.record(admin, "x.y", "z" * 500, "d" * 900)
        db.session.commit()
        (entry,) = db.session.scalars(db.select(AuditEntry))
        assert (len(entry.target), len(entry.details)) == (100, 500)
        entry.details = "nothing happened"
        with pytest.raises(RuntimeError, match="append-only"):
            db.session.commit()
        db.session.rollback()
        db.session.delete(entry)
        with pytest.raises(RuntimeError, match="append-only"):
            db.session.commit()
        db.session.rollback()
    assert len(fetch(AuditEntry)) == 1


def test_an_act_that_fails_leaves_no_entry(make, app, fetch, monkeypatch):
    """The act and its entry are one transaction."""
    admin, book = make.admin(), make.book()

    def broken(*args):
        raise ZeroDivisionError

    with app.app_context():
        monkeypatch.setattr(audit, "record", broken)
        with pytest.raises(ZeroDivisionError):
            services.archive_book(admin, book.id)
        db.session.rollback()
    assert fetch(Book, book.id).status == "active"
