"""The official clients of three APIs against the gateway, where a Python has them: `DATAELAN_CLIENTS=…/bin/python`,
with `pip install openai anthropic google-genai langchain-openai langchain-anthropic langchain-google-genai`."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from . import people
from .upstream import RECORDINGS, Reply, upstream

PYTHON = os.environ.get("DATAELAN_CLIENTS") or sys.executable
HERE = Path(__file__).parent / "clients"
NOT_INSTALLED = 3
MISSING = "{} is not installed for the Python of DATAELAN_CLIENTS ({})"


@pytest.mark.parametrize("client", ["openai", "anthropic", "google-genai", "langchain"])
def test_an_official_client_does_all_that_it_can_through_us(server: str, acme: people.Cast, client: str) -> None:
    command = [PYTHON, str(HERE / "doing.py"), server, acme.token(), client]
    made = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    if made.returncode == NOT_INSTALLED:
        pytest.skip(MISSING.format(made.stdout.strip(), PYTHON))
    assert made.returncode == 0, made.stdout + made.stderr


# -- the same as directly ----------------------------------------------------------------------------

Said = dict[str, Any]
FORMS = {  # form → (whose recordings, of which providers, our kind, its base URL after the host)
    "chat": ("openai-chat", ("openai",), "openai", "/v1"),
    "responses": ("openai-responses", ("openai",), "openai-responses", "/v1"),
    "messages": ("anthropic-messages", ("anthropic",), "anthropic", "/v1"),
    "generate": ("gemini-generate", ("gemini", "vertexai"), "google", "/v1beta"),
}


OTHERWISE = {
    "openai.openai-chat.tools.5885f4d90d": "its calls of tools end with `tool_calls`, also where one was demanded",
    "openai.openai-chat.tools.02ce4e9924": "custom tools cannot be asked for; their calls come as those of functions",
    "openai.openai-chat.tools.8a32dbb9d3": "`functions`, as `tools` were before, cannot be asked for",
    "openai.openai-responses.error.501de15e94": "it failed before a first word, which has a status",
    "gemini.gemini-generate.structured.b965c4994b": "tools that Google runs itself cannot be asked for",
    "vertexai.gemini-generate.stream.30368d97b8": "it broke off before its end, which Google's client does not see",
}
"""What is told in another way on purpose."""
UNASKED = ("empty-or-job", "audio-out")
"""Jobs in the background, and a chat that is answered in sound, cannot be asked for."""
OUR_KEY = {401: 502, 403: 502}
"""That a provider does not take our key is no fault of the program."""


@contextmanager
def client_of(form: str) -> Iterator[Callable[[Said], Said]]:
    command = [PYTHON, str(HERE / "recorded.py"), form]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin
        assert program.stdout
        first = program.stdout.readline().strip()
        if first != "ready":
            pytest.skip(MISSING.format(first, PYTHON))

        def ask(asked: Said) -> Said:
            print(json.dumps(asked), file=program.stdin, flush=True)
            found: Said = json.loads(program.stdout.readline())
            return found

        yield ask
        program.stdin.close()


def recordings(api: str, providers: tuple[str, ...]) -> Iterator[tuple[Said, Reply]]:
    for row in json.loads((RECORDINGS / "index.json").read_text()):
        if row["api"] != api or row["provider"] not in providers:
            continue
        answer = json.loads((RECORDINGS / "corpus" / f"{row['id']}.json").read_text())["response"]
        if (row["stream"] and answer["framing"] != "sse") or row["modality"] in UNASKED:
            continue
        text = answer["body"]
        body = base64.b64decode(text) if answer["body_encoding"] == "base64" else text.encode()
        media_type = "text/event-stream" if row["stream"] else "application/json"
        yield row, Reply(body, answer["status"], media_type)


@pytest.mark.sweep
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recorded traffic at {RECORDINGS}")
@pytest.mark.parametrize("form", FORMS)
def test_an_official_client_is_told_the_same_by_us_as_by_its_provider(
    server: str, acme: people.Cast, form: str
) -> None:
    api, providers, kind, prefix = FORMS[form]
    differ: dict[str, Any] = {}
    tried = 0
    with upstream() as provider, client_of(form) as ask:
        host, token = provider.url.removesuffix("/v1"), acme.token()
        for number, (row, provider.reply) in enumerate(recordings(api, providers)):
            model = f"theirs-{number}"
            people.own_model(acme, people.own_provider(acme, f"{host}{prefix}", kind), model)
            asked = {"model": model, "stream": row["stream"]}
            direct = ask({**asked, "url": host, "key": "key"})
            ours = ask({**asked, "url": server, "key": token})
            tried += 1
            if found := differing(direct, ours):
                differ[row["id"]] = found
    assert tried >= 60
    expected = {id for id in OTHERWISE if id.startswith(tuple(f"{name}.{api}." for name in providers))}
    assert {id: told for id, told in differ.items() if id not in expected} == {}
    assert expected <= differ.keys(), "nothing is told in another way that need not be"


def differing(direct: Said, ours: Said) -> Said:
    if "raised" in direct and direct["status"] in OUR_KEY:
        return {} if ours["status"] == OUR_KEY[direct["status"]] else {"status": (direct, ours)}
    names = [name for name in {**direct, **ours} if direct.get(name) != ours.get(name)]
    if not is_counted(direct):
        names = [name for name in names if name != "usage"]
    return {name: (direct.get(name), ours.get(name)) for name in names}


def is_counted(direct: Said) -> bool:
    """Where a provider tells no usage, or half of it, we guess the rest; what its own tools read is of the prompt."""
    match direct.get("usage"):
        case [0, *_] | [_, 0, *_] | None:
            return False
        case [prompt, output, total, _, thought]:
            return bool(total in (prompt + output, prompt + output + thought))
    return True
