"""Sample data: classics that are in the public domain, and as many invented books as wanted."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, insert, select

from .accounts.models import UNUSABLE_PASSWORD, Role, User
from .catalog.models import Book, BookStatus
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
# Title, author, description, price in pesos, copies.
CLASSICS: tuple[tuple[str, str, str, int, int], ...] = (
    ("Cien sonetos escogidos", "Francisco de Quevedo", "Antología anotada del Siglo de Oro, con un prólogo breve y glosario. Tapa blanda, sin subrayados.", 32000, 4),
    ("Pride and Prejudice", "Jane Austen", "Elizabeth Bennet, Mr Darcy and the comedy of first impressions. Clothbound, crisp pages.", 48000, 6),
    ("Don Quijote de la Mancha", "Miguel de Cervantes", "Las dos partes en un solo volumen, con ilustraciones de Doré. Lomo algo gastado, interior impecable.", 95000, 3),
    ("Moby-Dick", "Herman Melville", "A whale, a captain and a great deal about rope. Unabridged, with maps of the voyage.", 54000, 5),
    ("María", "Jorge Isaacs", "La novela romántica del Valle del Cauca, en edición escolar con notas al pie.", 25000, 9),
    ("Frankenstein", "Mary Shelley", "The 1818 text, as first published. Paperback in very good condition.", 29000, 7),
    ("La vorágine", "José Eustasio Rivera", "Arturo Cova se interna en la selva y la selva se interna en él. Edición con mapa de las caucherías.", 38000, 5),
    ("Jane Eyre", "Charlotte Brontë", "A governess, a locked attic and a voice of her own. Small notes in pencil in chapter one.", 36000, 4),
    ("Martín Fierro", "José Hernández", "La ida y la vuelta, con vocabulario gauchesco al final.", 27000, 6),
    ("Great Expectations", "Charles Dickens", "Pip, Estella and the convict on the marshes. Hardcover with ribbon.", 52000, 3),
    ("Fortunata y Jacinta", "Benito Pérez Galdós", "Madrid, dos mujeres y un señorito. Dos tomos en estuche, como nuevos.", 88000, 2),
    ("The Picture of Dorian Gray", "Oscar Wilde", "Beauty, wit and the price of both. Pocket edition.", 24000, 8),
    ("De sobremesa", "José Asunción Silva", "El diario de un dandi bogotano en París. Edición conmemorativa.", 41000, 3),
    ("Dracula", "Bram Stoker", "Letters, diaries and a very persistent Count. Annotated edition with black page edges.", 59000, 5),
    ("La Regenta", "Leopoldo Alas «Clarín»", "Vetusta dormía la siesta… La gran novela de la Restauración, en tapa dura.", 67000, 4),
    ("Little Women", "Louisa May Alcott", "Meg, Jo, Beth and Amy, with the second part included.", 35000, 6),
    ("Azul…", "Rubén Darío", "Cuentos y poemas con los que empezó el modernismo. Papel ahuesado.", 22000, 10),
    ("Wuthering Heights", "Emily Brontë", "Wind, moor and obsession. Reading copy, spine creased.", 19000, 2),
    ("Lazarillo de Tormes", "Anónimo", "El primer pícaro de todos, con introducción y actividades.", 16000, 12),
    ("The Adventures of Sherlock Holmes", "Arthur Conan Doyle", "Twelve cases with the drawings of the first printing.", 45000, 5),
    ("La vida es sueño", "Pedro Calderón de la Barca", "Segismundo pregunta qué es la vida. Edición crítica de bolsillo.", 18000, 7),
    ("Walden", "Henry David Thoreau", "Two years, two months and two days by a pond. Recycled paper.", 31000, 4),
    ("Pepita Jiménez", "Juan Valera", "Un seminarista, una viuda joven y unas cartas. Buen estado.", 20000, 3),
    ("The Time Machine", "H. G. Wells", "To the year 802,701 and back in time for dinner.", 23000, 9),
    ("Rimas y leyendas", "Gustavo Adolfo Bécquer", "Volverán las oscuras golondrinas, y también el monte de las ánimas.", 21000, 11),
    ("Emma", "Jane Austen", "Handsome, clever, rich, and wrong about nearly everyone.", 39000, 4),
    ("El matadero", "Esteban Echeverría", "El relato con que arranca la narrativa argentina, con La cautiva.", 15000, 5),
    ("Middlemarch", "George Eliot", "A study of provincial life; bring an afternoon, or twenty.", 62000, 3),
    ("Tradiciones peruanas", "Ricardo Palma", "Selección de las mejores, con ilustraciones en blanco y negro.", 34000, 4),
    ("Treasure Island", "Robert Louis Stevenson", "Maps, mutiny and one-legged Silver. Illustrated for young readers.", 28000, 8),
    ("La Celestina", "Fernando de Rojas", "Calisto, Melibea y la vieja que lo enreda todo.", 24000, 6),
    ("Leaves of Grass", "Walt Whitman", "The first edition of 1855, the one with no author on its cover.", 37000, 3),
    ("Marianela", "Benito Pérez Galdós", "Una historia breve y luminosa sobre la ciencia y la compasión.", 17000, 7),
    ("The War of the Worlds", "H. G. Wells", "The Martians land in Surrey. Facsimile of the serial.", 26000, 6),
    ("Facundo", "Domingo Faustino Sarmiento", "Civilización y barbarie en las pampas. Notas y cronología.", 30000, 3),
    ("The Call of the Wild", "Jack London", "Buck goes north. Large print, easy on the eyes.", 22000, 5),
    ("Los pazos de Ulloa", "Emilia Pardo Bazán", "Un cura joven llega a un caserón gallego en ruinas. Edición con árbol de personajes.", 33000, 9),
    ("Persuasion", "Jane Austen", "You pierce my soul. I am half agony, half hope.", 34000, 4),
    ("Cuentos de amor de locura y de muerte", "Horacio Quiroga", "La gallina degollada, El almohadón de plumas y otros para leer con la luz encendida.", 29000, 1),
    ("The Souls of Black Folk", "W. E. B. Du Bois", "Essays on freedom and the colour line. With a chronology.", 40000, 3),
)  # fmt: skip
_OPENINGS = ("Cartas", "Notes", "Crónicas", "Letters", "Memorias", "Tales", "Viajes", "Essays")
_PLACES = ("Mompox", "Salento", "the Harbour", "Villa de Leyva", "the North", "Barichara", "Cádiz")
_NAMES = ("Elena", "Samuel", "Inés", "Ruth", "Gabriel", "Clara", "Hugo", "Alice", "Mateo", "Rosa")
_SURNAMES = ("Valencia", "Hartley", "Quintero", "Moss", "Restrepo", "Lindqvist", "Bernal", "Okafor")


def fill(wanted: int) -> int:
    """Add sample books until there are ``wanted``; return how many were added.

    The n-th sample book is the same at every run, so running this again only adds what is
    missing.
    """
    sellers = _sellers()
    present = db.session.scalar(select(func.count()).select_from(Book).where(Book.seller_id.in_(sellers))) or 0
    for start in range(present, wanted, _BATCH):
        stop = min(start + _BATCH, wanted)
        db.session.execute(insert(Book), list(_books(start, stop, sellers)))
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
        if number < len(CLASSICS):
            title, author, description, price, stock = CLASSICS[number]
        else:
            title, author, description, price, stock = _invented(number)
        yield {
            "seller_id": sellers[(number * 5) % len(sellers)],
            "title": title,
            "author": author,
            "description": description,
            "price": Decimal(price),
            "stock": stock,
            "status": BookStatus.ACTIVE.value,
            "created_at": now - timedelta(minutes=max(0, 100_000 - number)),
        }


def _invented(number: int) -> tuple[str, str, str, int, int]:
    # Multipliers without a common factor spread neighbours over all combinations.
    opening = _OPENINGS[number % len(_OPENINGS)]
    place = _PLACES[(number * 3) % len(_PLACES)]
    joint = "from" if opening in ("Notes", "Letters", "Tales", "Essays") else "de"
    author = f"{_NAMES[(number * 7) % len(_NAMES)]} {_SURNAMES[(number * 5) % len(_SURNAMES)]}"
    description = f"Vol. {number}. Buen estado · Good condition."
    price = 12_000 + (number * 7_919) % 88 * 1_000
    return f"{opening} {joint} {place}, {number}", author, description, price, 1 + number % 12
