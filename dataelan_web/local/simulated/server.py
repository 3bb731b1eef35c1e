"""The ASGI application: reads a request, has its reply composed, and plays it to the clock."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from typing import Any
from urllib.parse import parse_qs

from dataelan_web.local.simulated import failures, films, pictures, sounds, vectors, wire
from dataelan_web.local.simulated import request as requests
from dataelan_web.local.simulated import script as scripts
from dataelan_web.local.simulated.answers import answer
from dataelan_web.local.simulated.making import Reader
from dataelan_web.local.simulated.script import Script
from dataelan_web.local.simulated.wire import Ending, Reply, error, json_reply

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LARGEST_BODY = 20 * 1024 * 1024
LOGGED = 10_000
KEYS = 10_000
FLUSH_SECONDS = 0.05
STALL_SECONDS = 600
MAKERS: dict[str, Reader] = {
    "/v1/audio/speech": sounds.speech,
    "/v1/audio/transcriptions": sounds.transcription,
    "/v1/embeddings": vectors.embeddings,
    "/v1/images/generations": pictures.generation,
    "/v1/images/edits": pictures.edit,
}
BORN = 1_767_225_600  # what /v1/models says of every model: 2026-01-01


@dataclass
class Entry:
    """One accepted call, as `/_requests` shows it. No prompt and no key is kept."""

    number: int
    id: str
    model: str
    client_request_id: str
    stream: bool
    failure: str
    running: bool = True
    aborted: bool = False
    at: float = field(default_factory=time.time)


Answered = Callable[[bytes, Message], tuple[Reply, Entry | None]]
log: deque[Entry] = deque(maxlen=LOGGED)
numbers = count(1)
failed: Counter[str] = Counter()


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    if scope["type"] != "http":
        return None
    match scope["method"], scope["path"]:
        case "POST", "/v1/chat/completions":
            await _asked(scope, receive, send, _answered)
        case "POST", path if path in MAKERS:
            await _asked(scope, receive, send, _made)
        case _, path if path.startswith(f"{films.PREFIX}/"):
            await _asked(scope, receive, send, _job)
        case "GET", "/v1/models":
            await _told(_models(scope), receive, send)
        case "GET", "/_requests":
            await _told(_requests(scope), receive, send)
        case _, path:
            await _told(json_reply(error(f"Unknown path: {path[:200]}"), 404), receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = (await receive())["type"].removeprefix("lifespan.")
        await send({"type": f"lifespan.{event}.complete"})
        if event == "shutdown":
            return


# -- the paths -----------------------------------------------------------------------------------


async def _told(reply: Reply, receive: Receive, send: Send) -> None:
    """What needs no body. It is read all the same: even an empty one comes as a message, and is no hanging up."""
    await _body(receive)
    await _play(reply, receive, send)


async def _asked(scope: Message, receive: Receive, send: Send, answered: Answered) -> None:
    body = await _body(receive)
    if body is None:
        await _play(json_reply(error("The body is larger than 20 MB."), 413), receive, send)
    elif _wrong_key(scope):
        await _play(failures.refuse("unauthorized", Script()), receive, send)
    else:
        reply, entry = answered(body, scope)
        whole = await _play(reply, receive, send)
        if entry:
            entry.aborted, entry.running = not whole, False


def _answered(body: bytes, scope: Message) -> tuple[Reply, Entry | None]:
    """The reply to a chat request, and its entry in the log if the request could be read at all."""
    try:
        asked = requests.parse(body)
        script = scripts.for_model(asked.model)
        if script is None:
            return failures.refuse("not_found", Script()), None
        script, prompt = _directed(script, asked.prompt, failures.KINDS)
    except ValueError as reason:
        return json_reply(error(str(reason)), 400), None
    entry = _logged(scope, "chatcmpl-sim", asked.model, asked.stream, script)
    return _composed(asked, prompt, script, entry.id), entry


def _made(body: bytes, scope: Message) -> tuple[Reply, Entry | None]:
    """The same for what is no chat, and comes in one piece."""
    path = scope["path"]
    try:
        asked = MAKERS[path](body, _header(scope, b"content-type"))
        script = scripts.for_model(asked.model, path)
        if script is None:
            return failures.refuse("not_found", Script()), None
        script, words = _directed(script, asked.words, (*failures.REFUSALS, *failures.REPLIES))
    except ValueError as reason:
        return json_reply(error(str(reason)), 400), None
    entry = _logged(scope, "sim-", asked.model, False, script)
    if script.fail in failures.REFUSALS:
        return failures.refuse(script.fail, script), entry
    reply = asked.make(words)
    due = script.end(1)
    reply = replace(reply, frames=[replace(frame, due=due) for frame in reply.frames])
    return failures.REPLIES[script.fail](reply, script) if script.fail else reply, entry


def _job(body: bytes, scope: Message) -> tuple[Reply, Entry | None]:
    """Replicate's form: a job is started, asked after, cancelled, and its file fetched."""
    path = scope["path"].removeprefix(films.PREFIX)
    home, now = f"{scope['scheme']}://{_header(scope, b'host')}{films.PREFIX}", time.time()
    if scope["method"] != "POST" or not path.endswith("/predictions"):
        return films.answered(scope["method"], path, home, now), None
    try:
        order = films.read(path, body)
        if order.model not in films.MAKERS:
            return films.problem(404, "Not found", "The requested resource could not be found."), None
        script, words = _directed(films.MAKERS[order.model], order.words, films.FAILURES)
    except ValueError as reason:
        return films.problem(422, "Input validation failed", str(reason)), None
    entry = _logged(scope, "sim-", order.model, False, script)
    return films.started(order, words, script, home, now), entry


def _directed(script: Script, prompt: str, kinds: Collection[str]) -> tuple[Script, str]:
    """The script as the prompt's directives change it, and the prompt without them. Raises ValueError."""
    script, prompt = scripts.directed(script, prompt)
    if script.fail and script.fail not in kinds:
        raise ValueError(f"fail must be one of {', '.join(kinds)}")
    return _counted(script), prompt


def _logged(scope: Message, prefix: str, model: str, stream: bool, script: Script) -> Entry:
    number = next(numbers)
    caller = _header(scope, b"x-client-request-id")[:200]
    entry = Entry(number, f"{prefix}{number:08x}", model, caller, stream, script.fail)
    log.append(entry)
    return entry


def _counted(script: Script) -> Script:
    """`fail_times`: forget the failure once it has happened often enough under its key."""
    if script.fail_times is None:
        return script
    if failed[script.key] >= script.fail_times:
        return replace(script, fail="")
    if len(failed) > KEYS:
        failed.clear()
    failed[script.key] += 1
    return replace(script, fail=script.fail or "server_error")


def _composed(asked: requests.Request, prompt: str, script: Script, id: str) -> Reply:
    kind = script.fail
    if kind in failures.REFUSALS and (kind != "temperature" or asked.has_temperature):
        return failures.refuse(kind, script)
    words = answer(asked, prompt, script)
    if kind in failures.ANSWERS:
        words = failures.ANSWERS[kind](words, script)
    usage: dict[str, Any] | None = wire.usage_of(asked, words, script)
    if usage and kind in failures.USAGES:
        usage = failures.USAGES[kind](usage)
    form = wire.stream if asked.stream else wire.whole
    reply = form(asked, words, usage, script, id, int(time.time()))
    return failures.REPLIES[kind](reply, script) if kind in failures.REPLIES else reply


def _models(scope: Message) -> Reply:
    if _wrong_key(scope):
        return failures.refuse("unauthorized", Script())
    names = dict.fromkeys([*scripts.MODELS, *(name for models in scripts.MAKERS.values() for name in models)])
    models = [{"id": name, "object": "model", "created": BORN, "owned_by": "simulated"} for name in names]
    return json_reply({"object": "list", "data": models})


def _requests(scope: Message) -> Reply:
    since = parse_qs(scope["query_string"]).get(b"since", [b"0"])[0]
    after = int(since) if since.isdigit() else 0
    entries = [asdict(entry) for entry in log if entry.number > after]
    return json_reply({"requests": entries, "next": log[-1].number if log else 0})


# -- the wire ------------------------------------------------------------------------------------


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None when it is too large. It is read to its end either way, so that an answer is heard."""
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size <= LARGEST_BODY:
            chunks.append(chunk)
    return b"".join(chunks) if size <= LARGEST_BODY else None


async def _play(reply: Reply, receive: Receive, send: Send) -> bool:
    """True if the caller stayed to the end. Returning without the last body event cuts the connection."""
    started = time.monotonic()
    gone = asyncio.ensure_future(receive())  # after the body, the only message left is the disconnect
    try:
        if not reply.silent:
            await _wait(gone, started + (reply.frames[0].due if reply.frames else 0))
            await send(_start(reply))
        frames, place = reply.frames, 0
        while place < len(frames) and not gone.done():
            data, place = _due(reply, place, time.monotonic() - started)
            if data:
                last = place == len(frames) and reply.ending is Ending.WHOLE
                await send({"type": "http.response.body", "body": data, "more_body": not last})
            else:
                await _wait(gone, started + frames[place].due)
        return await _end(reply, gone, send)
    finally:
        gone.cancel()


def _due(reply: Reply, place: int, now: float) -> tuple[bytes, int]:
    """Everything that is due by now, in one piece: a token when in time, more when late or all at once."""
    end = place
    while end < len(reply.frames) and reply.frames[end].due <= now:
        end += 1
    return b"".join(frame.data for frame in reply.frames[place:end]), end


async def _end(reply: Reply, gone: asyncio.Future[Message], send: Send) -> bool:
    if gone.done():
        return False
    if reply.ending is Ending.STALL:
        await asyncio.wait({gone}, timeout=STALL_SECONDS)
        return not gone.done()
    if reply.ending is Ending.CUT:
        await asyncio.wait({gone}, timeout=FLUSH_SECONDS)  # what was sent would be lost with the connection
    if reply.ending is Ending.WHOLE and not reply.frames:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    return True


async def _wait(gone: asyncio.Future[Message], moment: float) -> None:
    """Until the moment, or until the caller hangs up."""
    delay = moment - time.monotonic()
    if delay > 0:
        await asyncio.wait({gone}, timeout=delay)


def _start(reply: Reply) -> Message:
    headers = {"content-type": reply.content_type, "x-simulated": "true", "cache-control": "no-store", **reply.headers}
    if len(reply.frames) == 1 and reply.ending is Ending.WHOLE:
        headers["content-length"] = str(len(reply.frames[0].data))
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": reply.status, "headers": encoded}


def _wrong_key(scope: Message) -> bool:
    return _header(scope, b"authorization").removeprefix("Bearer ").startswith("sk-wrong")


def _header(scope: Message, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
