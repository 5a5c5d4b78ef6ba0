"""Covers: what is taken, what is refused, where the files are and when they go."""

import hashlib
import io
import os
import stat
import threading
import time
from datetime import timedelta

import pytest
from PIL import Image, PngImagePlugin

from bookstore import ConfigError
from bookstore.catalog import covers, services
from bookstore.catalog.models import Book
from bookstore.columns import utcnow
from bookstore.config import load_config
from bookstore.errors import InvalidInput

from .test_operations import MYSQL

BOOK = {"title": "T", "author": "A", "description": "", "price": "10", "stock": "1"}


def picture(kind="JPEG", size=(300, 400), mode="RGB", colour=(200, 30, 30), **options):
    output = io.BytesIO()
    Image.new(mode, size, colour).save(output, kind, **options)
    return output.getvalue()


def noise(megabytes):
    output = io.BytesIO()
    side = int((megabytes * 1024 * 1024 / 3) ** 0.5) + 1
    Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(output, "PNG", compress_level=0)
    return output.getvalue()


@pytest.fixture
def folder(app, tmp_path, monkeypatch):
    monkeypatch.setitem(app.config, "UPLOAD_FOLDER", str(tmp_path))
    return tmp_path


@pytest.fixture
def seller(make, browser):
    visitor = browser(person := make.user())
    visitor.person = person
    return visitor


def send(visitor, data, path="/book/add_book", **fields):
    return visitor.post(path, BOOK | fields | {"cover": (io.BytesIO(data), "cover.jpg")})


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_cover_is_kept_in_two_sizes(folder, seller, fetch, kind):
    assert send(seller, picture(kind, (1500, 2400))).status_code == 302
    (book,) = fetch(Book)
    large = folder / "covers" / book.cover[:2] / f"{book.cover}-large.webp"
    small = large.with_name(f"{book.cover}-small.webp")
    assert files(folder) == [large, small]
    assert hashlib.sha256(large.read_bytes()).hexdigest() == book.cover
    for path, size in ((large, (600, 960)), (small, (225, 360))):
        with Image.open(path) as image:
            assert (image.format, image.size) == ("WEBP", size)
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(large.parent.stat().st_mode) == 0o755


def test_a_cover_is_shown_and_served_for_ever(folder, seller, fetch, browser):
    send(seller, picture())
    (book,) = fetch(Book)
    visitor = browser()
    assert f'src="/covers/{book.cover}-small.webp" alt="" width="240" height="360"' in visitor.get("/book/catalog").text
    assert f'src="/covers/{book.cover}-large.webp" alt="Cover of T"' in visitor.get(f"/book/{book.id}").text
    response = visitor.get(f"/covers/{book.cover}-small.webp")
    assert (response.status_code, response.mimetype) == (200, "image/webp")
    for part in ("public", "max-age=31536000", "immutable"):
        assert part in response.headers["Cache-Control"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in response.headers
    again = visitor.get(f"/covers/{book.cover}-small.webp", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "name",
    [
        "x",
        f"{'0' * 64}-small.webp",
        f"{'0' * 64}-huge.webp",
        f"{'A' * 64}-small.webp",
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "a" * 5000,
    ],
)
def test_unknown_covers(folder, browser, app, monkeypatch, name):
    assert browser().get(f"/covers/{name}").status_code == 404
    monkeypatch.setitem(app.config, "UPLOAD_FOLDER", None)
    assert browser().get(f"/covers/{name}").status_code == 404


def test_turned_pictures_stand_upright_and_tell_nothing(folder, seller, fetch):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[1] = "N"
    output = io.BytesIO()
    wide = Image.new("RGB", (400, 200), "red")
    wide.paste("blue", (0, 0, 200, 200))
    wide.save(output, "JPEG", exif=exif, comment=b"SecretComment", icc_profile=b"SecretProfile" * 20)
    assert send(seller, output.getvalue()).status_code == 302
    large = next(path for path in files(folder) if "large" in path.name)
    assert b"Secret" not in large.read_bytes()
    with Image.open(large) as image:
        assert image.size == (200, 400)
        assert not image.getexif()
        assert set(image.info) <= {"loop", "background", "timestamp", "duration"}
        # What was left is on top.
        assert image.getpixel((100, 50))[2] > 200
        assert image.getpixel((100, 350))[0] > 200


@pytest.mark.parametrize(
    ("mode", "colour"),
    [("RGBA", (0, 0, 0, 0)), ("LA", (0, 0)), ("P", 0), ("L", 255), ("1", 1), ("I;16", 65535)],
)
def test_transparency_is_white(mode, colour):
    options = {"transparency": 0} if mode == "P" else {}
    cover = covers.read(picture("PNG", mode=mode, colour=colour, **options))
    with Image.open(io.BytesIO(cover.small)) as image:
        assert image.mode == "RGB"
        assert min(image.getpixel((9, 9))) > 250


def test_a_phones_several_pictures_in_one(tmp_path):
    output = io.BytesIO()
    first, second = Image.new("RGB", (40, 60), "red"), Image.new("RGB", (40, 60), "blue")
    first.save(output, "MPO", save_all=True, append_images=[second])
    with Image.open(io.BytesIO(covers.read(output.getvalue()).large)) as image:
        assert image.getpixel((9, 9))[0] > 200


def test_cmyk():
    assert covers.read(picture("JPEG", mode="CMYK", colour=(0, 0, 0, 0)))


def animated(kind):
    output = io.BytesIO()
    frames = [Image.new("RGB", (40, 60), colour) for colour in ("red", "blue")]
    frames[0].save(output, kind, save_all=True, append_images=frames[1:])
    return output.getvalue()


def labelled(text):
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", text)
    return picture("PNG", pnginfo=info)


HUGE = picture("PNG", (5001, 5000), "1", 1)
REFUSED = {
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is no picture that we can read"),
    "html": (b"<!doctype html><script>alert(1)</script>", "holds more than a picture"),
    "text": (b"hello", "is no picture that we can read"),
    "gif": (picture("GIF"), "is no picture that we can read"),
    "tiff": (picture("TIFF"), "is no picture that we can read"),
    "gif and script": (b"GIF89a=1;/*" + b"\0" * 99 + b"*/alert(1)", "is no picture that we can read"),
    "jpeg and html": (picture() + b"<HTML><body>", "holds more than a picture"),
    "png and script": (labelled("<ScRiPt>alert(1)</script>"), "holds more than a picture"),
    "jpeg and php": (picture(comment=b"<?php system($_GET[0]);"), "holds more than a picture"),
    "cut jpeg": (picture(size=(900, 900))[:-900], "is no picture that we can read"),
    "cut png": (picture("PNG", size=(900, 900))[:-99], "is no picture that we can read"),
    "cut webp": (picture("WEBP", size=(900, 900))[:-99], "is no picture that we can read"),
    "jpeg's head": (picture()[:20], "is no picture that we can read"),
    "moving png": (animated("PNG"), "Moving pictures"),
    "moving webp": (animated("WEBP"), "Moving pictures"),
    "bomb": (HUGE, "25 million pixels"),
    "great bomb": (picture("PNG", (20000, 10000), "1", 1), "is no picture that we can read"),
    "wide webp": (b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\x3f\0\xfe\x3f\0", "is no picture that we can read"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused_and_the_form_stays(folder, seller, fetch, name):
    data, words = REFUSED[name]
    response = send(seller, data, title="Kept title")
    assert response.status_code == 422
    assert "Picture of the cover: " in response.text
    assert words in response.text
    assert 'value="Kept title"' in response.text
    assert fetch(Book) == []
    assert files(folder) == []


def test_large_files(folder, seller, fetch):
    response = send(seller, noise(5.2))
    assert response.status_code == 422
    assert "larger than 5 MB" in response.text
    assert send(seller, noise(4.8)).status_code == 302
    response = send(seller, b"\xff\xd8\xff" + bytes(20_000_000))
    assert response.status_code == 413
    assert "a picture may have up to 5 MB" in response.text
    assert len(fetch(Book)) == 1


def test_strangers_and_other_pages_do_not_get_that_much(folder, seller, browser):
    assert send(browser(), noise(2)).status_code == 413
    assert send(seller, noise(2), "/login").status_code == 413
    assert browser().post("/book/add_book", BOOK).status_code == 302


def test_a_picture_must_be_chosen_again_when_another_field_is_wrong(folder, seller, fetch):
    response = send(seller, picture(), price="x")
    assert response.status_code == 422
    assert "Please choose the picture again" in response.text
    assert files(folder) == []


@pytest.mark.parametrize("value", ["text", "", "\0"])
def test_a_text_in_the_place_of_the_picture_is_not_looked_at(folder, seller, fetch, value):
    assert seller.post("/book/add_book", BOOK | {"cover": value}).status_code == 302
    assert seller.post("/book/add_book", BOOK | {"cover": (io.BytesIO(b""), "")}).status_code == 302
    assert {book.cover for book in fetch(Book)} == {None}


# Their lives


def test_a_cover_lives_as_long_as_a_book_has_it(folder, seller, fetch):
    for _ in range(2):
        send(seller, picture())
    first, second = fetch(Book)
    assert first.cover == second.cover
    assert len(files(folder)) == 2
    edit, delete = f"/book/edit_book/{first.id}", f"/book/delete_book/{second.id}"
    assert first.cover in seller.get(edit).text
    # Another picture, with the same title; an edit without one keeps it.
    assert send(seller, picture(colour=(0, 90, 0)), edit).status_code == 302
    new = fetch(Book, first.id).cover
    assert new != second.cover
    assert seller.post(edit, BOOK).status_code == 302
    assert fetch(Book, first.id).cover == new
    assert len(files(folder)) == 4
    seller.post(delete)
    assert [path.name[:64] for path in files(folder)] == [new, new]
    assert seller.post(edit, BOOK | {"remove_cover": "y"}).status_code == 302
    assert fetch(Book, first.id).cover is None
    assert files(folder) == []


def test_an_archived_book_keeps_its_cover(folder, seller, fetch, make, browser):
    send(seller, picture())
    (book,) = fetch(Book)
    browser(make.user()).post(f"/buy/{book.id}", {"quantity": "1"})
    seller.post(f"/book/delete_book/{book.id}")
    assert fetch(Book, book.id).status == "archived"
    assert len(files(folder)) == 2


def test_a_picture_that_somebody_else_takes_meanwhile_stays(app, folder, seller, fetch, monkeypatch):
    """Between the two questions of the one who discards, another book gets the cover."""
    send(seller, picture())
    (book,) = fetch(Book)
    answers = iter([False, True])
    with app.app_context():
        monkeypatch.setattr(covers, "_used", lambda digest: next(answers))
        assert not covers.discard(book.cover)
        assert len(files(folder)) == 2
        # The other way round: put aside before the commit, and missed after it.
        cover = covers.read(picture())
        monkeypatch.setattr(covers, "_used", lambda digest: False)
        assert covers.discard(cover.digest)
        assert files(folder) == []
        assert covers.discard(cover.digest)
        covers.ensure(cover)
        covers.ensure(cover)
    assert len(files(folder)) == 2


def test_tidying_removes_what_no_book_has(app, folder, seller, fetch):
    send(seller, picture())
    (book,) = fetch(Book)
    with app.app_context():
        covers.store(covers.read(picture(colour=(0, 0, 90))))
        shelf = folder / "covers" / "ab"
        shelf.mkdir(exist_ok=True)
        (shelf / "left.new").write_bytes(b"x")
    run = app.test_cli_runner().invoke
    assert run(args=["tidy"]).output == "unchanged\n"
    old = time.time() - 2 * 86400
    for path in files(folder):
        os.utime(path, (old, old))
    assert run(args=["tidy"]).output == "deleted 2 covers\n"
    assert {path.name[:64] for path in files(folder)} == {book.cover}
    with app.app_context():
        app.config["UPLOAD_FOLDER"] = None
        assert covers.remove_orphans(utcnow() + timedelta(days=1)) == 0
        assert not covers.discard(book.cover)


# The folder


def test_without_a_folder_there_are_no_covers(seller, fetch, browser):
    page = seller.get("/book/add_book")
    assert "This store keeps no pictures" in page.text
    assert 'type="file"' not in page.text
    response = send(seller, picture())
    assert response.status_code == 422
    assert "Pictures cannot be stored" in response.text
    assert browser().get("/ready").json["covers"] == "off"
    assert seller.post("/book/add_book", BOOK).status_code == 302


def test_a_folder_that_is_away_takes_nothing_with_it(folder, app, seller, fetch, browser, monkeypatch):
    send(seller, picture())
    (book,) = fetch(Book)
    assert browser().get("/ready").json["covers"] == "available"
    monkeypatch.setitem(app.config, "UPLOAD_FOLDER", str(folder / "away"))
    ready = browser().get("/ready")
    assert (ready.status_code, ready.json["covers"]) == (200, "missing")
    assert "You can save the book now" in seller.get("/book/add_book").text
    for path in ("/book/add_book", f"/book/edit_book/{book.id}"):
        response = send(seller, picture(colour=(1, 1, 1)), path, title="Kept title")
        assert response.status_code == 422
        assert "Pictures cannot be stored" in response.text
        assert 'value="Kept title"' in response.text
    assert not (folder / "away").exists()
    assert browser().get("/book/catalog").status_code == 200
    assert browser().get(f"/covers/{book.cover}-small.webp").status_code == 404
    assert seller.post(f"/book/edit_book/{book.id}", BOOK | {"remove_cover": "y"}).status_code == 302
    assert seller.post(f"/book/delete_book/{book.id}").status_code == 302


@pytest.mark.parametrize("path", ["add", "edit"])
def test_a_full_disk_is_said_and_nothing_is_half_written(folder, seller, fetch, make, monkeypatch, caplog, path):
    book = make.book(seller.person, title="Before")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    response = send(seller, picture(), "/book/add_book" if path == "add" else f"/book/edit_book/{book.id}")
    assert response.status_code == 422
    assert "Pictures cannot be stored" in response.text
    assert "No space left on device" in caplog.text
    assert [found.title for found in fetch(Book)] == ["Before"]
    assert files(folder) == []


def test_a_file_server_that_does_not_answer_delays_one_look(app, folder, monkeypatch):
    waiting = threading.Event()
    monkeypatch.setattr(covers.os, "access", lambda *args: waiting.wait(10))
    monkeypatch.setattr(covers, "PATIENCE", 0.05)
    with app.app_context():
        assert covers.state() == "missing"
        before = threading.active_count()
        assert covers.state() == "missing"
        assert threading.active_count() == before
        waiting.set()
        wait_for(covers.available)


def test_a_write_that_never_ends_is_said_and_takes_no_thread_for_ever(folder, seller, browser, monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda descriptor: answers.wait(10))
    monkeypatch.setattr(covers, "WORK_PATIENCE", 0.2)
    began = time.monotonic()
    response = send(seller, picture())
    assert time.monotonic() - began < 3
    assert response.status_code == 422
    assert "Pictures cannot be stored" in response.text
    # While one waits, no other begins to.
    assert browser().get("/ready").json["covers"] == "missing"
    before = threading.active_count()
    assert send(seller, picture(colour=(1, 2, 3))).status_code == 422
    assert threading.active_count() == before
    assert browser().get("/book/catalog").status_code == 200
    answers.set()
    wait_for(lambda: browser().get("/ready").json["covers"] == "available")
    assert send(seller, picture()).status_code == 302


def test_a_file_that_cannot_be_read_in_time_is_not_found(folder, seller, fetch, browser, monkeypatch):
    send(seller, picture())
    (book,) = fetch(Book)
    (small,) = [path for path in files(folder) if "small" in path.name]
    content = small.read_bytes()
    monkeypatch.setattr(covers, "WORK_PATIENCE", 0.2)
    small.unlink()
    # Whoever opens it waits for a writer, as for a server.
    os.mkfifo(small)
    assert browser().get(f"/covers/{book.cover}-small.webp").status_code == 404
    assert seller.post(f"/book/edit_book/{book.id}", BOOK | {"title": "New"}).status_code == 302
    small.write_bytes(content)
    wait_for(lambda: browser().get("/ready").json["covers"] == "available")


def wait_for(done, seconds=5):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_setting_must_be_absolute():
    assert load_config(MYSQL)["UPLOAD_FOLDER"] is None
    assert load_config(MYSQL | {"UPLOAD_FOLDER": "/srv/x"})["UPLOAD_FOLDER"] == "/srv/x"
    with pytest.raises(ConfigError, match="UPLOAD_FOLDER"):
        load_config(MYSQL | {"UPLOAD_FOLDER": "uploads"})


def test_services_need_a_folder_too(app, make):
    with app.app_context(), pytest.raises(covers.NoPlace):
        services.add_book(make.user(), services.BookData("T", "A", "", 1, 1), covers.read(picture()))
    assert issubclass(covers.BadCover, InvalidInput)
