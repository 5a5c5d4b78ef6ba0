"""The store's sentences in its two languages, from the translators' file itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from babel.messages.pofile import read_po

PO = Path(__file__).parents[2] / "bookstore/translations/es/LC_MESSAGES/messages.po"
PLACEHOLDER = re.compile(r"%\\\(\w+\\\)s")


def _read() -> dict[str, str]:
    found: dict[str, str] = {}
    with PO.open("rb") as file:
        for message in read_po(file, locale="es"):
            if message.id:
                found.update(zip(_forms(message.id), _forms(message.string), strict=True))
    return found


def _forms(text: Any) -> tuple[str, ...]:
    """A sentence's only form, or its singular and plural."""
    return text if isinstance(text, tuple) else (text,)


SPANISH = _read()


def translate(english: str, language: str, **values: object) -> str:
    """The sentence that a page in this language must show; KeyError if the store has none."""
    text = SPANISH[english] if language == "es" else english
    assert english in SPANISH, f"the store does not say {english!r}"
    return text % values if values else text


def _pattern(sentences: list[str]) -> re.Pattern[str]:
    parts = (PLACEHOLDER.sub(".+", re.escape(sentence)) for sentence in sentences)
    # ": Title" is what only screen readers get to hear on a row's button.
    return re.compile(f"(?:{'|'.join(parts)})(?:: .+)?")


_differing = [(english, spanish) for english, spanish in SPANISH.items() if english != spanish]
FOREIGN = {
    "en": _pattern([spanish for _, spanish in _differing]),
    "es": _pattern([english for english, _ in _differing]),
}


def foreign_lines(lines: list[str], language: str) -> list[str]:
    """Those lines that are a sentence of the store in its other language."""
    return [line for line in lines if FOREIGN[language].fullmatch(line)]
