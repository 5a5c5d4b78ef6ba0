"""Covers: what sellers upload is decoded, made small, and kept as files that are named by their content.

Under ``UPLOAD_FOLDER/covers/<first two digits>/`` lie ``<SHA-256>-small.webp`` and ``<SHA-256>-large.webp``. The
folder may be shared by several hosts, and it may be away: then books go on without their pictures.
"""

import hashlib
import io
import logging
import os
import re
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask, current_app, request, session
from flask_babel import lazy_gettext as _l
from PIL import Image, ImageOps
from sqlalchemy import exists, select

from ..errors import InvalidInput, StoreError
from ..extensions import db
from .models import Book

log = logging.getLogger(__name__)
MAX_BYTES = 5 * 1024 * 1024
# A hundred megabytes when decoded; today's phones take pictures of 12 million.
MAX_PIXELS = 25_000_000
# Sides of the boxes that the pictures are fitted into: twice what pages show, for sharp screens.
SIZES = {"small": (240, 360), "large": (640, 960)}
UPLOADING = ("catalog.add_book", "catalog.edit_book")
NAME = re.compile(r"([0-9a-f]{64})-(small|large)\.webp")
# Seconds that a look at the folder may take, and that reading or writing there may.
PATIENCE = 1.0
WORK_PATIENCE = 10.0
# Nothing that browsers or servers would run has a place in a picture; without these it is one file of two kinds.
_MARKUP = (b"<script", b"<html", b"<!doctype", b"<?php")
_decoding = threading.Lock()
_looking = threading.Lock()
_unanswered: Future[Any] | None = None
T = TypeVar("T")


class BadCover(InvalidInput):
    """The file is no picture that can be a cover."""

    status = 422
    message = _l("This file is no picture that we can read. Please choose a JPEG, PNG or WebP picture.")


class NoPlace(StoreError):
    """The pictures' folder is away, full or not writable."""

    status = 503
    message = _l(
        "Pictures cannot be stored at the moment. Save the book without its cover, or try again in a few minutes."
    )


@dataclass(frozen=True)
class Cover:
    """A cover in both sizes, as WebP."""

    small: bytes
    large: bytes

    @property
    def digest(self) -> str:
        """What ``books.cover`` holds."""
        return hashlib.sha256(self.large).hexdigest()


def init_app(app: Flask) -> None:
    """Accept larger requests where covers are uploaded; must come before whatever reads the request."""
    app.before_request(_allow_upload)


def _allow_upload() -> None:
    # Of strangers the store takes no more than of everybody elsewhere.
    if request.method == "POST" and request.endpoint in UPLOADING and "_user_id" in session:
        request.max_content_length = MAX_BYTES + 1024 * 1024


def read(data: bytes) -> Cover:
    """Make a cover of an uploaded picture: upright, without metadata and transparency.

    Raises:
        BadCover: it is no JPEG, PNG or WebP picture, or it is damaged, animated, too large, or more than a picture.
    """
    if len(data) > MAX_BYTES:
        raise BadCover(_l("This picture is larger than 5 MB. Please choose a smaller one."))
    lowered = data.lower()
    if any(mark in lowered for mark in _MARKUP):
        raise BadCover(_l("This file holds more than a picture. Please choose another one."))
    try:
        # One at a time: together, large ones could take more memory than the store has.
        with _decoding, Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            return _convert(image)
    except BadCover:
        raise
    except Exception as error:
        # Pillow's decoders raise whatever they stumble over, from OSError to struct.error.
        raise BadCover from error


def _convert(image: Image.Image) -> Cover:
    if image.width * image.height > MAX_PIXELS:
        raise BadCover(_l("This picture has more than 25 million pixels. Please choose a smaller one."))
    # A phone's JPEG can hold several pictures (MPO), the first of which is the one that was taken.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise BadCover(_l("Moving pictures cannot be covers. Please choose a still one."))
    if image.mode not in ("RGB", "RGBA", "L"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    # Small before it is turned, so a square; JPEG is even decoded at that size.
    image.thumbnail((max(SIZES["large"]),) * 2, Image.Resampling.LANCZOS)
    ImageOps.exif_transpose(image, in_place=True)
    image.thumbnail(SIZES["large"], Image.Resampling.LANCZOS)
    # Onto a new canvas, which has no metadata, and white where the picture is transparent.
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image if image.mode == "RGBA" else None)
    large = _webp(canvas)
    canvas.thumbnail(SIZES["small"], Image.Resampling.LANCZOS)
    return Cover(_webp(canvas), large)


def _webp(image: Image.Image) -> bytes:
    output = io.BytesIO()
    image.save(output, "WEBP", quality=80, method=4)
    return output.getvalue()


def store(cover: Cover) -> None:
    """Write a cover's files; nobody ever sees half of one. Call it again after the commit, see ``discard``.

    Raises:
        NoPlace: that is not possible at the moment.
    """
    targets = {path(cover.digest, size): getattr(cover, size) for size in SIZES}
    try:
        _in_time(lambda: _write_all(targets))
    except OSError as error:
        log.error("covers: cannot write: %s", error.strerror)
        raise NoPlace from error


def take(name: str, content: bytes) -> bool:
    """Write a cover's file that another store had, unless it is here or no cover's; return whether it was written.

    Raises:
        BadCover: the content is not what the name says.
        NoPlace: that is not possible at the moment.
    """
    match = NAME.fullmatch(name)
    if not match:
        return False
    digest, size = match.groups()
    if size == "large" and hashlib.sha256(content).hexdigest() != digest:
        raise BadCover
    target = path(digest, size)
    if target.is_file():
        return False
    try:
        _write_all({target: content})
    except OSError as error:
        raise NoPlace from error
    return True


def load(digest: str, size: str) -> bytes:
    """A cover's file.

    Raises:
        NoPlace: the folder does not answer, or there is none.
        OSError: the file cannot be read.
    """
    return _in_time(path(digest, size).read_bytes)


def _in_time(work: Callable[[], T], seconds: float | None = None) -> T:
    """Do something in the folder and wait for it, but not for ever, as a file server that is away would have it.

    What comes too late goes on in its thread; while it does, nothing else is begun.

    Raises:
        NoPlace: there was no answer in time (``WORK_PATIENCE`` by default), or an earlier one is still awaited.
        OSError: the work's own.
    """
    global _unanswered
    if _unanswered and not _unanswered.done():
        raise NoPlace
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(WORK_PATIENCE if seconds is None else seconds)
    except TimeoutError:
        if answer.done():
            raise
        _unanswered = answer
        log.error("covers: the folder does not answer")
        raise NoPlace from None


def _write_all(targets: dict[Path, bytes]) -> None:
    for target, content in targets.items():
        # Not with parents: where the shared folder is not mounted, nothing must be written in its stead.
        for folder in (target.parent.parent, target.parent):
            if not folder.is_dir():
                with suppress(FileExistsError):
                    folder.mkdir()
                folder.chmod(0o755)
        _write(target, content)


def _write(target: Path, content: bytes) -> None:
    scratch = target.with_suffix(f".{secrets.token_hex(8)}.new")
    try:
        with scratch.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.chmod(0o644)
        scratch.replace(target)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise


def ensure(cover: Cover) -> None:
    """Write those files of a stored cover that were discarded meanwhile."""
    kept = [path(cover.digest, size) for size in SIZES]
    with suppress(NoPlace, OSError):
        if not _in_time(lambda: all(file.exists() for file in kept)):
            store(cover)


def discard(digest: str) -> bool:
    """Remove a cover's files if no book has them any more; return whether they are gone.

    Somebody may give the same picture to a book at this moment. They store, commit, and call ``ensure``. Here the
    files are put aside before books are asked a second time: either that sees the commit and puts them back, or the
    commit comes later and ``ensure`` finds them missing.
    """
    if state() != "available" or _used(digest):
        return False
    kept = [path(digest, size) for size in SIZES]
    gone = [file.with_suffix(".gone") for file in kept]
    try:
        _in_time(lambda: _rename(kept, gone))
        used = _used(digest)
        _in_time(lambda: _rename(gone, kept) if used else _remove(gone))
    except NoPlace:
        # What is left aside, tidying finds.
        return False
    return not used


def _rename(files: list[Path], names: list[Path]) -> None:
    for file, name in zip(files, names, strict=True):
        with suppress(OSError):
            file.rename(name)


def _remove(files: list[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


def _used(digest: str) -> bool:
    found = db.session.scalar(select(exists().where(Book.cover == digest)))
    # The next question must see what others have committed since.
    db.session.rollback()
    return bool(found)


def remove_orphans(before: datetime) -> int:
    """Remove the files that no book has and that were written before a moment; return how many there were."""
    folder = current_app.config["UPLOAD_FOLDER"]
    return sum(_tidy(shelf, before) for shelf in Path(folder, "covers").glob("??")) if folder else 0


def _tidy(shelf: Path, before: datetime) -> int:
    old = [file for file in shelf.iterdir() if file.stat().st_mtime < before.timestamp()]
    covers = {match[1] for file in old if (match := NAME.fullmatch(file.name))}
    used = set(db.session.scalars(select(Book.cover).where(Book.cover.in_(covers))))
    removed = sum(discard(digest) for digest in covers - used)
    for file in old:
        # Left by a process that was ended while it wrote or removed.
        if not NAME.fullmatch(file.name):
            file.unlink(missing_ok=True)
            removed += 1
    return removed


def path(digest: str, size: str) -> Path:
    """Where a cover's file is.

    Raises:
        NoPlace: this store has no folder for pictures.
    """
    if not current_app.config["UPLOAD_FOLDER"]:
        raise NoPlace(_l("This store keeps no pictures."))
    return Path(current_app.config["UPLOAD_FOLDER"], "covers", digest[:2], f"{digest}-{size}.webp")


def state() -> str:
    """``off`` without a folder, ``available``, or ``missing``: it is not there, is read-only, or does not answer.

    The mount point of a file system that is away is read-only.
    """
    folder = current_app.config["UPLOAD_FOLDER"]
    if not folder:
        return "off"
    try:
        # One look at a time, for each may keep a thread.
        with _looking:
            there = _in_time(lambda: os.access(folder, os.W_OK | os.X_OK), PATIENCE)
    except NoPlace:
        there = False
    return "available" if there else "missing"


def available() -> bool:
    """Whether covers can be stored at the moment."""
    return state() == "available"
