"""Gunicorn's settings for the limits: the store's own, without what belongs to its application."""

from pathlib import Path
from runpy import run_path

_OWN_HOOKS = ("when_ready", "pre_fork", "post_fork", "child_exit", "on_exit")
_settings = run_path(str(Path(__file__).parent.parent / "bookstore" / "gunicorn.conf.py"))
globals().update({name: value for name, value in _settings.items() if name[0] != "_" and name not in _OWN_HOOKS})
