"""Dataelan: talk to every AI model, see what each answer cost, decide who may spend what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from .config import Settings
    from .storage import Storage

ROOT = Path(__file__).parent.parent


def create_app(settings: Settings | None = None) -> Flask:
    """The application, its parts bound in reading order. Raises config.ConfigError for a wrong setting."""
    # Imported here, as in `create_core`: `make run` and the simulated provider live in this package too, and need none
    # of it.
    from flask_migrate import Migrate

    from . import (
        accounts,
        actions,
        admin,
        audit_log,
        batches,
        bodies,
        cli,
        dashboards,
        errors,
        form_tokens,
        formats,
        gateway,
        headers,
        health,
        hosts,
        hub,
        imports,
        limits,
        members,
        metrics,
        notices,
        once,
        organizations,
        page_hooks,
        playground,
        programs,
        projects,
        prompts,
        request_ids,
        search,
        second_net,
        sharing,
        shell,
        sso,
        static_files,
        summaries,
        trash,
        web,
    )
    from .extensions import csrf, db, htmx, login
    from .lazy_rule import LazyRule
    from .traces import requests

    app = create_core(settings)
    app.url_rule_class = LazyRule
    Migrate(app, db, directory=str(ROOT / "migrations"))
    form_tokens.init_app()
    csrf.init_app(app)
    login.init_app(app)
    htmx.init_app(app)

    request_ids.init_app(app)
    requests.init_app(app)
    bodies.init_app(app)
    hosts.init_app(app, app.extensions["dataelan_settings"])
    headers.init_app(app, app.extensions["dataelan_settings"])
    errors.init_app(app)
    formats.init_app(app)
    web.init_app(app)
    once.init_app(app)
    second_net.init_app(app)
    shell.init_app(app)
    health.init_app(app)
    metrics.init_app(app)
    page_hooks.init_app(app)
    accounts.init_app(app)
    organizations.init_app(app)
    members.init_app(app)
    sso.init_app(app)
    projects.init_app(app)
    programs.init_app(app)
    audit_log.init_app(app)
    actions.init_app(app)
    playground.init_app(app)
    prompts.init_app(app)
    batches.init_app(app)
    search.init_app(app)
    sharing.init_app(app)
    imports.init_app(app)
    trash.init_app(app)
    hub.init_app(app)
    limits.init_app(app)
    dashboards.init_app(app)
    summaries.init_app(app)
    notices.init_app(app)
    gateway.init_app(app)
    admin.init_app(app)
    cli.init_app(app)
    static_files.init_app(app, app.extensions["dataelan_settings"])
    return app


def create_core(settings: Settings | None = None) -> Flask:
    """What runs prompts and tells of them, without pages and commands: all that a worker is, and a third less to start.
    Raises config.ConfigError for a wrong setting."""
    from . import config, logs, pool, traces
    from .application import Application
    from .executions import draining, keeper
    from .extensions import db
    from .jobs import queue
    from .router import room, wire
    from .secrets import Keyring

    settings = settings or config.load()
    logs.init(settings.log_level, settings.log_form, settings.secrets)
    traces.init(settings)
    room.free_large_blocks_at_once()
    app = Application(__name__, root_path=str(ROOT), template_folder="templates", static_folder="static")
    app.config.update(_flask_settings(settings))
    app.extensions["dataelan_settings"] = settings
    app.extensions["dataelan_keyring"] = Keyring(settings.keys)
    app.extensions["dataelan_http"] = wire.clients(memory=settings.memory_for_answers, hosts=settings.reachable_hosts)
    app.extensions["dataelan_storage"] = _storage(settings.storage_url)
    app.extensions["dataelan_keeper"] = keeper.Keeper(app)
    app.extensions["dataelan_draining"] = draining.Draining(app)
    db.init_app(app)
    pool.init_app(app)
    queue.init_app(app, settings.redis_url)
    return app


def _storage(url: str) -> Storage:
    """Raises config.ConfigError."""
    from obstore.exceptions import BaseError

    from .config import ConfigError
    from .storage import Storage

    try:
        return Storage(url)
    except (OSError, BaseError) as error:
        said = str(error).partition("\n")[0]
        raise ConfigError(
            f"DATAELAN_STORAGE_URL (or DATAELAN_DATA_DIR): no files can be kept at {url}: {said}."
        ) from error


def _flask_settings(settings: Settings) -> dict[str, object]:
    from .models.base import storable_json

    return {
        "SECRET_KEY": settings.secret_key,
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": {
            "pool_size": 12,
            "max_overflow": 6,  # these are closed when given back; to connect anew costs as much as a whole call
            "pool_use_lifo": True,  # the fewest that suffice stay in use
            "pool_timeout": 20,
            "json_serializer": storable_json,
            "query_cache_size": 4000,  # statements kept ready: we have more than the usual 500
            "hide_parameters": True,  # of a statement that failed: they may be a prompt, and an error is logged
            "connect_args": {"connect_timeout": 5, "options": "-c statement_timeout=30000 -c timezone=UTC"},
        },
        "MAX_CONTENT_LENGTH": 24 * 1024 * 1024,
        "MAX_FORM_MEMORY_SIZE": 4 * 1024 * 1024,
        "SESSION_COOKIE_NAME": "__Host-dataelan" if settings.secure_cookies else "dataelan",
        "SESSION_COOKIE_SECURE": settings.secure_cookies,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": 14 * 24 * 3600,
        "WTF_CSRF_CHECK_DEFAULT": False,  # page_hooks.py does: not of programs, which bring no cookie
        "WTF_CSRF_TIME_LIMIT": None,  # a draft may stay open for days; the token lives as long as the login
        "SEND_FILE_MAX_AGE_DEFAULT": 365 * 24 * 3600,  # addresses carry a digest, see web.static_url
    }
