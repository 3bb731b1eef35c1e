"""Data directories for tests that start real servers, and those tests in their place: last."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """Not pytest's tmp_path: for root, the servers' own account must pass through the directories above."""
    with tempfile.TemporaryDirectory(prefix="dataelan-") as path:
        yield Path(path)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that start a whole Dataelan run last: a broken unit shows itself sooner elsewhere."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
