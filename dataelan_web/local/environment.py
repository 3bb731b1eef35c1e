"""The settings every program of a running Dataelan gets: those given, and those we make up for what is missing."""

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from .databases import EMBEDDED, addresses
from .directory import Directory, Refused

MOST, LAST_PORT = 100_000, 65_535
"""Of any number that is set, and of a port."""


def read(root: Path) -> dict[str, str]:
    """The environment, and `.env` for what it does not set. Raises Refused."""
    try:
        kept = {name: value for name, value in dotenv_values(root / ".env").items() if value is not None}
    except UnicodeDecodeError as error:
        raise Refused(f"{root / '.env'} is not a text file.") from error
    return {name: said for name, said in kept.items() if f"{name}_FILE" not in os.environ} | dict(os.environ)


def value(environ: Mapping[str, str], name: str) -> str:
    """Of a setting that we read ourselves, as dataelan_web.config reads all others: NAME, or the file of NAME_FILE.
    Raises Refused."""
    path = environ.get(f"{name}_FILE", "").strip()
    if (found := environ.get(name, "").strip()) or not path:
        return found
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{name}_FILE: {path} cannot be read.") from error


def number(environ: Mapping[str, str], name: str, default: int, least: int = 1, most: int = MOST) -> int:
    """Raises Refused."""
    text = value(environ, name) or str(default)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise Refused(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
    return int(text)


def port(environ: Mapping[str, str]) -> int:
    return number(environ, "PORT", 8000, most=LAST_PORT)


def data_directory(environ: Mapping[str, str], root: Path) -> Directory:
    return Directory(root / (value(environ, "DATAELAN_DATA_DIR") or "var"))


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
