"""`make run`, for real: started on a directory of its own, killed in every way, and nothing left behind."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import psutil
import pytest

from dataelan_web.local.programs import ROOT

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "dataelan_web.local")
OURS = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "MAKELEVEL"}  # a test starts from nothing


class Running:
    """A started Dataelan and everything that belongs to it."""

    def __init__(self, data: Path, port: int):
        inherited = {k: v for k, v in os.environ.items() if k.removesuffix("_FILE") not in OURS and "DATAELAN" not in k}
        self.port = port
        self.environ = {**inherited, "DATAELAN_DATA_DIR": str(data), "PORT": str(port)}
        self.log = data / f"{port}.out"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(COMMAND, cwd=ROOT, env=self.environ, stdout=log, stderr=log)

    def until_ready(self) -> "Running":
        wait_for(lambda: "Dataelan is ready" in self.log.read_text() or self.process.poll() is not None, 60)
        assert "Dataelan is ready" in self.log.read_text(), self.log.read_text()
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        return self

    def answers(self) -> bool:
        try:
            with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as response:
                return response.status == 200
        except (URLError, OSError):
            return False

    def of(self, word: str) -> list[psutil.Process]:
        """The family's processes started as this, without their tethers."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                line = " ".join(process.cmdline())
                if word in line and "tether.py" not in line:
                    found.append(process)
        return found

    def nothing_left(self) -> bool:
        return not any(alive(process) for process in self.family) and not is_open(self.port)


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def dataelan(data: Path) -> Iterator[Running]:
    running = Running(data, free_port())
    try:
        yield running.until_ready()
    finally:
        running.process.terminate()
        running.process.wait(60)


def test_a_second_start_on_the_same_directory_is_refused_at_once(dataelan: Running) -> None:
    second = subprocess.run(COMMAND, cwd=ROOT, env=dataelan.environ, capture_output=True, text=True, timeout=10)
    assert second.returncode != 0
    assert f"http://127.0.0.1:{dataelan.port} (process {dataelan.process.pid})" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert dataelan.answers()


def test_nobody_else_can_look_into_the_data_directory(dataelan: Running, data: Path) -> None:
    assert data.stat().st_mode & 0o067 == 0  # root lets the servers' own group pass, not look
    assert all((data / name).stat().st_mode & 0o777 == 0o600 for name in ("secret-key", "encryption-keys"))


def test_a_flask_command_uses_the_running_servers(dataelan: Running) -> None:
    command = (*COMMAND, "flask", "db", "current")
    done = subprocess.run(command, cwd=ROOT, env=dataelan.environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", ["wsgi:app", "jobs.worker", "bin/postgres", "valkey-server"])
def test_a_killed_program_comes_back(dataelan: Running, program: str) -> None:
    before = {process.pid for process in dataelan.of(program)}
    assert before
    dataelan.of(program)[0].kill()
    wait_for(lambda: bool(dataelan.of(program)) and before.isdisjoint(p.pid for p in dataelan.of(program)), 15)
    wait_for(dataelan.answers, 15)


def test_sigterm_stops_everything_in_order(dataelan: Running, data: Path) -> None:
    dataelan.until_ready()
    dataelan.process.terminate()
    assert dataelan.process.wait(30) == 0
    assert dataelan.nothing_left()
    log = (data / "log/supervisor.log").read_text().splitlines()
    assert [line.split()[4] for line in log if " stopped: " in line] == [
        "web",
        "worker",
        "simulated",
        "valkey",
        "postgres",
    ]


@pytest.fixture
def other_data() -> Iterator[Path]:
    """Not the one that the tests above share: pytest may run this before the last of them."""
    with tempfile.TemporaryDirectory(prefix="dataelan-") as path:
        yield Path(path)


def test_nothing_outlives_a_killed_supervisor_and_its_lock_is_no_obstacle(other_data: Path) -> None:
    data, port = other_data, free_port()
    first = Running(data, port).until_ready()
    first.process.kill()
    first.process.wait()
    second = Running(data, port).until_ready()  # waits for what the first left to end
    assert not any(alive(process) for process in first.family)
    for supervisord in second.of("supervisor.supervisord"):
        supervisord.kill()
    assert second.process.wait(20) == 1
    wait_for(second.nothing_left, 10)
