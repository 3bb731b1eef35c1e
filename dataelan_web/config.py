"""Environment → typed settings. A wrong value stops the start with a clear word.

Every name may also be given as NAME_FILE, the path of a file that holds the value (for secrets mounted
by an orchestrator). `.env` in the working directory is read for names the environment does not set.
"""

from __future__ import annotations

import base64
import logging
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from dotenv import dotenv_values
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


class ConfigError(Exception):
    """A setting is missing or wrong; the message says which and what to do."""


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in, and in whose name."""

    host: str
    port: int
    tls: str
    """`implicit` from the first byte, `starttls` before anything is said, `off`."""
    user: str = field(repr=False)
    password: str = field(repr=False)
    sender: str
    sender_name: str


@dataclass(frozen=True)
class Settings:
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    secret_key: str = field(repr=False)
    keys: tuple[tuple[str, bytes], ...] = field(repr=False)
    """Encryption keys as (id, 32 bytes); the first encrypts, all decrypt."""
    data_dir: Path
    storage_url: str
    """Where assets are kept: file:///…, s3://bucket/prefix …"""
    simulated_url: str
    local_servers: tuple[str, ...]
    """OpenAI-compatible servers on this machine to offer when they answer."""
    secure_cookies: bool
    open_sign_up: bool
    sign_up_domains: tuple[str, ...]
    """Only who has an address of one of these signs up without an invitation; none: anybody."""
    superusers_need_two_factors: bool
    """Are they superusers only where they signed in by two?"""
    private_addresses: bool
    """May organizations point a provider at loopback and private addresses?"""
    reachable_hosts: tuple[str, ...]
    """The only hosts that are called for what people and the catalogue name; none: all that may be reached."""
    trusted_proxies: int
    worker_concurrency: int
    keeps_to_one: bool
    """Does a worker keep to one processor (processors.py)? serve.py reads the same for each web process."""
    memory_for_answers: int
    """Bytes that the answers of all calls of one process may take at once."""
    grace: int
    """Seconds that a process which is asked to leave goes on with what it has begun."""
    log_level: str
    log_form: str
    """text, or json: an object a line."""
    metrics_token: str = field(repr=False)
    """Who asks for /metrics has to say it; empty: there is none."""
    traces_url: str = field(repr=False)
    """Where traces are sent, by OTLP over HTTP; empty: none are made."""
    traces_words: bool
    """Do traces hold what was asked and answered?"""
    public_url: str
    """Where people reach it, without a slash at the end: for links in mail and webhooks."""
    trusted_hosts: tuple[str, ...]
    """The only names by which it answers; none: any."""
    mail: MailServer | None
    """None: no mail is sent."""

    @property
    def secrets(self) -> list[str]:
        """What no log may hold."""
        passwords = [unquote(urlsplit(url).password or "") for url in (self.database_url, self.redis_url)]
        mail = self.mail.password if self.mail else ""
        keys = [base64.b64encode(key).decode() for _, key in self.keys]
        return [self.secret_key, self.metrics_token, mail, *passwords, *keys]


GRACE = 930
"""Longer than any call may take (router.wire.Deadlines.total): then nothing is cut short."""

_ADDRESS = r"[^\s<>@\"]+@[A-Za-z0-9.-]+"
SENDER = re.compile(rf'"?(?P<name>[^<>"]*)(?:"\s*)?<(?P<named>{_ADDRESS})>|(?P<bare>{_ADDRESS})', re.ASCII)

LOCAL_SERVERS = (
    "http://127.0.0.1:11434/v1",  # Ollama
    "http://127.0.0.1:1234/v1",  # LM Studio
    "http://127.0.0.1:8080/v1",  # llama.cpp
    "http://127.0.0.1:18080/v1",  # llama-cpp-python, as in our own end-to-end check
)

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""By which this machine asks itself."""


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check all settings. Raises ConfigError naming the first that is wrong."""
    read = _Reader(environ if environ is not None else {**_dotenv(), **os.environ})
    return Settings(
        database_url=read.database_url(),
        redis_url=read.redis_url(),
        secret_key=read.secret_key(),
        keys=read.keys(),
        data_dir=Path(read("DATAELAN_DATA_DIR") or "./var").resolve(),
        storage_url=read.storage_url(),
        simulated_url="".join(read.addresses("DATAELAN_SIMULATED_URL", most=1)),
        local_servers=read.addresses("DATAELAN_LOCAL_SERVERS") or LOCAL_SERVERS,
        secure_cookies=read.flag("DATAELAN_SECURE_COOKIES", False),
        open_sign_up=read.flag("DATAELAN_OPEN_SIGN_UP", True),
        sign_up_domains=read.sign_up_domains(),
        superusers_need_two_factors=read.flag("DATAELAN_SUPERUSERS_NEED_TWO_FACTORS", False),
        private_addresses=read.flag("DATAELAN_PRIVATE_ADDRESSES", False),
        reachable_hosts=read.hosts("DATAELAN_REACHABLE_HOSTS"),
        trusted_proxies=read.number("DATAELAN_TRUSTED_PROXIES", 0, low=0, high=10),
        keeps_to_one=read.number("DATAELAN_PROCESSORS", 1, low=0, high=1) == 1,
        worker_concurrency=read.number("DATAELAN_WORKER_CONCURRENCY", 200, low=1, high=2000),
        memory_for_answers=read.number("DATAELAN_MEMORY_FOR_ANSWERS", 512, low=64, high=65_536) * 1024 * 1024,
        grace=read.number("DATAELAN_GRACE", GRACE, low=0, high=3600),
        log_level=read.log_level(),
        log_form=read.one_of("DATAELAN_LOG_FORMAT", "text", "json"),
        metrics_token=read.metrics_token(),
        traces_url=read.traces_url(),
        traces_words=read.flag("DATAELAN_TRACES_WORDS", False),
        public_url=read.public_url(),
        trusted_hosts=read.trusted_hosts(),
        mail=read.mail(),
    )


def _dotenv() -> dict[str, str]:
    try:
        kept = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    except UnicodeDecodeError as error:
        raise ConfigError(".env is not a text file.") from error
    return {name: value for name, value in kept.items() if f"{name}_FILE" not in os.environ}  # else this would go first


class _Reader:
    def __init__(self, environ: Mapping[str, str]):
        self.environ = environ

    def __call__(self, name: str) -> str:
        if value := self.environ.get(name, "").strip():
            return value
        if path := self.environ.get(f"{name}_FILE", "").strip():
            try:
                return Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{name}_FILE: {path} cannot be read ({error.strerror}).") from error
            except UnicodeDecodeError as error:
                raise ConfigError(f"{name}_FILE: {path} is not a text file.") from error
        return ""

    def required(self, name: str, hint: str) -> str:
        if value := self(name):
            return value
        raise ConfigError(f"{name} is not set ({hint}). `make run` sets it by itself; see .env.example.")

    def flag(self, name: str, default: bool) -> bool:
        value = self(name).lower()
        if value not in ("", "0", "1", "true", "false", "yes", "no", "on", "off"):
            raise ConfigError(f"{name} must be true or false, not {value!r}.")
        return value in ("1", "true", "yes", "on") if value else default

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        value = self(name)
        if not value:
            return default
        if not value.isdecimal() or len(value) > 18 or not low <= int(value) <= high:
            raise ConfigError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")
        return int(value)

    def hosts(self, name: str) -> tuple[str, ...]:
        found = tuple(self(name).lower().split())
        for one in found:
            if not re.fullmatch(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f]*:[0-9a-f:.]+", one):
                hint = "hosts such as api.openai.com or *.example.com, separated by spaces"
                raise ConfigError(f"{name} must be {hint}, not {one!r}.")
        return found

    def sign_up_domains(self) -> tuple[str, ...]:
        """Anybody can type an address of a domain: it says something only where its mailbox is asked."""
        name = "DATAELAN_SIGN_UP_DOMAINS"
        found = tuple(self(name).lower().split())
        for one in found:
            if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", one):
                raise ConfigError(f"{name} must be domains such as example.com, separated by spaces, not {one!r}.")
        if found and not self("DATAELAN_MAIL_URL"):
            raise ConfigError(f"{name} needs DATAELAN_MAIL_URL: addresses are confirmed by a letter.")
        return found

    def database_url(self) -> str:
        """SQLAlchemy 2.1 takes a bare `postgresql://` for psycopg 3; we ship psycopg 2."""
        text = self.required("DATABASE_URL", "for example postgresql://user:password@host/dataelan")
        try:
            url = make_url(text)
        except (ArgumentError, ValueError) as error:
            raise ConfigError("DATABASE_URL is not a valid address.") from error
        if not url.drivername.startswith("postgres"):
            raise ConfigError(f"DATABASE_URL must be a PostgreSQL address, not {url.drivername}.")
        return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)

    def redis_url(self) -> str:
        text = self.required("REDIS_URL", "for example redis://127.0.0.1:6379/0")
        if not text.startswith(("redis://", "rediss://", "unix://")):
            raise ConfigError("REDIS_URL must begin with redis://, rediss:// or unix://.")
        if _split(text) is None:
            raise ConfigError("REDIS_URL is not a valid address.")
        return text

    def storage_url(self) -> str:
        value = self("DATAELAN_STORAGE_URL")
        if not value:
            return (Path(self("DATAELAN_DATA_DIR") or "./var").resolve() / "assets").as_uri()
        if not value.startswith(("file:///", "s3://", "gs://", "az://")):
            raise ConfigError("DATAELAN_STORAGE_URL must begin with file:///, s3://, gs:// or az://.")
        if not value.startswith("file:") and not urlsplit(value).netloc:
            raise ConfigError("DATAELAN_STORAGE_URL names no bucket.")
        return value

    def addresses(self, name: str, most: int = 100) -> tuple[str, ...]:
        found = tuple(self(name).split())
        if len(found) > most:
            raise ConfigError(f"{name} must be {'one address' if most == 1 else f'at most {most} addresses'}.")
        for one in found:
            url = _split(one)
            if url is None or url.scheme not in ("http", "https") or not url.hostname:
                raise ConfigError(f"{name} must be an address such as http://127.0.0.1:11434/v1, not {one!r}.")
        return found

    def public_url(self) -> str:
        port = self.number("PORT", 8000, low=1, high=65_535)
        value = self("DATAELAN_PUBLIC_URL") or f"http://127.0.0.1:{port}"
        url = _split(value)
        if url is None or url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
            raise ConfigError("DATAELAN_PUBLIC_URL must be an address such as https://dataelan.example.com.")
        return value.rstrip("/")

    def trusted_hosts(self) -> tuple[str, ...]:
        """Who never said where people reach it may come by any name: this machine's, or a number."""
        named = self.hosts("DATAELAN_TRUSTED_HOSTS")
        if not named and not self("DATAELAN_PUBLIC_URL"):
            return ()
        public = urlsplit(self.public_url()).hostname or ""
        with suppress(UnicodeError):
            public = public.encode("idna").decode()  # as browsers ask for it
        return (*named, public, *LOCAL_NAMES)

    def mail(self) -> MailServer | None:
        """smtp://user:password@host:port, with TLS begun by STARTTLS unless ?tls=off; smtps:// with TLS at once."""
        value = self("DATAELAN_MAIL_URL")
        if not value:
            return None
        url = _split(value)
        if url is None or url.scheme not in ("smtp", "smtps") or not url.hostname or url.path.strip("/"):
            raise ConfigError(
                "DATAELAN_MAIL_URL must be like smtp://user:password@mail.example.com:587, signs such as @ as %40."
            )
        tls = ",".join(parse_qs(url.query).get("tls", ["implicit" if url.scheme == "smtps" else "starttls"]))
        if tls not in (("implicit",) if url.scheme == "smtps" else ("starttls", "off")):
            raise ConfigError("DATAELAN_MAIL_URL: tls must be starttls or off; for TLS from the start use smtps://.")
        if url.username and tls == "off" and not _is_loopback(url.hostname):
            raise ConfigError("DATAELAN_MAIL_URL: with tls=off the password would travel unprotected. Use STARTTLS.")
        name, address = self.mail_from()
        port = url.port or {"implicit": 465, "starttls": 587, "off": 25}[tls]
        user, password = unquote(url.username or ""), unquote(url.password or "")
        return MailServer(url.hostname, port, tls, user, password, address, name)

    def mail_from(self) -> tuple[str, str]:
        hint = "the sender of mail, such as Dataelan <no-reply@example.com>; DATAELAN_MAIL_URL needs it"
        value = self("DATAELAN_MAIL_FROM")
        if not value:
            raise ConfigError(f"DATAELAN_MAIL_FROM is not set ({hint}).")
        found = SENDER.fullmatch(value) if value.isprintable() else None
        if found is None:
            raise ConfigError(f"DATAELAN_MAIL_FROM is not an e-mail address, with or without a name: {value!r}.")
        return (found["name"] or "").strip() or "Dataelan", found["named"] or found["bare"]

    def log_level(self) -> str:
        value = self("DATAELAN_LOG_LEVEL").upper() or "INFO"
        if value not in logging.getLevelNamesMapping():
            raise ConfigError(f"DATAELAN_LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not {value!r}.")
        return value

    def one_of(self, name: str, *values: str) -> str:
        """The first where it is not set."""
        value = self(name).lower() or values[0]
        if value not in values:
            raise ConfigError(f"{name} must be {' or '.join(values)}, not {value!r}.")
        return value

    def metrics_token(self) -> str:
        value = self("DATAELAN_METRICS_TOKEN")
        if value and (len(value) < 16 or not value.isascii() or not value.isprintable() or " " in value):
            raise ConfigError("DATAELAN_METRICS_TOKEN needs at least 16 random letters, digits and signs, no spaces.")
        return value

    def traces_url(self) -> str:
        value = self("DATAELAN_TRACES_URL")
        url = _split(value) if value else None
        if value and (url is None or url.scheme not in ("http", "https") or not url.hostname or url.query):
            raise ConfigError("DATAELAN_TRACES_URL must be an address such as http://127.0.0.1:4318.")
        return value.rstrip("/")

    def secret_key(self) -> str:
        value = self.required("SECRET_KEY", "at least 32 random characters")
        if len(value) < 32:
            raise ConfigError("SECRET_KEY is too short: it needs at least 32 random characters.")
        return value

    def keys(self) -> tuple[tuple[str, bytes], ...]:
        text = self.required("DATAELAN_KEYS", "k1:<32 random bytes in base64>; the first encrypts")
        keys = tuple(_key(item) for item in text.split(","))
        if len({name for name, _ in keys}) < len(keys):
            raise ConfigError("DATAELAN_KEYS names the same key id twice.")
        return keys


def _split(url: str) -> SplitResult | None:
    """None: no address, or a port that is none."""
    try:
        parts = urlsplit(url)
        return parts if parts.port is None or parts.port > 0 else None
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _key(item: str) -> tuple[str, bytes]:
    name, _, encoded = item.strip().partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise ConfigError(f"DATAELAN_KEYS: the key {name!r} is not base64.") from error
    if not name.isalnum() or len(key) != 32:
        raise ConfigError(f"DATAELAN_KEYS: {name!r} must be an alphanumeric id with a key of 32 bytes.")
    return name, key
