"""F15: the newest migration under load, with the code from before it still running, and then beside the new code."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataelan_web.local import programs
from dataelan_web.local.programs import ROOT

from .breakage import Broken, _listens
from .client import Client, Manners
from .load import Load
from .people import Home
from .stack import Runner, Stack, migrate, of_tree, running, until
from .verdict import Verdict, judge, prepare

pytestmark = [pytest.mark.slow, pytest.mark.kills, pytest.mark.xdist_group("faults")]

LONG_ENOUGH = 8.0
"""Seconds of load in each state."""
SETTLE_IN = """
import json, os, sys
from types import SimpleNamespace as Of
from dataelan_web import create_app
from dataelan_web.config import load
from tests.faults.people import settle_in
given = json.loads(sys.argv[1])
stack = Of(provider_url=given["provider"], runners={"provider": Of(port=given["port"])}, webs=[Of(port=given["web"])])
home, _ = settle_in(stack, create_app(load(os.environ)))
print(json.dumps({name: getattr(home, name) for name in home.__dataclass_fields__}, default=str))
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The code as it was before the newest migration."""
    newest = _git("log", "-1", "--format=%H", "--diff-filter=A", "--", "migrations/versions").decode().strip()
    if not newest or not _git("rev-parse", "--verify", "--quiet", f"{newest}^"):
        pytest.skip("the code of before is not there: no history of it came along")
    tree = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", f"{newest}^"))) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # which the first releases of 3.11 have not
        archive.extractall(tree)
    yield tree
    shutil.rmtree(tree, ignore_errors=True)


def _git(*words: str) -> bytes:
    if not shutil.which("git"):
        return b""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True).stdout


def settled_in(stack: Stack, tree: Path) -> Home:
    """By the code of before: the models of now may have columns that are not there yet."""
    given = {"provider": stack.provider_url, "port": stack.runners["provider"].port, "web": stack.webs[0].port}
    environ = {**stack.runners["worker-0"].environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, "-c", SETTLE_IN, json.dumps(given)]
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    ids = {name: uuid.UUID(said[name]) for name in ("organization_id", "project_id")}
    return Home(**said | ids)


def replace(stack: Stack, runner: Runner) -> None:
    """The successor first, of the code of now; then the old one is asked to leave, and does in good order."""
    program = programs.web(stack.environ, runner.port) if runner.port else programs.worker(stack.environ)
    runner.program, runner.tree = of_tree(program, ROOT), ROOT
    old = stack.succeed(runner)
    if runner.port:
        until(lambda: _listens(runner), 30, f"{runner.name} to listen")
    else:
        time.sleep(4)
    old.terminate()
    assert old.wait(60) == 0, "it left in good order"


def revision(stack: Stack) -> str:
    return str(stack.ask("SELECT version_num FROM alembic_version")[0][0])


def test_a_migration_under_load_breaks_neither_the_code_of_before_nor_that_beside_it(before: Path) -> None:
    with running(2, 2, tree=before) as stack:
        old = revision(stack)
        prepare(stack)
        home, manners, stopping = settled_in(stack, before), Manners(), threading.Event()
        load = Load([Client(stack, home, manners, stopping)], 1, is_in_a_hurry=True)

        def act() -> None:
            while not stopping.wait(0.25):
                load.ordinary()

        thread = threading.Thread(target=act)
        thread.start()
        try:
            with manners.drain():
                time.sleep(LONG_ENOUGH)
                migrate(stack)
                assert revision(stack) != old
                time.sleep(LONG_ENOUGH)
                replace(stack, stack.workers[0])
                replace(stack, stack.webs[0])
                time.sleep(LONG_ENOUGH)
                replace(stack, stack.workers[1])
                replace(stack, stack.webs[1])
                time.sleep(LONG_ENOUGH)
        finally:
            stopping.set()
            thread.join()
        assert load.settle(120)
        until(lambda: not stack.ask("SELECT 1 FROM executions WHERE state IN ('queued', 'running')"), 60, "all to end")
        time.sleep(1)
        verdict = Verdict()
        judge(stack, load, Broken(stack, stack.app(), (home,), manners, stopping), verdict)
        load.close()
        assert verdict.broken == {}
        assert set(verdict.states) == {"completed"}, verdict.states
        assert verdict.states["completed"] > 60
