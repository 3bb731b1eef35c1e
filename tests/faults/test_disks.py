"""F10: no room for files, and none for the logs. (That of the database is filled by the fault “disk full”.)"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from random import Random
from threading import Event

import pytest

from dataelan_web.extensions import db
from dataelan_web.models import NANO, Model, ModelType, Price, Provider

from .client import Client, Manners
from .load import RUN, Load, body, form
from .people import Home, settle_in
from .stack import NoDisk, Stack, is_open, running, until
from .verdict import _write_down, broken, prepare

pytestmark = [pytest.mark.slow, pytest.mark.kills, pytest.mark.xdist_group("faults")]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200_000)
ASKED = {"prompt": "A red fox in the snow", "n": 1}


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4_096)):
                pass
        except OSError:
            pass
    return ballast


def painter(stack: Stack, home: Home) -> str:
    """A model that makes pictures, at a price."""
    with stack.app().app_context():
        provider = db.session.query(Provider).filter_by(slug=f"{home.slug}-main").one()
        model = Model(provider_id=provider.id, organization_id=home.organization_id, name="simulated-image")
        model.display_name, model.model_type, model.task = "Painter", ModelType.IMAGE, "image"
        model.prices = [Price(source="test", input=0, output=0, per_image=NANO // 100)]
        db.session.add(model)
        db.session.commit()
        return f"{provider.slug}/simulated-image"


def sent_along(client: Client, load: Load) -> tuple[int, str]:
    """A prompt with a picture, by the form."""
    home, asked = client.home, form(load.mark(), Random(1), client.home.model("simulated-instant"))
    path = f"{home.url}/sessions/{load.new_session(client)}/executions"
    data = {"csrf_token": home.csrf, **asked}
    files = {"files": ("picture.png", PNG, "image/png")}
    url = f"http://127.0.0.1:{client.stack.webs[0].port}{path}"
    answer = client.http.post(url, data=data, files=files, headers=home.headers)
    client.manners.note(path, answer.status_code, answer.text)
    return answer.status_code, answer.text


def painted(client: Client, model: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {client.home.token}", "Idempotency-Key": uuid.uuid4().hex}
    url = f"http://127.0.0.1:{client.stack.webs[0].port}/v1/images/generations"
    answer = client.http.post(url, json=ASKED | {"model": model}, headers=headers)
    client.manners.note("image", answer.status_code, answer.text)
    return answer.status_code, answer.text


def test_where_no_file_fits_any_more_words_say_so_what_was_paid_is_charged_and_the_rest_goes_on() -> None:
    try:
        with running(1, 1, disks={"assets": "2m"}) as stack:
            prepare(stack)
            home, _ = settle_in(stack, stack.app())
            model = painter(stack, home)
            client = Client(stack, home, Manners(), Event())
            load = Load([client], 1)
            ballast = fill(stack.data / "assets")

            status, words = sent_along(client, load)
            assert (status, "could not be kept" in words) == (503, True), words[:500]
            assert stack.ask("SELECT count(*) FROM assets")[0][0] == 0
            assert stack.ask("SELECT count(*) FROM executions")[0][0] == 0, "nothing is asked without its file"
            status, words = painted(client, model)
            assert (status >= 400, "could not be kept" in words) == (True, True), (status, words[:500])
            run = stack.ask("SELECT state, cost FROM executions")[0]
            assert run.state in ("failed", "interrupted")
            assert run.cost == NANO // 100, "the picture was made, and is billed"
            asked = client.complete(body(load.mark(), Random(1), home.model("simulated-instant")), uuid.uuid4().hex)
            assert asked.status == 200, "who keeps no file is not stopped"

            ballast.unlink()
            status, words = sent_along(client, load)
            assert (status, bool(RUN.search(words))) == (201, True), words[:500]
            assert painted(client, model)[0] == 200
            until(lambda: not stack.ask("SELECT 1 FROM executions WHERE state IN ('queued', 'running')"), 60, "an end")
            _write_down(stack, Load([client], 2), [])
            assert {name: rows for name, rows in broken(stack).items() if "nobody asked for" not in name} == {}
            assert client.manners.rude == []
    except NoDisk as reason:
        pytest.skip(f"no disk of its own could be made: {reason}")


def test_where_no_line_of_a_log_fits_any_more_all_goes_on() -> None:
    try:
        with running(1, 1, disks={"log": "1m"}, settings={"DATAELAN_LOG_LEVEL": "DEBUG"}) as stack:
            prepare(stack)
            home, _ = settle_in(stack, stack.app())
            client = Client(stack, home, Manners(), Event())
            load = Load([client], 1)
            fill(stack.data / "log")
            starts = {name: runner.starts for name, runner in stack.runners.items()}
            for _ in range(5):
                path = f"{home.url}/sessions/{load.new_session(client)}/executions"
                asked = form(load.mark(), Random(1), home.model("simulated-instant"), "tokens=5")
                assert RUN.search(client.submit(path, asked).text)
            done = "SELECT count(*) FROM executions WHERE state = 'completed'"
            until(lambda: stack.ask(done)[0][0] == 5, 60, "the answers")
            asked = client.complete(body(load.mark(), Random(1), home.model("simulated-instant")), uuid.uuid4().hex)
            assert asked.status == 200
            refused = client.get(f"{home.url}/sessions/{uuid.uuid4()}")
            assert (refused.status, re.search("Traceback", refused.text)) == (404, None)
            assert is_open(stack.webs[0].port)
            assert {name: runner.starts for name, runner in stack.runners.items()} == starts, "none of them ended"
            assert client.manners.rude == []
            assert not client.manners.broken
    except NoDisk as reason:
        pytest.skip(f"no disk of its own could be made: {reason}")
