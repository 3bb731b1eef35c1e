"""Real servers for all tests: PostgreSQL, Valkey, the simulated provider and a worker, once a test run.

Nothing is emptied between tests: each makes organizations of its own (see people.py), which is also how
tenants share a database in production.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask_migrate import upgrade
from hypothesis import settings

from dataelan_web import create_app
from dataelan_web.config import load
from dataelan_web.extensions import db
from dataelan_web.hub.providers import fixture
from dataelan_web.local.databases import databases
from dataelan_web.models import accounts
from dataelan_web.starting import starting

from . import leaks, people

ROOT = Path(__file__).parent.parent
# Whatever the shell says, what pytest made of these files and of ours is kept: to make it takes seconds a process.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

TO_START = 120
"""Seconds a program may take: several start at once where several processes run the tests."""

# On a developer's machine Hypothesis looks for new examples; where a change has to land it tries the same ones.
settings.register_profile("ci", derandomize=True, max_examples=60)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nobody looks for garbage among what is imported and collected, neither meanwhile nor afterwards."""
    with starting():
        return (yield)


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="dataelan-test-"))
    (path / "templates").symlink_to(_compiled_templates())
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def environment(data_dir: Path) -> Iterator[dict[str, str]]:
    """Every setting of the Dataelan under test, as its processes get them."""
    with databases(data_dir, durable=False) as urls:
        yield {
            **urls,
            "SECRET_KEY": "a key for tests only, long enough to be taken",
            "DATAELAN_KEYS": "k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            "DATAELAN_DATA_DIR": str(data_dir),
            "DATAELAN_SIMULATED_URL": f"http://127.0.0.1:{free_port()}/v1",
            "DATAELAN_PRIVATE_ADDRESSES": "true",
            "DATAELAN_LOCAL_SERVERS": "http://127.0.0.1:9/v1",
            "DATAELAN_LOG_LEVEL": "WARNING",
        }


@pytest.fixture(scope="session")
def app(environment: dict[str, str], data_dir: Path) -> Iterator[Flask]:
    """When all tests of a run are over, none of the secrets that they entered stands anywhere."""
    with starting():
        app = create_app(load(environment))
    app.testing = False  # errors are answered, as in production
    hash_cheaply()
    with app.app_context():
        upgrade()
        fixture.load(environment["DATAELAN_SIMULATED_URL"])
    yield app
    left = leaks.found({"a secret that a test planted": leaks.PLANTED}, leaks.everything(app, data_dir))
    assert left == []


def _compiled_templates() -> Path:
    """Where the processes that run the tests, and later runs, find templates as Python that one of them made."""
    path = Path(tempfile.gettempdir(), f"dataelan-templates-{os.getuid()}")
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def hash_cheaply() -> None:
    """A password's hash is to cost an attacker a tenth of a second, and would cost each test that."""
    accounts._hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    """The database at hand, with an empty session before and after."""
    with app.app_context():
        yield
        db.session.rollback()


@pytest.fixture(scope="session")
def simulated(environment: dict[str, str]) -> Iterator[str]:
    """The base URL of the simulated provider, running."""
    url = environment["DATAELAN_SIMULATED_URL"]
    port = url.split(":")[2].split("/")[0]
    command = ["-m", "granian", "--interface", "asgi", "--port", port, "--no-ws", "dataelan_web.local.simulated:app"]
    with process(command, environment):
        wait_until(lambda: answers(f"{url}/models"), TO_START)
        yield url


@pytest.fixture(scope="session")
def worker(
    app: Flask, environment: dict[str, str], simulated: str, data_dir: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """One real worker, taking what the tests submit."""
    with process(["-m", "dataelan_web.jobs.worker"], environment, data_dir / "worker.log") as worker:
        client = app.test_client()
        wait_until(lambda: client.get("/readyz").status_code == 200, TO_START)
        yield worker


@pytest.fixture(scope="session")
def server(environment: dict[str, str], worker: object, data_dir: Path) -> Iterator[str]:
    """The address of a real web server, for browsers and other programs."""
    port = free_port()
    command = f"-m granian --interface wsgi --port {port} --no-ws --blocking-threads 64 wsgi:app"
    with process(command.split(), environment | {"PORT": str(port)}, data_dir / "web.log"):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/healthz"), TO_START)
        yield url


@pytest.fixture
def acme(context: None) -> people.Cast:
    """An organization with one person of each role."""
    return people.cast("Acme")


@pytest.fixture
def rival(context: None) -> people.Cast:
    """Another organization, whose people must never see the first one's."""
    return people.cast("Rival")


class process:  # noqa: N801 (reads as a verb: `with process(…)`)
    """A program for as long as a `with` block; its output is shown when it ends badly. `log`: where that is kept."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path | None = None):
        self.command, self.environment, self.log = command, environment, log

    def __enter__(self) -> subprocess.Popen[bytes]:
        said = {} if self.log is None else {"stdout": self.log.open("ab"), "stderr": subprocess.STDOUT}
        command = [sys.executable, *self.command]
        self.running = subprocess.Popen(command, env=os.environ | self.environment, cwd=ROOT, **said)
        return self.running

    def __exit__(self, *error: object) -> None:
        if self.log and (error[0] or self.running.poll() is not None):
            print(self.log.read_text(errors="replace")[-20_000:], file=sys.stderr)
        self.running.terminate()
        try:
            self.running.wait(10)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


DIRECTLY = build_opener(ProxyHandler({}))
"""Whatever proxy the shell names."""


def answers(url: str) -> bool:
    """Asked often while a server starts, so by a client that costs nothing to make."""
    try:
        with DIRECTLY.open(url, timeout=2) as answer:
            return bool(answer.status < 500)
    except HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def wait_until(condition: Callable[[], object], seconds: float = 90) -> None:
    """Poll until it holds, more seldom the longer it takes: who asks takes time from who works. Fails the test after
    `seconds`."""
    deadline, pause = time.monotonic() + seconds, 0.02
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s in vain")
        time.sleep(pause)
        pause = min(pause * 1.2, 0.15)
