"""Password hashes: argon2id, and the older forms that the original store wrote."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from werkzeug.security import check_password_hash

MIN_LENGTH = 10
MAX_LENGTH = 128
# OWASP's recommendation: 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# A check fills 19 MiB: several at once in a worker only take the processor's cache from one another. And the allocator
# keeps that much for each thread that checks; so one does it for all. It is not started before its first check, so not
# before gunicorn forks.
_worker = ThreadPoolExecutor(1, thread_name_prefix="password")
_OLD_FORMS = ("pbkdf2:", "scrypt:")


def hash_password(password: str) -> str:
    """Hash a password for storage."""
    return _worker.submit(_hasher.hash, password).result()


def verify_password(stored: str, password: str) -> bool:
    """Whether ``password`` fits the stored hash. An unusable hash fits nothing."""
    if stored.startswith(_OLD_FORMS):
        try:
            return check_password_hash(stored, password)
        except ValueError:
            return False
    try:
        return _worker.submit(_hasher.verify, stored, password).result()
    except (VerificationError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """Whether the stored hash is of an older form or cost than new ones."""
    try:
        return stored.startswith(_OLD_FORMS) or _hasher.check_needs_rehash(stored)
    except InvalidHashError:
        return False


def waste_time(password: str) -> None:
    """Spend as long as checking a password of a real account takes."""
    verify_password(_decoy(), password)


@cache
def _decoy() -> str:
    return hash_password("no account has this password")
