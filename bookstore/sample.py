"""Sample data: classics that are in the public domain, and as many invented books as wanted."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, insert, select

from .accounts.models import UNUSABLE_PASSWORD, Role, User
from .catalog import search
from .catalog.isbn import as_isbn13, check_digit
from .catalog.models import Book, BookStatus, BookTerm, Category, Condition, Language
from .columns import utcnow
from .extensions import db

_BATCH = 5_000
# The reserved domain .invalid: nobody can register these addresses by mail.
_DOMAIN = "sample.invalid"
SELLERS = (
    "Librería La Candelaria",
    "Marcela Ríos",
    "El Rincón del Lector",
    "James Whitcombe",
    "Papel y Tinta",
    "Ana Lucía Ospina",
    "Second Shelf Books",
    "Tomás Arboleda",
)
# Title, author, description, price in pesos, copies, category, language, condition. Without ISBNs: an invented one
# would be another book's, and these editions are nobody's.
CLASSICS: tuple[tuple[str, str, str, int, int, str, str, str], ...] = (
    ("Cien sonetos escogidos", "Francisco de Quevedo", "Antología anotada del Siglo de Oro, con un prólogo breve y glosario. Tapa blanda, sin subrayados.", 32000, 4, "poetry", "es", "very_good"),
    ("Pride and Prejudice", "Jane Austen", "Elizabeth Bennet, Mr Darcy and the comedy of first impressions. Clothbound, crisp pages.", 48000, 6, "fiction", "en", "like_new"),
    ("Don Quijote de la Mancha", "Miguel de Cervantes", "Las dos partes en un solo volumen, con ilustraciones de Doré. Lomo algo gastado, interior impecable.", 95000, 3, "fiction", "es", "good"),
    ("Moby-Dick", "Herman Melville", "A whale, a captain and a great deal about rope. Unabridged, with maps of the voyage.", 54000, 5, "fiction", "en", "very_good"),
    ("María", "Jorge Isaacs", "La novela romántica del Valle del Cauca, en edición escolar con notas al pie.", 25000, 9, "fiction", "es", "good"),
    ("Frankenstein", "Mary Shelley", "The 1818 text, as first published. Paperback in very good condition.", 29000, 7, "fiction", "en", "very_good"),
    ("La vorágine", "José Eustasio Rivera", "Arturo Cova se interna en la selva y la selva se interna en él. Edición con mapa de las caucherías.", 38000, 5, "fiction", "es", "like_new"),
    ("Jane Eyre", "Charlotte Brontë", "A governess, a locked attic and a voice of her own. Small notes in pencil in chapter one.", 36000, 4, "fiction", "en", "good"),
    ("Martín Fierro", "José Hernández", "La ida y la vuelta, con vocabulario gauchesco al final.", 27000, 6, "poetry", "es", "very_good"),
    ("Great Expectations", "Charles Dickens", "Pip, Estella and the convict on the marshes. Hardcover with ribbon.", 52000, 3, "fiction", "en", "like_new"),
    ("Fortunata y Jacinta", "Benito Pérez Galdós", "Madrid, dos mujeres y un señorito. Dos tomos en estuche, como nuevos.", 88000, 2, "fiction", "es", "like_new"),
    ("The Picture of Dorian Gray", "Oscar Wilde", "Beauty, wit and the price of both. Pocket edition.", 24000, 8, "fiction", "en", "good"),
    ("De sobremesa", "José Asunción Silva", "El diario de un dandi bogotano en París. Edición conmemorativa.", 41000, 3, "fiction", "es", "new"),
    ("Dracula", "Bram Stoker", "Letters, diaries and a very persistent Count. Annotated edition with black page edges.", 59000, 5, "fiction", "en", "new"),
    ("La Regenta", "Leopoldo Alas «Clarín»", "Vetusta dormía la siesta… La gran novela de la Restauración, en tapa dura.", 67000, 4, "fiction", "es", "very_good"),
    ("Little Women", "Louisa May Alcott", "Meg, Jo, Beth and Amy, with the second part included.", 35000, 6, "children", "en", "good"),
    ("Azul…", "Rubén Darío", "Cuentos y poemas con los que empezó el modernismo. Papel ahuesado.", 22000, 10, "poetry", "es", "good"),
    ("Wuthering Heights", "Emily Brontë", "Wind, moor and obsession. Reading copy, spine creased.", 19000, 2, "fiction", "en", "acceptable"),
    ("Lazarillo de Tormes", "Anónimo", "El primer pícaro de todos, con introducción y actividades.", 16000, 12, "textbook", "es", "good"),
    ("The Adventures of Sherlock Holmes", "Arthur Conan Doyle", "Twelve cases with the drawings of the first printing.", 45000, 5, "fiction", "en", "very_good"),
    ("La vida es sueño", "Pedro Calderón de la Barca", "Segismundo pregunta qué es la vida. Edición crítica de bolsillo.", 18000, 7, "theatre", "es", "good"),
    ("Walden", "Henry David Thoreau", "Two years, two months and two days by a pond. Recycled paper.", 31000, 4, "other", "en", "new"),
    ("Pepita Jiménez", "Juan Valera", "Un seminarista, una viuda joven y unas cartas. Buen estado.", 20000, 3, "fiction", "es", "good"),
    ("The Time Machine", "H. G. Wells", "To the year 802,701 and back in time for dinner.", 23000, 9, "fiction", "en", "very_good"),
    ("Rimas y leyendas", "Gustavo Adolfo Bécquer", "Volverán las oscuras golondrinas, y también el monte de las ánimas.", 21000, 11, "poetry", "es", "good"),
    ("Emma", "Jane Austen", "Handsome, clever, rich, and wrong about nearly everyone.", 39000, 4, "fiction", "en", "very_good"),
    ("El matadero", "Esteban Echeverría", "El relato con que arranca la narrativa argentina, con La cautiva.", 15000, 5, "fiction", "es", "good"),
    ("Middlemarch", "George Eliot", "A study of provincial life; bring an afternoon, or twenty.", 62000, 3, "fiction", "en", "like_new"),
    ("Tradiciones peruanas", "Ricardo Palma", "Selección de las mejores, con ilustraciones en blanco y negro.", 34000, 4, "history", "es", "very_good"),
    ("Treasure Island", "Robert Louis Stevenson", "Maps, mutiny and one-legged Silver. Illustrated for young readers.", 28000, 8, "children", "en", "like_new"),
    ("La Celestina", "Fernando de Rojas", "Calisto, Melibea y la vieja que lo enreda todo.", 24000, 6, "theatre", "es", "good"),
    ("Leaves of Grass", "Walt Whitman", "The first edition of 1855, the one with no author on its cover.", 37000, 3, "poetry", "en", "very_good"),
    ("Marianela", "Benito Pérez Galdós", "Una historia breve y luminosa sobre la ciencia y la compasión.", 17000, 7, "fiction", "es", "good"),
    ("The War of the Worlds", "H. G. Wells", "The Martians land in Surrey. Facsimile of the serial.", 26000, 6, "fiction", "en", "like_new"),
    ("Facundo", "Domingo Faustino Sarmiento", "Civilización y barbarie en las pampas. Notas y cronología.", 30000, 3, "history", "es", "good"),
    ("The Call of the Wild", "Jack London", "Buck goes north. Large print, easy on the eyes.", 22000, 5, "fiction", "en", "good"),
    ("Los pazos de Ulloa", "Emilia Pardo Bazán", "Un cura joven llega a un caserón gallego en ruinas. Edición con árbol de personajes.", 33000, 9, "fiction", "es", "very_good"),
    ("Persuasion", "Jane Austen", "You pierce my soul. I am half agony, half hope.", 34000, 4, "fiction", "en", "very_good"),
    ("Cuentos de amor de locura y de muerte", "Horacio Quiroga", "La gallina degollada, El almohadón de plumas y otros para leer con la luz encendida.", 29000, 1, "fiction", "es", "good"),
    ("The Souls of Black Folk", "W. E. B. Du Bois", "Essays on freedom and the colour line. With a chronology.", 40000, 3, "history", "en", "like_new"),
)  # fmt: skip
_OPENINGS = (
    ("Cartas de", Language.SPANISH), ("Notes from", Language.ENGLISH), ("Crónicas de", Language.SPANISH),
    ("Letters from", Language.ENGLISH), ("Memorias de", Language.SPANISH), ("Tales from", Language.ENGLISH),
    ("Viajes a", Language.SPANISH), ("Essays from", Language.ENGLISH), ("Cuentos de", Language.SPANISH),
    ("Contos de", Language.PORTUGUESE),
)  # fmt: skip
_PLACES = ("Mompox", "Salento", "the Harbour", "Villa de Leyva", "the North", "Barichara", "Cádiz")
_NAMES = ("Elena", "Samuel", "Inés", "Ruth", "Gabriel", "Clara", "Hugo", "Alice", "Mateo", "Rosa", "Óscar", "Edith")
_SURNAMES = ("Valencia", "Hartley", "Quintero", "Moss", "Restrepo", "Lindqvist", "Bernal", "Okafor", "Ibáñez", "Grey")
_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "la", "me", "ni", "ro", "su", "ta", "ve", "xi", "yo", "zu", "pa")
# As real shelves are: much fiction, some of everything.
_CATEGORIES = (*[Category.FICTION] * 4, *Category)
_CONDITIONS = (*[Condition.GOOD, Condition.VERY_GOOD] * 2, *Condition)
# Each rare word stands in so many books, and so many words take turns before new ones come.
_RARE_BOOKS = 30
_RARE_WORDS = 100


def fill(wanted: int) -> int:
    """Add sample books until there are ``wanted``; return how many were added.

    The n-th sample book is the same at every run, so running this again only adds what is
    missing. However many there are, their words are as people's are: the first word of a title
    (``cartas``, ``notes``) and an author's surname stand in a tenth of them, a name in a twelfth,
    and the one invented word of each title (``Bacedi``) in thirty. One in four has an ISBN, of the
    range 979-9, which no agency gives out.
    """
    sellers = _sellers()
    present = db.session.scalar(select(func.count()).select_from(Book).where(Book.seller_id.in_(sellers))) or 0
    for start in range(present, wanted, _BATCH):
        stop = min(start + _BATCH, wanted)
        last = db.session.scalar(select(func.max(Book.id))) or 0
        # Books without an ISBN go into the same statement as those that have one.
        together = {"render_nulls": True}
        db.session.execute(insert(Book), list(_books(start, stop, sellers)), execution_options=together)
        added = select(Book.id, Book.title, Book.author, Book.isbn, Book.price).where(
            Book.id > last, Book.seller_id.in_(sellers)
        )
        db.session.execute(insert(BookTerm), search.term_rows(db.session.execute(added)))
        db.session.commit()
    return max(0, wanted - present)


def _sellers() -> list[int]:
    addresses = {f"seller-{n}@{_DOMAIN}": name for n, name in enumerate(SELLERS, 1)}
    query = select(User.email, User.id).where(User.email.in_(addresses))
    known = {email: key for email, key in db.session.execute(query)}
    for email in addresses.keys() - known.keys():
        db.session.add(
            User(
                name=addresses[email],
                email=email,
                password_hash=UNUSABLE_PASSWORD,
                role=Role.USER,
            )
        )
    db.session.commit()
    known = {email: key for email, key in db.session.execute(query)}
    return [known[email] for email in addresses]


def _books(start: int, stop: int, sellers: list[int]) -> Iterator[dict[str, Any]]:
    now = utcnow()
    for number in range(start, stop):
        yield (_classic(number) if number < len(CLASSICS) else _invented(number)) | {
            "seller_id": sellers[(number * 5) % len(sellers)],
            "status": BookStatus.ACTIVE.value,
            "created_at": now - timedelta(minutes=max(0, 100_000 - number)),
        }


def _classic(number: int) -> dict[str, Any]:
    title, author, description, price, stock, category, language, condition = CLASSICS[number]
    return {
        "title": title,
        "author": author,
        "description": description,
        "price": Decimal(price),
        "stock": stock,
        "category": category,
        "language": language,
        "condition": condition,
        "isbn": None,
    }


def _invented(number: int) -> dict[str, Any]:
    # Bits of a hash, so that any two words meet as often as chance would have it.
    dice = int.from_bytes(hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).digest(), "big")

    def pick(choices: Sequence[Any]) -> Any:
        nonlocal dice
        dice, chosen = divmod(dice, len(choices))
        return choices[chosen]

    opening, language = pick(_OPENINGS)
    title = f"{opening} {pick(_PLACES)}: {_rare_word(number)}, {number}"
    return {
        "title": title,
        "author": f"{pick(_NAMES)} {pick(_SURNAMES)}",
        "description": f"Vol. {number}. Buen estado · Good condition.",
        "price": Decimal(12_000 + pick(range(88)) * 1_000),
        "stock": 1 + number % 12,
        "category": pick(_CATEGORIES).value,
        "language": language.value,
        "condition": pick(_CONDITIONS).value,
        "isbn": as_isbn13(f"9799{number:08}{check_digit(f'9799{number:08}')}") if number % 4 == 0 else None,
    }


def _rare_word(number: int) -> str:
    # Thirty books of each three thousand share a word, and no two books side by side.
    rest = number // (_RARE_BOOKS * _RARE_WORDS) * _RARE_WORDS + number % _RARE_WORDS
    word = ""
    while rest or len(word) < 6:
        rest, syllable = divmod(rest, len(_SYLLABLES))
        word += _SYLLABLES[syllable]
    return word.capitalize()
