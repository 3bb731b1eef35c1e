"""The data directory: where things lie in it, who holds it, and where the running servers answer."""

import fcntl
import hashlib
import json
import os
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

LONGEST_SOCKET_DIRECTORY = 72  # a socket's whole path must fit in 104 bytes on macOS, 108 on Linux


class Refused(Exception):
    """Dataelan cannot go on, for a reason that one line can tell."""


class Busy(Refused):
    """Somebody else holds the data directory."""


class Directory:
    def __init__(self, path: Path | str):
        self.path = Path(path).expanduser().resolve()
        self.log = self.path / "log"
        self.sockets = self._short(self.path / "run")
        self._lock = self.path / "lock"
        self._state = self.path / "running.json"

    def create(self) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.path.stat()
            if found.st_uid == os.geteuid():  # nobody else looks in; root lets the servers' group through
                self.path.chmod(found.st_mode & (0o710 if found.st_uid == 0 else 0o700))
            self.log.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Refused(f"The data directory {self.path} cannot be used: {error.strerror}.") from error
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        ours = {os.geteuid(), found.st_uid}
        found = self.sockets.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:  # a stranger's, in /tmp
            raise Refused(f"{self.sockets} belongs to somebody else; remove it or set a shorter DATAELAN_DATA_DIR.")

    def _short(self, wanted: Path) -> Path:
        """A socket's path has a limit of its own; a deep data directory keeps its sockets elsewhere."""
        if len(os.fsencode(wanted)) <= LONGEST_SOCKET_DIRECTORY:
            return wanted
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"dataelan-{os.geteuid()}-{name}"

    # -- who holds it ---------------------------------------------------------------------------

    @contextmanager
    def held(self, doing: str, url: str = "") -> Iterator[int]:
        """Hold the directory; yields the lock's descriptor, for children that must keep it held after us.

        The kernel frees it when the last holder is gone, so a kill -9 leaves nothing to clean up."""
        self.create()
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._take(descriptor)
            self.announce(doing=doing, url=url)
            try:
                yield descriptor
            finally:
                self._state.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        """Refuse at once when the holder lives; wait for what a dead one left, which is on its way out."""
        told = False
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self.running()
                if holder:
                    doing = " at ".join(part for part in (holder["doing"], holder.get("url")) if part)
                    raise Busy(f"{self.path} is in use: Dataelan is {doing} (process {holder['pid']}).") from None
            if not told:
                print("Waiting for what the last run left to stop …", file=sys.stderr, flush=True)
                told = True
            time.sleep(0.05)

    def announce(self, **what: Any) -> None:
        """Write who we are and where we answer, for a second start and for commands beside this one."""
        draft = self._state.with_suffix(".new")
        with open(draft, "w", opener=private) as file:
            json.dump({"pid": os.getpid(), **what}, file)
        draft.replace(self._state)

    def running(self) -> dict[str, Any] | None:
        """What the living holder announced; None when there is none."""
        try:
            state: dict[str, Any] = json.loads(self._state.read_text())
        except (OSError, ValueError):
            return None
        return state if psutil.pid_exists(state["pid"]) else None

    # -- what is made once ----------------------------------------------------------------------

    def secret(self, name: str, make: Callable[[], str]) -> Path:
        """The file that keeps this secret, made at the first start. Only ever written whole."""
        path = self.path / name
        if not path.exists():
            draft = path.with_suffix(".new")
            draft.unlink(missing_ok=True)
            with open(draft, "x", opener=private) as file:
                file.write(make() + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        return path

    def port(self, name: str) -> int:
        """A free loopback port that stays the same from start to start."""
        path = self.path / f"{name}.port"
        with suppress(OSError, ValueError):
            kept = int(path.read_text())
            if is_free(kept):
                return kept
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            fresh: int = listener.getsockname()[1]
        path.write_text(f"{fresh}\n")
        return fresh


def private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def is_free(port: int) -> bool:
    """Asked by binding: a server that shares its port would let a second one in without a word."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
