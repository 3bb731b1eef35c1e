"""A whole Dataelan for as long as a `with` block: what `make run` starts, on a directory and port of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from flask import Flask

from dataelan_web import create_app
from dataelan_web.config import load
from dataelan_web.local.directory import Directory

ROOT = Path(__file__).parent.parent
PASSWORD = "a password for benchmarks"


@dataclass
class Stack:
    url: str
    data_dir: Path
    ready_after: float
    supervisor: subprocess.Popen[bytes]

    def flask(self, *arguments: str) -> str:
        """Run a flask command beside it; its standard output."""
        command = [sys.executable, "-m", "dataelan_web.local", "flask", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=_environment(self.data_dir), capture_output=True, check=True)
        return done.stdout.decode()

    def bootstrap(self, *offers: str) -> dict[str, str]:
        """What it printed. `offers` are its options for providers."""
        who = ("--email", "bench@example.com", "--password", PASSWORD, "--org", "Bench", "--project", "Bench")
        line = self.flask("bootstrap", *who, *offers)
        found: dict[str, str] = json.loads(line.strip().splitlines()[-1])
        return found

    def app(self) -> Flask:
        """The application in this process, on the same servers."""
        return create_app(load({**os.environ, **self.recorded["environment"]}))

    @property
    def recorded(self) -> dict[str, dict[str, str]]:
        """What the running Dataelan says of itself."""
        return Directory(self.data_dir).running() or {}


@contextmanager
def running(data_dir: Path | None = None, **settings: str) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="dataelan-bench-") as temporary:
        directory, port = data_dir or Path(temporary), free_port()
        environment = _environment(directory) | {"PORT": str(port)} | settings
        started = time.perf_counter()
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "dataelan_web.local"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _await_ready(url, supervisor)
            yield Stack(url, directory, time.perf_counter() - started, supervisor)
        finally:
            supervisor.terminate()
            supervisor.wait(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(directory: Path) -> dict[str, str]:
    return os.environ | {"DATAELAN_DATA_DIR": str(directory)}


def _await_ready(url: str, supervisor: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and supervisor.poll() is None:
        try:
            if httpx2.get(f"{url}/readyz", trust_env=False, timeout=2).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.02)
    raise SystemExit("Dataelan did not become ready")
