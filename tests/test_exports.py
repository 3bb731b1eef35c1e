"""Sessions and runs that leave as files: whole, exact, safe to save, and as code that asks the same again."""

from __future__ import annotations

import ast
import io
import json
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.formparser import parse_form_data
from werkzeug.test import EnvironBuilder

from dataelan_web.executions import prompts
from dataelan_web.executions.prompts import from_json, to_json
from dataelan_web.extensions import db
from dataelan_web.gateway.json_body import body_of, checked
from dataelan_web.gateway.openai import transcriptions
from dataelan_web.gateway.openai.chat_request import ChatRequest
from dataelan_web.gateway.openai.images import ImagesRequest
from dataelan_web.gateway.openai.speech import SpeechRequest
from dataelan_web.models import Execution, State, new_id
from dataelan_web.playground import forking
from dataelan_web.router.types import (
    FilePart,
    ImagePart,
    Message,
    Prompt,
    Task,
    TextPart,
    Tool,
    ToolResult,
    ToolUse,
    user,
)
from dataelan_web.sharing import gateway_call, session_document, snippets
from dataelan_web.sharing.gateway_call import Call

from . import people

URL = "https://dataelan.example/v1/chat/completions"


def exported(app: Flask, cast: people.Cast, path: str) -> Any:
    answer = people.browser(app, cast.victor).get(f"{cast.home}{path}")
    assert answer.status_code == 200
    return answer


# -- JSON ------------------------------------------------------------------------------------------


def test_json_has_every_run_with_exact_cost_and_each_message_once(app: Flask, acme: people.Cast) -> None:
    model = people.simulated_model()
    first = people.ended(acme, "One", "Answer one", cost=123, tokens_input=3, tokens_output=5, requested="auto")
    first.model, first.provider = model, model.provider
    conversation = Prompt(
        messages=(user("One"), Message("assistant", (TextPart("Answer one"),)), user("Two")),
        temperature=0.25,
        stop=("END",),
    )
    second = people.ended(acme, "Two", "Answer two", cost=None)
    second.body.request = to_json(conversation)
    again = people.ended(acme, "Two", "Another answer two", cost=10_000_000_000, state=State.COMPLETED)
    again.prompt = second.prompt
    gone = people.ended(acme, "Deleted", "Deleted")
    gone.discard(acme.mia.id)
    db.session.commit()

    found = json.loads(exported(app, acme, f"/sessions/{acme.session.id}/export/json").data)
    assert (found["format"], found["version"]) == ("dataelan.session", 1)
    assert found["session"]["title"] == "Acme session"
    assert [run["cost_usd"] for run in found["runs"]] == ["0.000000123", None, "10"]
    assert found["runs"][0]["model"] == {"provider": "simulated", "name": "simulated-instant"}
    assert found["runs"][0]["tokens"]["output"] == 5
    assert found["runs"][0]["prompt"]["author"] == "Mia"
    assert found["runs"][1]["parameters"]["temperature"] == 0.25
    assert found["runs"][1]["prompt"]["id"] == found["runs"][2]["prompt"]["id"], "branches of one prompt"
    assert [run["messages"] for run in found["runs"]] == [[0], [0, 1, 2], [2]]
    assert len(found["messages"]) == 3
    assert "Deleted" not in str(found)


def test_the_branch_that_is_shown_is_exported_or_the_whole_tree(app: Flask, acme: people.Cast) -> None:
    start = people.ended(acme, "Start", "Begun")
    first = people.ended(acme, "One way", "Eagle", continues_id=start.id)
    other = people.ended(acme, "Another way", "Falcon", continues_id=start.id)
    path = f"/sessions/{acme.session.id}/export"

    def ids(query: str) -> list[str]:
        return [run["id"] for run in json.loads(exported(app, acme, f"{path}/json{query}").data)["runs"]]

    assert ids("") == [str(start.id), str(other.id)]
    assert ids(f"?run={first.id}") == [str(start.id), str(first.id)]
    tree = json.loads(exported(app, acme, f"{path}/json?branches=all").data)["runs"]
    assert [run["continues"] for run in tree] == [None, str(start.id), str(start.id)]
    shown = exported(app, acme, f"{path}/md").get_data(as_text=True)
    assert "Falcon" in shown
    assert "Eagle" not in shown
    assert "Eagle" in exported(app, acme, f"{path}/md?branches=all").get_data(as_text=True)


def test_a_fork_is_exported_with_what_it_began_with(app: Flask, acme: people.Cast) -> None:
    people.ended(acme, "One", "Answer one")
    with app.test_request_context():
        g.organization = acme.organization
        fork = forking.fork(acme.session, None, acme.mia.id)
    found = json.loads(exported(app, acme, f"/sessions/{fork.id}/export/json").data)
    assert found["session"]["forked_from"] == {"id": str(acme.session.id), "title": "Acme session"}
    (copy,) = found["runs"]
    assert copy["is_copy"]
    assert copy["answer"]["text"] == "Answer one"
    assert "Answer one" in exported(app, acme, f"/sessions/{fork.id}/export/md").get_data(as_text=True)


def test_what_the_document_says_of_itself_is_what_is_written_down(acme: people.Cast) -> None:
    run = people.ended(acme, "One", "Answer")
    found = session_document.document(acme.session, [run])
    said = (Path(__file__).parent.parent / "docs" / "session-export.md").read_text()
    for name in (*found, *found["session"], *found["runs"][0], *found["runs"][0]["answer"], *found["runs"][0]["times"]):
        assert f"`{name}`" in said, f"docs/session-export.md says nothing of {name}"
    full = Prompt((), media={"a": 1}, task=Task.SPEECH, options={"a": 1}, **dict.fromkeys(prompts._PLAIN, 1))
    for name in (*prompts.to_json(full), *prompts.PARTS):
        assert f"`{name}`" in said, f"docs/session-export.md says nothing of {name}"


# -- Markdown, and files in general ----------------------------------------------------------------


def test_markdown_quotes_what_was_asked_and_keeps_what_was_answered(app: Flask, acme: people.Cast) -> None:
    people.ended(acme, "Line one\nLine two", "# An answer\n\n| a | b |\n|---|---|", cost=1_500_000)
    found = exported(app, acme, f"/sessions/{acme.session.id}/export/md").get_data(as_text=True)
    assert found.startswith("# Acme session\n\n## Mia, ")
    assert "> Line one\n> Line two" in found
    assert "# An answer\n\n| a | b |" in found
    assert "$0.0015" in found


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd", "filename=etc-passwd.md"),
        ('a"; filename="evil.html', 'filename="a-; filename=-evil.html.md"'),
        ("line\r\nSet-Cookie: a=b", 'filename="line Set-Cookie- a=b.md"'),
        ("Ærø", "filename*=UTF-8''%C3%86r%C3%B8.md"),
        ("...", "filename=session.md"),
    ],
)
def test_a_file_is_saved_under_a_harmless_name_and_never_shown(
    app: Flask, acme: people.Cast, title: str, name: str
) -> None:
    acme.session.title = title
    db.session.commit()
    answer = exported(app, acme, f"/sessions/{acme.session.id}/export/md")
    said = answer.headers["Content-Disposition"]
    assert said.startswith("attachment; ")
    assert name in said
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie: a=b" not in str(answer.headers).replace(said, "")


def test_an_answer_is_on_its_card_once_and_copied_as_it_was_written(app: Flask, acme: people.Cast) -> None:
    written = "# Heading\r\n\n<b>&amp;</b> *as typed*"
    run = people.ended(acme, "Hi", written)
    answer = exported(app, acme, f"/executions/{run.id}/export/txt")
    assert answer.get_data(as_text=True) == written
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    card = exported(app, acme, f"/sessions/{acme.session.id}").get_data(as_text=True)
    assert f'data-fetched="{acme.home}/executions/{run.id}/export/txt"' in card
    assert card.count("as typed") == 1


# -- code that repeats a run -----------------------------------------------------------------------


def asked(run: Execution, *messages: Message, **settings: Any) -> dict[str, Any]:
    run.body.request = to_json(Prompt(messages=messages, **settings))
    db.session.commit()
    call = gateway_call.repeats(run)
    assert call
    return call.body


def test_the_call_is_one_that_the_gateway_takes_and_asks_the_same(acme: people.Cast) -> None:
    run, model = people.ended(acme, "Hi"), people.simulated_model()
    run.model, run.provider = model, model.provider
    messages = (
        Message("system", (TextPart("Be brief."),)),
        user("The weather?"),
        Message("assistant", (ToolUse("c1", "weather", '{"city": "Oslo"}'),)),
        Message("tool", (ToolResult("c1", "Rain", "weather"),)),
        Message("user", (TextPart("And this?"), ImagePart("image/png", data="aGk="))),
    )
    settings_ = {
        "temperature": 0.5,
        "max_tokens": 50,
        "stop": ("END",),
        "seed": 7,
        "tools": (Tool("weather", "In a city", {"type": "object"}),),
        "tool_choice": "weather",
        "schema": {"type": "object", "properties": {}},
    }
    body = asked(run, *messages, **settings_)
    assert body["model"] == "simulated/simulated-instant"
    again = checked(body_of(json.dumps(body).encode()), ChatRequest).prompt()
    kept = from_json(run.body.request)
    assert [m.role for m in again.messages] == [m.role for m in kept.messages]
    assert [m.text for m in again.messages] == [m.text for m in kept.messages]
    assert again.messages[2] == kept.messages[2]
    assert again.messages[4] == kept.messages[4]
    for name in settings_:
        assert getattr(again, name) == getattr(kept, name), name


def test_files_come_along_as_far_as_the_gateway_takes_them(acme: people.Cast) -> None:
    run = people.ended(acme, "Hi")
    picture = people.asset(acme, b"\x89PNG\r\n", "image/png", "p.png")
    notes = people.asset(acme, b"plain words", "text/plain", "notes.txt")
    report = people.asset(acme, b"%PDF-1.4", "application/pdf", "report.pdf")
    sound = people.asset(acme, b"RIFF....WAVE", "audio/wav", "hello.wav")
    film = people.asset(acme, b"....ftyp", "video/mp4", "film\n$(id).mp4")
    db.session.add_all([picture, notes, report, sound, film])
    files = [FilePart(one.media_type, name=one.name, asset=str(one.id)) for one in (notes, report, sound, film)]
    message = Message("user", (TextPart("Look"), ImagePart("image/png", asset=str(picture.id)), *files))
    body = asked(run, message)
    call = gateway_call.repeats(run)
    assert call
    assert call.left_out == [film.name]
    taken = checked(body_of(json.dumps(body).encode()), ChatRequest).prompt().messages[0].parts
    assert [type(part) for part in taken] == [TextPart, ImagePart, TextPart, FilePart, FilePart]
    assert "plain words" in str(taken[2])
    assert [(part.media_type, b64decode(part.data)) for part in taken[3:] if isinstance(part, FilePart)] == [
        ("application/pdf", b"%PDF-1.4"),
        ("audio/wav", b"RIFF....WAVE"),
    ]
    first = snippets.curl(call, URL).splitlines()[0]
    assert first.startswith("# Left out")
    assert first.endswith('"film\\n$(id).mp4"')
    assert shelled(call) == body


def test_pictures_and_speech_are_asked_for_as_their_calls_take_it(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "A harbour")
    drawn = {"count": 2, "size": "1024x1024", "quality": "high", "format": "webp"}
    body = asked(run, user("A harbour"), task=Task.IMAGE, media={**drawn, "aspect_ratio": "16:9"})
    assert checked(body, ImagesRequest).media == drawn
    assert body["prompt"] == "A harbour"
    page = exported(app, acme, f"/executions/{run.id}/code").get_data(as_text=True)
    assert "/v1/images/generations" in page
    assert "the shape 16:9" in page, "what it cannot hold is told"

    said = {"voice": "alloy", "format": "wav", "speed": 1.5, "instructions": "Slowly"}
    body = asked(run, user("Hello"), task=Task.SPEECH, media=said)
    assert checked(body, SpeechRequest).media == said
    assert body["input"] == "Hello"
    program = exported(app, acme, f"/executions/{run.id}/export/py").get_data(as_text=True)
    assert "/v1/audio/speech" in program
    assert "open('speech.wav', \"wb\")" in program
    call = gateway_call.repeats(run)
    assert call
    assert shelled(call) == body
    assert literal(program) == body


def transcript(acme: people.Cast, words: str, file: str = "a meeting; type=x.mp3") -> Call:
    run = people.ended(acme, words)
    message = Message("user", (TextPart(words), FilePart("audio/mpeg", name=file, asset=str(new_id()))))
    media = {"language": "de", "timestamps": True, "diarize": True}
    asked(run, message, task=Task.TRANSCRIPTION, media=media)
    call = gateway_call.repeats(run)
    assert call
    return call


@pytest.mark.parametrize("words", ["Dataelan, Żółć", "$(touch /tmp/x) `id` \\ ' \" ; @file <file %s \\n\na\t€"])
def test_a_transcript_is_asked_for_with_a_form_whatever_is_in_it(
    acme: people.Cast, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = transcript(acme, words)
    shell = snippets.curl(call, URL)
    assert shell.isascii()
    told = ran(shell).stdout.splitlines()
    fields = "\n".join(told[told.index("--form-string") :])
    expected = ["model=auto", "response_format=diarized_json", "language=de", f"prompt={words}"]
    expected += ["timestamp_granularities[]=segment"]
    assert fields == "".join(f"--form-string\n{field}\n" for field in expected) + "-F\nfile=@recording"
    (tmp_path / "recording").write_bytes(b"ID3sound")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATAELAN_TOKEN", "t0k")
    sent: list[Any] = []

    def opened(request: Any) -> Any:
        sent.append(request)
        return io.BytesIO(b'{"text": "Hallo"}')

    monkeypatch.setattr("urllib.request.urlopen", opened)
    exec(compile(snippets.python(call, URL), "program", "exec"), {})
    (request,) = sent
    kind = request.get_header("Content-type")
    builder = EnvironBuilder(method="POST", input_stream=io.BytesIO(request.data), content_type=kind)
    _, form, files = parse_form_data(builder.get_environ())
    media = transcriptions.read(form, files).prompt
    assert media.media == {"language": "de", "timestamps": True, "diarize": True}
    assert media.words == words
    assert b64decode(media.files[0].data) == b"ID3sound"


@pytest.mark.parametrize(
    ("kind", "model", "place", "header"),
    [
        ("google", "veo-x", "/models/veo-x:predictLongRunning", "x-goog-api-key: k3y"),
        ("replicate", "studio/films", "/models/studio/films/predictions", "Authorization: Bearer k3y"),
        ("fal", "studio/films", "/studio/films", "Authorization: Key k3y"),
    ],
)
def test_a_film_is_asked_for_at_its_provider_since_the_gateway_has_no_call_for_it(
    app: Flask, acme: people.Cast, kind: str, model: str, place: str, header: str
) -> None:
    key = people.own_provider(acme, "https://films.example/v1", kind, "a secret of Acme's")
    films = people.own_model(acme, key, model)
    run = people.ended(acme, "A harbour")
    run.model_id, run.provider_id = films.id, films.provider_id
    words = user("$(touch /tmp/x) A 'harbour'")
    run.body.request = to_json(Prompt(messages=(words,), task=Task.VIDEO, media={"seconds": 8}))
    db.session.commit()
    page = exported(app, acme, f"/executions/{run.id}/code").get_data(as_text=True)
    assert "asked of Own itself" in page
    shell = exported(app, acme, f"/executions/{run.id}/export/sh").get_data(as_text=True)
    told = ran(shell, "cat >&2")
    assert told.stdout.splitlines()[1].endswith(place)
    assert header in told.stdout.splitlines()
    program = exported(app, acme, f"/executions/{run.id}/export/py").get_data(as_text=True)
    assert literal(program) == json.loads(told.stderr)
    assert "$(touch /tmp/x) A 'harbour'" in str(literal(program))
    assert "a secret of" not in page + shell + program
    compile(program, "program", "exec")

    gone = Message("user", (*words.parts, ImagePart("image/png", asset=str(new_id()))))
    run.body.request = to_json(Prompt(messages=(gone,), task=Task.VIDEO, media={"seconds": 8}))
    db.session.commit()
    page = exported(app, acme, f"/executions/{run.id}/code").get_data(as_text=True)
    assert "too large for a program’s text: a picture to work from." in page
    without = exported(app, acme, f"/executions/{run.id}/export/py").get_data(as_text=True)
    assert literal(without) == literal(program)


def test_code_of_a_film_is_for_those_who_may_see_providers(app: Flask, acme: people.Cast) -> None:
    run = people.ended(acme, "A harbour")
    run.body.request = {**run.body.request, "task": "video"}
    db.session.commit()
    victor = people.browser(app, acme.victor)
    assert victor.get(f"{acme.home}/executions/{run.id}/export/py").status_code == 404
    assert "cannot be told here" in victor.get(f"{acme.home}/executions/{run.id}/code").get_data(as_text=True)
    films = people.own_model(acme, people.own_provider(acme, "https://films.example/v1", "fal"), "studio/films")
    run.model_id, run.provider_id = films.id, films.provider_id
    db.session.commit()
    assert victor.get(f"{acme.home}/executions/{run.id}/export/py").status_code == 200
    assert people.browser(app, acme.gina).get(f"{acme.home}/executions/{run.id}/export/py").status_code == 404


def test_code_names_the_token_and_holds_none(app: Flask, acme: people.Cast) -> None:
    secret = acme.token()
    run = people.ended(acme, "Hello <b>", "Hi")
    page = exported(app, acme, f"/executions/{run.id}/code").get_data(as_text=True)
    assert "$DATAELAN_TOKEN" in page
    assert secret not in page
    assert "Hello <b>" not in page, "escaped"
    for form in ("sh", "py", "md", "json"):
        assert exported(app, acme, f"/executions/{run.id}/export/{form}").data


def shelled(call: Call) -> dict[str, Any]:
    """What a shell that runs the command hands to curl, as the body."""
    told = ran(snippets.curl(call, URL), "cat >&2")
    assert told.stdout.splitlines()[1] == URL
    assert "Authorization: Bearer t0k" in told.stdout.splitlines()
    body: dict[str, Any] = json.loads(told.stderr)
    return body


def ran(command: str, then: str = ":") -> subprocess.CompletedProcess[str]:
    """By a shell in which curl says what it was called with."""
    script = f'curl() {{ printf "%s\\n" "$@"; {then}; }}\n{command}'
    bash, environment = shutil.which("bash") or "bash", {"DATAELAN_TOKEN": "t0k", "PROVIDER_KEY": "k3y"}
    return subprocess.run([bash, "--norc"], input=script, capture_output=True, text=True, env=environment, check=True)


def literal(program: str) -> dict[str, Any]:
    """The body that the program has written down."""
    for node in ast.parse(program).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "body":
            found: dict[str, Any] = ast.literal_eval(node.value)
            return found
    raise AssertionError("no body")


NASTY: Sequence[str] = (
    "$(touch /tmp/x) `id` \\ ' \" ; & | \n DATAELAN_REQUEST\nDATAELAN_REQUEST",
    "'''\"\"\"\\\n{TOKEN}{0} %s",
    "\ud800 \x00 \u2028 \r\n\t é 漢字 🙂",
    "!history $HOME ~ * ? [a] # comment",
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.sampled_from(NASTY), st.text()), st.lists(st.text(max_size=20), max_size=2), st.text(max_size=30))
def test_code_is_correct_whatever_the_prompt_holds(text: str, stop: list[str], name: str) -> None:
    call = Call({"model": name, "messages": [{"role": "user", "content": text}], "stop": stop}, [name] if name else [])
    assert literal(snippets.python(call, URL)) == call.body
    assert snippets.curl(call, URL).isascii()
    assert shelled(call) == call.body
