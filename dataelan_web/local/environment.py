"""The settings every program of a running Dataelan gets: those given, and those we make up for what is missing."""

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from .databases import EMBEDDED, addresses
from .directory import Directory


def read(root: Path) -> dict[str, str]:
    """The environment, and `.env` for what it does not set."""
    kept = {name: value for name, value in dotenv_values(root / ".env").items() if value is not None}
    return kept | dict(os.environ)


def data_directory(environ: Mapping[str, str], root: Path) -> Directory:
    return Directory(root / (environ.get("DATAELAN_DATA_DIR", "").strip() or "var"))


def embedded(environ: Mapping[str, str]) -> set[str]:
    """Which servers are ours to run: those whose address nobody gave."""
    return {name for name in EMBEDDED if not is_set(environ, name)}


def made_up(environ: Mapping[str, str], directory: Directory) -> dict[str, str]:
    """What we add. Secrets stay in files; children are told where, so no environment carries them."""
    added = addresses(directory, embedded(environ))
    added["DATAELAN_DATA_DIR"] = str(directory.path)
    added["DATAELAN_SIMULATED_URL"] = f"http://127.0.0.1:{directory.port('simulated')}/v1"
    if not is_set(environ, "DATAELAN_PRIVATE_ADDRESSES"):
        added["DATAELAN_PRIVATE_ADDRESSES"] = "true"  # on one's own machine, model servers are at home too
    if not is_set(environ, "SECRET_KEY"):
        added["SECRET_KEY_FILE"] = str(directory.secret("secret-key", lambda: secrets.token_urlsafe(48)))
    if not is_set(environ, "DATAELAN_KEYS"):
        added["DATAELAN_KEYS_FILE"] = str(directory.secret("encryption-keys", fresh_key))
    return added


def is_set(environ: Mapping[str, str], name: str) -> bool:
    return bool(environ.get(name, "").strip() or environ.get(f"{name}_FILE", "").strip())


def fresh_key() -> str:
    return "k1:" + base64.b64encode(secrets.token_bytes(32)).decode()
