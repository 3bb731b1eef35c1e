"""Keeps programs running: supervisord, with a configuration written into the data directory.

We start it, it starts them; both through the tether, so whoever of us dies takes the rest along.
"""

import configparser
import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, Self
from xmlrpc.client import Fault, ProtocolError, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from .directory import Directory, Refused
from .program import Program

TRIES = 20  # supervisord waits 1, 2, 3 … seconds between tries; past these we start its count anew
UNANSWERED = (OSError, Fault, ProtocolError, HTTPException)
GIVEN_UP = {"FATAL", "UNKNOWN"}


class Supervisor:
    def __init__(self, directory: Directory, programs: list[Program], environ: Mapping[str, str], lock: int, cwd: Path):
        self.directory, self.programs, self.environ, self.lock, self.cwd = directory, programs, environ, lock, cwd
        self._socket = directory.sockets / "supervisor.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: set[str] = set()

    def __enter__(self) -> Self:
        path = self.directory.path / "supervisord.conf"
        with open(path, "w") as file:
            self._configuration().write(file)
        self._socket.unlink(missing_ok=True)  # a killed one leaves it behind
        grace = sum(program.grace + 5 for program in self.programs)
        supervisord = (sys.executable, "-m", "supervisor.supervisord", "--silent", "-c", str(path))
        self._process = subprocess.Popen(
            Program("supervisor", supervisord, grace=grace).tethered,
            cwd=self.cwd,
            env={**self.environ, "DATAELAN_RUN_BY": str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; they are told in order
            pass_fds=[self.lock],  # the directory is held until the last of them is gone
        )
        self._await_answer()
        return self

    # -- stopping: first those that may have answers to finish ------------------------------------

    def ask(self, *names: str) -> None:
        """These to stop, all at once. Asked again, they end what they have begun."""
        for name in names:
            with suppress(*UNANSWERED):
                if self._asked & {name}:
                    self._call().signalProcessGroup(name, "TERM")
                else:
                    self._call().stopProcessGroup(name, False)
            self._asked.add(name)

    def stopping(self, *names: str) -> bool:
        """Is any of these still there?"""
        try:
            states = self._call().getAllProcessInfo()
        except UNANSWERED:
            return self.alive()
        return any(info["group"] in names and info["pid"] for info in states)

    def hurry(self) -> None:
        """No more waiting for anybody."""
        if self._process:
            self._process.terminate()

    def __exit__(self, *failure: object) -> None:
        """Asks supervisord to stop, which stops the last started first and waits for each."""
        if self._process:
            self._process.terminate()
        while self.alive():  # it looks around once a second, or whenever somebody asks it something
            with suppress(*UNANSWERED):
                self._call().getState()
            time.sleep(0.05)

    def start(self, *names: str) -> None:
        for name in names:
            self._call().startProcessGroup(name, False)

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def revive(self) -> None:
        """supervisord gives up after a number of tries; we never do."""
        with suppress(*UNANSWERED):  # it is asked again soon
            for info in self._call().getAllProcessInfo():
                if info["statename"] in GIVEN_UP:
                    self._call().startProcess(f"{info['group']}:{info['name']}", False)

    def _call(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def _await_answer(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                self._call().getState()
                return
            except UNANSWERED:
                if not self.alive() or time.monotonic() > deadline:
                    log = self.directory.log / "supervisor.log"
                    raise Refused(f"The supervisor does not start; see {log}.") from None
                time.sleep(0.03)

    # -- its configuration ----------------------------------------------------------------------

    def _configuration(self) -> configparser.RawConfigParser:
        configuration = configparser.RawConfigParser()
        configuration["supervisord"] = {
            "nodaemon": "true",
            "logfile": escape(self.directory.log / "supervisor.log"),
            "logfile_maxbytes": "5MB",
            "logfile_backups": "2",
            "pidfile": escape(self.directory.path / "supervisord.pid"),
            "childlogdir": escape(self.directory.log),
            "minfds": str(descriptors()),
        } | ({"user": "root"} if os.geteuid() == 0 else {})
        configuration["unix_http_server"] = {"file": escape(self._socket), "chmod": "0700"}
        configuration["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        for place, program in enumerate(self.programs):
            members = ",".join(program.processes)
            configuration[f"group:{program.name}"] = {
                "programs": members,
                "priority": str(place),
            }  # the last stops first
            for name in program.processes:
                configuration[f"program:{name}"] = self._section(name, program)
        return configuration

    def _section(self, name: str, program: Program) -> dict[str, str]:
        return {
            "command": escape(shlex.join(program.tethered)),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": str(program.settled),
            "startretries": str(TRIES),
            "stopsignal": "TERM",  # to the tether, which knows what its program wants to hear
            "stopwaitsecs": str(program.grace + 5),
            "redirect_stderr": "true",
            "stdout_logfile": escape(escape(self.directory.log / f"{name}.log")),  # it expands this one twice
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "3",
        }


def escape(value: object) -> str:
    return str(value).replace("%", "%%")


def descriptors() -> int:
    """Enough open files for thousands of connections, as far as the system allows."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 8192 if allowed == resource.RLIM_INFINITY else min(8192, allowed)
