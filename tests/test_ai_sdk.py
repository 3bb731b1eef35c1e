"""The Vercel AI SDK against the gateway, in each form that it speaks (ai_sdk.mjs): where node and it are there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from . import people

SCRIPT = Path(__file__).with_name("ai_sdk.mjs")
NOT_INSTALLED = 3


@pytest.mark.parametrize("form", ["responses", "chat", "compatible", "anthropic", "google"])
def test_the_vercel_ai_sdk_does_all_that_it_can_through_us(server: str, acme: people.Cast, form: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node here")
    command = [node, str(SCRIPT), server, acme.token(), form]
    made = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if made.returncode == NOT_INSTALLED:
        pytest.skip(f"{made.stdout.strip()} is not in a node_modules of NODE_PATH")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout) == {}
