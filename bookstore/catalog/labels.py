"""What conditions, categories, languages and sorts are called on pages."""

from collections.abc import Mapping

from flask_babel import LazyString, lazy_gettext as _l

from .finding import Sort
from .models import Category, Condition, Language

CONDITIONS: Mapping[str, LazyString] = {
    Condition.NEW: _l("New"),
    Condition.LIKE_NEW: _l("Like new"),
    Condition.VERY_GOOD: _l("Very good"),
    Condition.GOOD: _l("Good"),
    Condition.ACCEPTABLE: _l("Acceptable"),
}
CATEGORIES: Mapping[str, LazyString] = {
    Category.FICTION: _l("Fiction"),
    Category.POETRY: _l("Poetry"),
    Category.THEATRE: _l("Theatre"),
    Category.CHILDREN: _l("Children’s books"),
    Category.COMICS: _l("Comics"),
    Category.HISTORY: _l("History"),
    Category.BIOGRAPHY: _l("Biography"),
    Category.SCIENCE: _l("Science"),
    Category.TECHNOLOGY: _l("Technology"),
    Category.ART: _l("Art"),
    Category.TRAVEL: _l("Travel books"),
    Category.TEXTBOOK: _l("Textbooks"),
    Category.OTHER: _l("Other subjects"),
}
LANGUAGES: Mapping[str, LazyString] = {
    Language.SPANISH: _l("Spanish"),
    Language.ENGLISH: _l("English"),
    Language.PORTUGUESE: _l("Portuguese"),
    Language.FRENCH: _l("French"),
    Language.GERMAN: _l("German"),
    Language.ITALIAN: _l("Italian"),
    Language.OTHER: _l("Other languages"),
}
SORTS: Mapping[str, LazyString] = {
    Sort.NEWEST: _l("Newest"),
    Sort.PRICE: _l("Lowest price"),
    Sort.PRICE_DESC: _l("Highest price"),
    Sort.TITLE: _l("By title"),
}
