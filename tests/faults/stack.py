"""A Dataelan of its own for as long as a `with` block: real servers, and each program a process that can be killed.

What ends is started again, as a supervisor would, unless it is held down. All are tethered to the thread that starts
them, so nothing is left behind however the suite ends.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import redis
import sqlalchemy
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dataelan_web import create_app
from dataelan_web.config import load
from dataelan_web.local import postgres, programs, valkey
from dataelan_web.local.directory import Directory
from dataelan_web.local.program import Program
from dataelan_web.local.programs import ROOT

RESTARTED_AFTER = 1.0
"""Seconds from a program's end to its next start: what supervisord waits at first."""
SECRETS = {
    "SECRET_KEY": "a key for fault tests only, long enough to be taken",
    "DATAELAN_KEYS": "k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}


@dataclass
class Runner:
    """One program, kept running."""

    name: str
    program: Program
    environ: dict[str, str]
    log: Path
    tether: subprocess.Popen[bytes] | None = None
    is_wanted: bool = True
    starts_at: float = 0.0
    starts: int = 0
    port: int = 0
    tree: Path = ROOT
    """Where its code is."""

    @property
    def process(self) -> psutil.Process:
        """The program itself, below its tether. Raises psutil.NoSuchProcess while there is none."""
        if self.tether is None or self.tether.poll() is not None:
            raise psutil.NoSuchProcess(0)
        children = psutil.Process(self.tether.pid).children()
        if not children:
            raise psutil.NoSuchProcess(self.tether.pid)
        return children[0]

    @property
    def family(self) -> list[psutil.Process]:
        process = self.process
        return [process, *process.children(recursive=True)]

    def send(self, what: signal.Signals, *, to_family: bool = False) -> None:
        with suppress(psutil.NoSuchProcess):
            for process in self.family if to_family else [self.process]:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(what)

    def kill(self) -> None:
        self.send(signal.SIGKILL, to_family=True)

    @property
    def is_running(self) -> bool:
        try:
            return bool(self.process.is_running())
        except psutil.NoSuchProcess:
            return False


@dataclass
class Stack:
    data: Path
    environ: dict[str, str]
    disk: Path | None = None
    """What the database's disk is mounted at, where that is one which can be filled."""
    runners: dict[str, Runner] = field(default_factory=dict)
    leaving: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """Tethers of programs that have a successor already."""

    @property
    def webs(self) -> list[Runner]:
        return [runner for name, runner in self.runners.items() if name.startswith("web")]

    @property
    def workers(self) -> list[Runner]:
        return [runner for name, runner in self.runners.items() if name.startswith("worker")]

    @property
    def provider_url(self) -> str:
        return self.environ["DATAELAN_SIMULATED_URL"]

    @property
    def calls(self) -> Path:
        return self.data / "calls.jsonl"

    def clock_of(self, runner: Runner) -> Path:
        """How many seconds a machine's clock is wrong by; no such file where it cannot be."""
        return self.data / f"{runner.name}.clock"

    def set_clock(self, runner: Runner, seconds: int) -> None:
        with open(self.clock_of(runner), "r+b") as clock:  # in place: it is mapped into the program
            clock.write(struct.pack("q", seconds))

    # -- the database and the queue, past Dataelan ------------------------------------------------

    def __post_init__(self) -> None:
        self.engine = sqlalchemy.create_engine(
            self.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg2:"),
            pool_size=4,
            max_overflow=20,
            pool_pre_ping=True,
            connect_args={"application_name": "faults"},
        )
        self.valkey = redis.Redis.from_url(self.environ["REDIS_URL"], socket_timeout=2, socket_connect_timeout=2)

    def ask(self, query: str, **values: Any) -> Sequence[Any]:
        with self.engine.begin() as connection:
            result = connection.execute(text(query), values)
            return result.all() if result.returns_rows else ()

    def database_answers(self) -> bool:
        try:
            self.ask("SELECT 1")
            return True
        except SQLAlchemyError:
            return False

    def app(self) -> Flask:
        """The application in this process, on the same servers."""
        return create_app(load(self.environ))

    # -- programs --------------------------------------------------------------------------------

    def hold_down(self, runner: Runner) -> None:
        """Do not start it again until it is let up."""
        runner.is_wanted = False

    def let_up(self, runner: Runner) -> None:
        runner.is_wanted, runner.starts_at = True, 0.0

    def succeed(self, runner: Runner) -> subprocess.Popen[bytes]:
        """Start another in its place, at the same port, and leave the present one to the caller: its tether."""
        old, starts = runner.tether, runner.starts
        assert old is not None
        self.leaving.append(old)
        runner.starts_at, runner.tether = 0.0, None
        until(lambda: runner.starts > starts and runner.is_running, 30, f"the successor of {runner.name}")
        return old

    def await_down(self, runner: Runner, seconds: float = 60) -> None:
        until(lambda: runner.tether is None or runner.tether.poll() is not None, seconds, f"{runner.name} to end")

    def add(
        self, name: str, program: Program, extra: dict[str, str] | None = None, port: int = 0, tree: Path = ROOT
    ) -> Runner:
        environ = {**os.environ, **self.environ, "PGAPPNAME": name, **(extra or {})}
        environ.pop(
            "PYTHONDONTWRITEBYTECODE", None
        )  # else each start would compile us anew, unlike where we are installed
        runner = Runner(name, program, environ, self.data / "log", port=port, tree=tree)
        self.runners[name] = runner
        return runner

    def keep_running(self, stopping: threading.Event) -> None:
        while not stopping.wait(0.05):
            for runner in list(self.runners.values()):
                if runner.tether is not None and runner.tether.poll() is not None:
                    runner.tether, runner.starts_at = None, time.monotonic() + RESTARTED_AFTER
                if runner.tether is None and runner.is_wanted and time.monotonic() >= runner.starts_at:
                    self._start(runner)
        for tether in self.leaving:
            tether.kill()
        order = ("web", "worker", "provider", "valkey", "postgres")
        for kind in order:
            mine = [runner for name, runner in self.runners.items() if name.startswith(kind)]
            for runner in mine:
                runner.send(signal.SIGCONT, to_family=True)
                if runner.tether:
                    runner.tether.terminate()
            for runner in mine:
                if runner.tether:
                    try:
                        runner.tether.wait(10)
                    except subprocess.TimeoutExpired:
                        runner.kill()
                        runner.tether.wait()

    def _start(self, runner: Runner) -> None:
        with open(runner.log / f"{runner.name}.log", "ab") as log:
            runner.tether = subprocess.Popen(
                runner.program.tethered,
                cwd=runner.tree,
                env=runner.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        runner.starts += 1


@contextmanager
def running(
    webs: int = 2,
    workers: int = 2,
    disk: str = "",
    settings: Mapping[str, str] | None = None,
    disks: Mapping[str, str] | None = None,
    tree: Path = ROOT,
) -> Iterator[Stack]:
    """The last web and the last worker have a clock of their own, where that can be made. With `disk`, such as 300m,
    the database has a disk of this size; `disks` are those of other folders of the data, such as assets and log. Of
    another `tree` are the code of webs and workers, and their migrations. Raises NoDisk where none can be made."""
    path = Path(tempfile.mkdtemp(prefix="dataelan-faults-"))
    directory = Directory(path)
    directory.create()
    small = mounted(path / "postgres", disk) if disk else None
    others = [mounted(path / folder, size) for folder, size in (disks or {}).items()]
    servers = {"postgres": postgres.prepare(directory, True), "valkey": valkey.prepare(directory, True)}
    environ = {
        "DATABASE_URL": postgres.url(directory),
        "REDIS_URL": valkey.url(directory),
        **SECRETS,
        "DATAELAN_DATA_DIR": str(path),
        "DATAELAN_SIMULATED_URL": f"http://127.0.0.1:{free_port()}/v1",
        "DATAELAN_PRIVATE_ADDRESSES": "true",
        "DATAELAN_LOCAL_SERVERS": "http://127.0.0.1:9/v1",
        "DATAELAN_LOG_LEVEL": "WARNING",
        "DATAELAN_WEB_THREADS": "64",
        "DATAELAN_WORKER_CONCURRENCY": "60",
        **(settings or {}),
    }
    stack = Stack(path, environ, small)
    for name, program in servers.items():
        stack.add(name, program)
    earlier, os.environ["PGAPPNAME"] = os.environ.get("PGAPPNAME", ""), "faults"
    stopping = threading.Event()
    keeper = threading.Thread(target=stack.keep_running, args=(stopping,), name="supervisor")
    keeper.start()
    try:
        until(lambda: postgres.answers(directory) and valkey.answers(directory), 60, "the servers to answer")
        migrate(stack, tree)
        _start_product(stack, webs, workers, tree)
        yield stack
    finally:
        stopping.set()
        keeper.join()
        stack.engine.dispose()
        os.environ["PGAPPNAME"] = earlier
        for place in (small, *others):
            if place:
                subprocess.run(["umount", "--lazy", str(place)], check=False)
        if not os.environ.get("DATAELAN_FAULT_KEEP"):
            shutil.rmtree(path, ignore_errors=True)
            shutil.rmtree(directory.sockets, ignore_errors=True)


class NoDisk(Exception):
    """A disk of its own cannot be made here."""


def mounted(place: Path, size: str) -> Path:
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "dataelan-faults", str(place)]
    done = subprocess.run(command, capture_output=True, text=True) if shutil.which("mount") else None
    if done is None or done.returncode:
        raise NoDisk(done.stderr.strip() if done else "there is no program `mount`")
    return place


def migrate(stack: Stack, tree: Path = ROOT) -> None:
    command = [sys.executable, "-m", "dataelan_web.local.migrate"]
    subprocess.run(command, cwd=tree, env={**os.environ, **stack.environ}, check=True, capture_output=True)


def _start_product(stack: Stack, webs: int, workers: int, tree: Path) -> None:
    port = int(stack.provider_url.split(":")[2].split("/")[0])
    provider = programs.granian("asgi", "tests.faults.provider:app", "--port", str(port))
    stack.add("provider", Program("provider", provider), {"DATAELAN_FAULT_CALLS": str(stack.calls)}, port)
    for number in range(workers):
        runner = stack.add(f"worker-{number}", of_tree(programs.worker(stack.environ), tree), tree=tree)
        _give_a_clock(stack, runner, number == workers - 1 > 0)
    for number in range(webs):
        port = free_port()
        web = of_tree(programs.web(stack.environ, port), tree)
        runner = stack.add(f"web-{number}", web, port=port, tree=tree)
        _give_a_clock(stack, runner, number == webs - 1 > 0)
    until(lambda: all(is_open(runner.port) for runner in stack.webs), 60, "the web to answer")


def of_tree(program: Program, tree: Path) -> Program:
    """The same program, of the code that is there."""
    python, *words = program.command
    return replace(program, command=(python, *(word.replace(str(ROOT), str(tree)) for word in words)))


def _give_a_clock(stack: Stack, runner: Runner, is_wanted: bool) -> None:
    library = stack.data / "clock.so"
    if is_wanted and (library.exists() or _compiled(library)):
        stack.clock_of(runner).write_bytes(struct.pack("q", 0))
        runner.environ |= {"LD_PRELOAD": str(library), "DATAELAN_FAULT_CLOCK": str(stack.clock_of(runner))}


def _compiled(library: Path) -> bool:
    """False: there is no C compiler, or not this system's."""
    command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(Path(__file__).with_name("clock.c")), "-ldl"]
    return sys.platform == "linux" and bool(shutil.which("cc")) and not subprocess.run(command).returncode


_given: set[int] = set()


def free_port() -> int:
    """Below the range that the system gives to connections, so that it is still free when its program comes back.

    None is given twice: its program may not listen yet, and granian shares a port with whoever else asks for it.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as probe:
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def is_open(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until it holds; how many seconds that took. Raises TimeoutError."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)
    return time.monotonic() - started
