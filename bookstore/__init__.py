"""BookStore: a marketplace for books.

``create_app`` makes the application: ``gunicorn 'bookstore:create_app()'``. It opens no
connection and never touches the schema; ``flask --app bookstore db upgrade`` does.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from . import assets, cli, errors, health, i18n, logs, metrics, security
from .accounts import access, account_views as account, views as accounts
from .admin import views as admin
from .catalog import covers, views as catalog
from .config import ConfigError, load_config
from .extensions import csrf, db, login_manager, migrate
from .orders import notices, views as orders
from .payments import views as payments
from .shipping import views as shipping
from .web import IdConverter

__all__ = ["ConfigError", "create_app"]

BLUEPRINTS = (
    accounts.bp,
    account.bp,
    catalog.bp,
    orders.bp,
    payments.bp,
    shipping.bp,
    admin.bp,
    health.bp,
    metrics.bp,
)


def create_app(overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Flask:
    """Make the application.

    Args:
        overrides: configuration that beats the environment's, for tests.
        environ: the environment; the process's own if left out.

    Raises:
        ConfigError: the environment lacks something or holds an unusable value.
    """
    app = Flask(__name__, static_url_path=f"/static/{assets.digest()}")
    app.config.from_mapping(load_config(os.environ if environ is None else environ))
    app.config.from_mapping(overrides or {})
    app.url_map.converters["id"] = IdConverter
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    logs.init_app(app)
    db.init_app(app)
    # Before the hooks that may answer a request themselves: those answers count too.
    metrics.init_app(app)
    security.init_app(app)
    migrate.init_app(app, db, directory=str(Path(__file__).parent / "migrations"), compare_type=True)
    covers.init_app(app)
    csrf.init_app(app)
    login_manager.init_app(app)
    access.init_app(app)
    i18n.init_app(app)
    errors.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    orders.init_app(app)
    notices.init_app(app)
    health.init_app(app)
    cli.init_app(app)
    return app
