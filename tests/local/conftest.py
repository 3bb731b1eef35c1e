"""Real servers and their data directories, and the tests that start a whole Dataelan in their place."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A client of the simulated provider, which runs for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--workers", "1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--workers-kill-timeout", "1", "dataelan_web.local.simulated:app"], cwd=Path(__file__).parents[2]
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
            _wait_for(client)
            yield client
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(client: httpx.Client) -> None:
    for _ in range(200):
        try:
            client.get("/v1/models")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the simulated provider did not start")


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """Not pytest's tmp_path: for root, the servers' own account must pass through the directories above."""
    with tempfile.TemporaryDirectory(prefix="dataelan-") as path:
        yield Path(path)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that start a whole Dataelan run last: a broken unit shows itself sooner elsewhere. Where several processes
    share the work they run first, for nobody to wait for the longest at the end."""
    is_shared = "PYTEST_XDIST_WORKER" in os.environ
    items.sort(key=lambda item: (item.get_closest_marker("slow") is not None) != is_shared)
