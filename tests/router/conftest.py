"""What tests over a real wire have in common: the clients, and a provider on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dataelan_web.router import wire
from dataelan_web.router.wire import Clients

from .test_run import Provider, whole


@pytest.fixture
def http() -> Iterator[Clients]:
    with wire.clients() as http:
        yield http


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    made.answers(whole)
    yield made
    made.close()
