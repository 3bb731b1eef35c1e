"""`make run`, for real: started on a directory of its own, killed in every way, and nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import httpx2
import psutil
import pytest

from dataelan_web.local.programs import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.kills]

COMMAND = (sys.executable, "-m", "dataelan_web.local")
PROGRAMS = ("serve.py", "jobs.worker", "bin/postgres", "valkey-server")
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


def test_what_make_run_starts_it_keeps_alive_and_takes_along(data: Path) -> None:
    """One test, since a start is dear: two on one directory, and a third that is cut off."""
    first = Running(data, free_port()).until_ready()
    a_second_start_on_the_same_directory_is_refused_at_once(first)
    nobody_else_can_look_into_the_data_directory(data)
    a_flask_command_uses_the_running_servers(first)
    killed_programs_come_back(first)
    nothing_outlives_a_killed_supervisor_and_its_lock_is_no_obstacle(first, data)
    nothing_outlives_a_killed_supervisord(data)


def a_second_start_on_the_same_directory_is_refused_at_once(dataelan: Running) -> None:
    second = subprocess.run(COMMAND, cwd=ROOT, env=dataelan.environ, capture_output=True, text=True, timeout=10)
    assert second.returncode != 0
    assert f"http://127.0.0.1:{dataelan.port} (process {dataelan.process.pid})" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert dataelan.answers()


def nobody_else_can_look_into_the_data_directory(data: Path) -> None:
    assert data.stat().st_mode & 0o067 == 0  # root lets the servers' own group pass, not look
    assert all((data / name).stat().st_mode & 0o777 == 0o600 for name in ("secret-key", "encryption-keys"))


def a_flask_command_uses_the_running_servers(dataelan: Running) -> None:
    command = (*COMMAND, "flask", "db", "current")
    done = subprocess.run(command, cwd=ROOT, env=dataelan.environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


def killed_programs_come_back(dataelan: Running) -> None:
    before = {program: {process.pid for process in dataelan.of(program)} for program in PROGRAMS}
    assert all(before.values())
    for program in PROGRAMS:
        dataelan.of(program)[0].kill()
    wait_for(lambda: all(is_new(dataelan, program, before[program]) for program in PROGRAMS), 30)
    wait_for(dataelan.answers, 30)


def is_new(dataelan: Running, program: str, before: set[int]) -> bool:
    running = {process.pid for process in dataelan.of(program)}
    return bool(running) and before.isdisjoint(running)


def nothing_outlives_a_killed_supervisor_and_its_lock_is_no_obstacle(first: Running, data: Path) -> None:
    family = first.until_ready().family
    first.process.kill()
    first.process.wait()
    second = Running(data, first.port).until_ready()  # waits for what the first left to end
    assert not any(alive(process) for process in family)
    sigterm_stops_everything_in_order(second, data)


def sigterm_stops_everything_in_order(dataelan: Running, data: Path) -> None:
    log = data / "log/supervisor.log"
    said = len(log.read_text())
    dataelan.process.terminate()
    assert dataelan.process.wait(30) == 0
    assert dataelan.nothing_left()
    stopped = [line.split()[4] for line in log.read_text()[said:].splitlines() if " stopped: " in line]
    assert set(stopped[:2]) == {"web", "worker"}, "both may have answers to end, so they are asked at once"
    assert stopped[2:] == ["simulated", "valkey", "postgres"]


def nothing_outlives_a_killed_supervisord(data: Path) -> None:
    third = Running(data, free_port())
    wait_for(lambda: bool(third.of("bin/postgres") and third.of("valkey-server")), 30)
    third.family = psutil.Process(third.process.pid).children(recursive=True)
    for supervisord in third.of("supervisor.supervisord"):
        supervisord.kill()
    assert third.process.wait(20) == 1
    wait_for(third.nothing_left, 10)


def test_the_first_ctrl_c_waits_for_answers_and_says_so_and_the_second_ends_them(data: Path) -> None:
    dataelan = Running(data, free_port()).until_ready()
    with streaming(dataelan) as lines:
        assert any('"content"' in next(lines) for _ in range(20))
        dataelan.process.send_signal(signal.SIGINT)
        wait_for(lambda: "Waiting for one answer to end. Again (Ctrl-C)" in dataelan.log.read_text(), 10)
        heard = [next(lines) for _ in range(10)]
        assert any('"content"' in line for line in heard), "it goes on"
        assert dataelan.process.poll() is None
        time.sleep(1.2)  # sooner it would be the same wish
        dataelan.process.send_signal(signal.SIGINT)
        assert any("stopped before the answer was whole" in line for line in lines)
    assert dataelan.process.wait(20) == 0
    assert "Ending them now" in dataelan.log.read_text()
    wait_for(dataelan.nothing_left, 10)
    command = (*COMMAND, "flask", "shell")
    asked = """
from dataelan_web.models import Execution
run = app.extensions["sqlalchemy"].session.query(Execution).one()
print(run.state, len(run.body.text) > 9)
"""
    done = subprocess.run(
        command, cwd=ROOT, env=dataelan.environ, input=asked, capture_output=True, text=True, timeout=60
    )
    assert "interrupted True" in done.stdout, done.stdout + done.stderr


@contextmanager
def streaming(dataelan: Running) -> Iterator[Iterator[str]]:
    """The lines of an answer that takes minutes."""
    port = (Path(dataelan.environ["DATAELAN_DATA_DIR"]) / "simulated.port").read_text().strip()
    offer = f"--provider-kind openai --provider-url http://127.0.0.1:{port}/v1 --provider-key= --model simulated-fast"
    words = f"flask bootstrap --email a@example.com --password long-enough-words --org A --project B {offer}"
    made = subprocess.run((*COMMAND, *words.split()), cwd=ROOT, env=dataelan.environ, capture_output=True, text=True)
    assert not made.returncode, made.stderr
    prompt = "!simulate tokens=3000 rate=10 reasoning=0\nA story"
    body = {"model": "default", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    headers = {"Authorization": f"Bearer {json.loads(made.stdout)['token']}"}
    url = f"http://127.0.0.1:{dataelan.port}/v1/chat/completions"
    with httpx2.stream("POST", url, json=body, headers=headers, timeout=30, trust_env=False) as answer:
        yield answer.iter_lines()
