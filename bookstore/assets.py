"""Static files under an address that holds their digest, so that they may be kept for ever."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"


@cache
def digest() -> str:
    """First 16 hexadecimal digits of the SHA-256 over names and contents of the static files."""
    total = hashlib.sha256()
    for path in _files():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(STATIC).as_posix()} {content}\n".encode())
    return total.hexdigest()[:16]


def export(directory: Path) -> tuple[Path, bool]:
    """Copy the static files to ``directory/<digest>``, for a web server to serve.

    Older releases' directories stay: pages that were sent before a release refer to them.

    Returns:
        The directory of this release, and whether it had to be made.
    """
    target = directory / digest()
    if target.is_dir():
        return target, False
    directory.mkdir(parents=True, exist_ok=True)
    # Renamed into place when complete, so that nobody is ever served half of it.
    with tempfile.TemporaryDirectory(dir=directory, prefix=".new-") as scratch:
        made = Path(scratch) / "static"
        for path in _files():
            copy = made / path.relative_to(STATIC)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o644)
        for folder in (made, *(path for path in made.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        made.rename(target)
    return target, True


def _files() -> Iterator[Path]:
    return (path for path in sorted(STATIC.rglob("*")) if path.is_file())
