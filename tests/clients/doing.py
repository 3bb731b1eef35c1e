"""An official client against a running Dataelan: text, streams, tools, schemas, pictures, errors.

    python tests/clients/doing.py http://127.0.0.1:8000 dlan_… anthropic

It needs nothing of ours, only that client, of `CLIENTS`: where it is not installed, it says so and ends with
NOT_INSTALLED. Every model it asks is a simulated one.
"""

from __future__ import annotations

import base64
import importlib
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

NOT_INSTALLED = 3
MODEL = "simulated-instant"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NUMBER = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
QUESTION = "What is the weather in Rome?"


def openai_client(url: str, token: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    openai = importlib.import_module("openai")
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0)
    asked = {"model": MODEL, "input": "What is a token?"}
    tool = {"type": "function", "name": "get_weather", "parameters": WEATHER}

    def text() -> None:
        answer = client.responses.create(**asked)
        assert "token" in answer.output_text
        assert answer.status == "completed"
        assert answer.usage.total_tokens > 0
        later = client.responses.create(model=MODEL, input="And then?", previous_response_id=answer.id)
        assert later.usage.input_tokens > answer.usage.input_tokens

    def stream() -> None:
        whole = client.responses.create(**asked).output_text
        with client.responses.stream(**asked) as events:
            said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
            final = events.get_final_response()
        assert said == whole == final.output_text

    def thoughts() -> None:
        said = {"model": MODEL, "input": "!simulate reasoning=5\nWhy?"}
        answer = client.responses.create(**said)
        assert answer.output[0].type == "reasoning"
        assert answer.usage.output_tokens_details.reasoning_tokens == 5
        with client.responses.stream(**said) as events:
            kinds = {event.type for event in events}
        assert "response.reasoning_summary_text.done" in kinds

    def tools() -> None:
        asked = [{"role": "user", "content": QUESTION}]
        call = client.responses.create(model=MODEL, input=asked, tools=[tool]).output[-1]
        assert call.type == "function_call"
        assert "city" in json.loads(call.arguments)
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}
        answer = client.responses.create(model=MODEL, input=[*asked, call.model_dump(), result], tools=[tool])
        assert "18 degrees" in answer.output_text
        with client.responses.stream(model=MODEL, input=asked, tools=[tool]) as events:
            streamed = events.get_final_response().output[-1]
        assert json.loads(streamed.arguments) == json.loads(call.arguments)

    def schema() -> None:
        format = {"type": "json_schema", "name": "number", "schema": NUMBER, "strict": True}
        answer = client.responses.create(**asked, text={"format": format})
        assert isinstance(json.loads(answer.output_text)["answer"], int)

    def picture_in() -> None:
        parts = [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": f"data:image/png;base64,{DOT}", "detail": "auto"},
        ]
        assert client.responses.create(model=MODEL, input=[{"role": "user", "content": parts}]).output_text

    def cut_short() -> None:
        answer = client.responses.create(**asked, max_output_tokens=3)
        assert answer.status == "incomplete"
        assert answer.incomplete_details.reason == "max_output_tokens"

    def chat() -> None:
        answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": QUESTION}])
        assert answer.choices[0].message.content

    def vectors() -> None:
        plain = client.embeddings.create(model="simulated-vectors", input=["one", "two"])
        assert [one.index for one in plain.data] == [0, 1]
        floats = client.embeddings.create(model="simulated-vectors", input="one", encoding_format="float")
        assert all(abs(a - b) < 1e-6 for a, b in zip(plain.data[0].embedding, floats.data[0].embedding, strict=True))

    def pictures() -> None:
        made = client.images.generate(model="simulated-image", prompt="A red house", n=1, size="1024x1024")
        assert base64.b64decode(made.data[0].b64_json).startswith(b"\x89PNG")
        events = list(client.images.generate(model="simulated-image", prompt="A red house", stream=True))
        assert events[-1].type == "image_generation.completed"

    def voice() -> None:
        said = {"model": "simulated-voice", "voice": "alloy", "input": "Hello", "response_format": "wav"}
        spoken = client.audio.speech.create(**said)
        assert spoken.content.startswith(b"RIFF")
        with client.audio.speech.with_streaming_response.create(**said) as told:
            assert b"".join(told.iter_bytes()) == spoken.content
        with client.audio.speech.with_streaming_response.create(**said, stream_format="sse") as told:
            assert "speech.audio.done" in [*told.iter_lines()][-2]
        heard = client.audio.transcriptions.create(model="simulated-ear", file=("hello.wav", spoken.content))
        assert heard.text
        pieces = client.audio.transcriptions.create(
            model="simulated-ear", file=("hello.wav", spoken.content), stream=True
        )
        assert list(pieces)[-1].type == "transcript.text.done"

    def models() -> None:
        assert MODEL in {model.id for model in client.models.list()}
        assert client.models.retrieve(MODEL).id == MODEL

    def errors() -> None:
        raises(openai.AuthenticationError, lambda: client.with_options(api_key="dlan_x").responses.create(**asked))
        raises(openai.NotFoundError, lambda: client.responses.create(model="none", input="Hi"))
        raises(openai.BadRequestError, lambda: client.responses.create(**asked, temperature=3))
        raises(
            openai.RateLimitError, lambda: client.responses.create(model=MODEL, input="!simulate fail=rate_limit\nHi")
        )

    yield from named(
        text, stream, thoughts, tools, schema, picture_in, cut_short, chat, vectors, pictures, voice, models, errors
    )


def anthropic_client(url: str, token: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    anthropic = importlib.import_module("anthropic")
    client = anthropic.Anthropic(base_url=url, api_key=token, max_retries=0)
    asked = {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": "What is a token?"}]}
    weather = {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": QUESTION}]}
    tools_ = [{"name": "get_weather", "description": "The weather", "input_schema": WEATHER}]

    def text() -> None:
        answer = client.messages.create(**asked, system="Be brief.")
        assert "token" in answer.content[0].text
        assert answer.stop_reason == "end_turn"
        assert answer.usage.input_tokens > 0

    def stream() -> None:
        whole = client.messages.create(**asked)
        with client.messages.stream(**asked) as events:
            said = "".join(events.text_stream)
            final = events.get_final_message()
        assert said == whole.content[0].text == final.content[0].text
        assert final.usage.output_tokens == whole.usage.output_tokens
        assert final.stop_reason == "end_turn"

    def thoughts() -> None:
        said = {**asked, "messages": [{"role": "user", "content": "!simulate reasoning=5\nWhy?"}]}
        assert client.messages.create(**said).content[0].type == "thinking"
        with client.messages.stream(**said) as events:
            assert [block.type for block in events.get_final_message().content] == ["thinking", "text"]

    def tools() -> None:
        first = client.messages.create(**weather, tools=tools_)
        assert first.stop_reason == "tool_use"
        call = first.content[-1]
        assert "city" in call.input
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees"}
        said = [
            *weather["messages"],
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
            {"role": "user", "content": [result]},
        ]
        second = client.messages.create(**{**weather, "messages": said}, tools=tools_)
        assert "18 degrees" in second.content[0].text
        with client.messages.stream(**weather, tools=tools_) as events:
            assert events.get_final_message().content[-1].input == call.input

    def schema() -> None:
        format = {"type": "json_schema", "schema": NUMBER}
        answer = client.messages.create(**asked, extra_body={"output_config": {"format": format}})
        assert isinstance(json.loads(answer.content[0].text)["answer"], int)

    def picture_in() -> None:
        source = {"type": "base64", "media_type": "image/png", "data": DOT}
        content = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
        assert client.messages.create(**{**asked, "messages": [{"role": "user", "content": content}]}).content

    def cut_short() -> None:
        assert client.messages.create(**{**asked, "max_tokens": 3}).stop_reason == "max_tokens"

    def count() -> None:
        counted = client.messages.count_tokens(model=MODEL, messages=asked["messages"])
        assert counted.input_tokens > 0

    def models() -> None:
        assert MODEL in {model.id for model in client.models.list()}
        assert client.models.retrieve(MODEL).id == MODEL

    def errors() -> None:
        raises(anthropic.AuthenticationError, lambda: client.with_options(api_key="dlan_x").messages.create(**asked))
        raises(anthropic.NotFoundError, lambda: client.messages.create(**{**asked, "model": "none"}))
        raises(anthropic.BadRequestError, lambda: client.messages.create(**asked, extra_body={"temperature": 3}))
        limited = {**asked, "messages": [{"role": "user", "content": "!simulate fail=rate_limit\nHi"}]}
        raises(anthropic.RateLimitError, lambda: client.messages.create(**limited))

    yield from named(text, stream, thoughts, tools, schema, picture_in, cut_short, count, models, errors)


def google_client(url: str, token: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    genai = importlib.import_module("google.genai")
    types, errors_ = importlib.import_module("google.genai.types"), importlib.import_module("google.genai.errors")
    client = genai.Client(api_key=token, http_options=types.HttpOptions(base_url=url))
    ask = client.models.generate_content
    declared = {"name": "get_weather", "description": "The weather", "parameters_json_schema": WEATHER}
    off = types.AutomaticFunctionCallingConfig(disable=True)
    tooled = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[types.FunctionDeclaration(**declared)])],
        automatic_function_calling=off,
    )

    def text() -> None:
        answer = ask(model=MODEL, contents="What is a token?", config={"system_instruction": "Be brief."})
        assert "token" in answer.text
        assert answer.candidates[0].finish_reason == types.FinishReason.STOP
        assert answer.usage_metadata.total_token_count > 0

    def stream() -> None:
        whole = ask(model=MODEL, contents="What is a token?").text
        pieces = list(client.models.generate_content_stream(model=MODEL, contents="What is a token?"))
        assert "".join(piece.text or "" for piece in pieces) == whole
        assert len(pieces) > 2
        assert pieces[-1].usage_metadata.total_token_count > 0

    def thoughts() -> None:
        answer = ask(model=MODEL, contents="!simulate reasoning=5\nWhy?")
        assert answer.candidates[0].content.parts[0].thought
        assert answer.usage_metadata.thoughts_token_count == 5

    def tools() -> None:
        first = ask(model=MODEL, contents=QUESTION, config=tooled)
        (call,) = first.function_calls
        assert "city" in call.args
        result = types.Part.from_function_response(name=call.name, response={"result": "18 degrees"})
        contents = [
            types.Content(role="user", parts=[types.Part(text=QUESTION)]),
            first.candidates[0].content,
            types.Content(role="user", parts=[result]),
        ]
        assert "18 degrees" in ask(model=MODEL, contents=contents, config=tooled).text
        *_, last = client.models.generate_content_stream(model=MODEL, contents=QUESTION, config=tooled)
        assert last.function_calls[0].args == call.args

    def schema() -> None:
        for field in ("response_json_schema", "response_schema"):
            shape = NUMBER if field == "response_json_schema" else {k: NUMBER[k] for k in ("type", "properties")}
            config = {"response_mime_type": "application/json", field: shape}
            answer = ask(model=MODEL, contents="What is a token?", config=config)
            assert isinstance(json.loads(answer.text)["answer"], int)

    def picture_in() -> None:
        dot = types.Part.from_bytes(data=base64.b64decode(DOT), mime_type="image/png")
        assert ask(model=MODEL, contents=["What is this?", dot]).text

    def cut_short() -> None:
        answer = ask(model=MODEL, contents="What is a token?", config={"max_output_tokens": 3})
        assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS

    def count() -> None:
        assert client.models.count_tokens(model=MODEL, contents="What is a token?").total_tokens > 0

    def models() -> None:
        assert f"models/{MODEL}" in {model.name for model in client.models.list()}
        assert client.models.get(model=MODEL).name == f"models/{MODEL}"

    def errors() -> None:
        other = genai.Client(api_key="dlan_x", http_options=types.HttpOptions(base_url=url))
        for status, call in (
            (401, lambda: other.models.generate_content(model=MODEL, contents="Hi")),
            (404, lambda: ask(model="none", contents="Hi")),
            (400, lambda: ask(model=MODEL, contents="Hi", config={"temperature": 3})),
            (429, lambda: ask(model=MODEL, contents="!simulate fail=rate_limit\nHi")),
        ):
            assert raises(errors_.ClientError, call).code == status

    yield from named(text, stream, thoughts, tools, schema, picture_in, cut_short, count, models, errors)


def langchain_clients(url: str, token: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Its three, and OpenAI's twice: once for each form of a chat."""
    openai = importlib.import_module("langchain_openai").ChatOpenAI
    anthropic = importlib.import_module("langchain_anthropic").ChatAnthropic
    google = importlib.import_module("langchain_google_genai").ChatGoogleGenerativeAI
    at_openai = {"model": MODEL, "base_url": f"{url}/v1", "api_key": token, "max_retries": 0}
    made = {
        "chat": openai(**at_openai),
        "responses": openai(**at_openai, use_responses_api=True),
        "messages": anthropic(model=MODEL, base_url=url, api_key=token, max_retries=0, max_tokens=500),
        "generate": google(model=MODEL, base_url=url, google_api_key=token, max_retries=0),
    }
    return ((name, partial(langchain, chat)) for name, chat in made.items())


def langchain(chat: Any) -> None:
    whole = chat.invoke("What is a token?")
    assert "".join(piece.text for piece in chat.stream("What is a token?")) == whole.text
    assert whole.usage_metadata["total_tokens"] > 0
    tool = {"title": "get_weather", "description": "The weather of a place.", **WEATHER}
    (call,) = chat.bind_tools([tool]).invoke(QUESTION).tool_calls
    assert "city" in call["args"]
    shape = {"title": "Number", "description": "A number.", **NUMBER}
    assert isinstance(chat.with_structured_output(shape).invoke("What is 2 and 2?")["answer"], int)


CLIENTS = {
    "openai": openai_client,
    "anthropic": anthropic_client,
    "google-genai": google_client,
    "langchain": langchain_clients,
}


def named(*tried: Callable[[], Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    return ((one.__name__.strip("_"), one) for one in tried)


def raises(error: type[Exception], call: Callable[[], Any]) -> Any:
    try:
        call()
    except error as raised:
        return raised
    raise AssertionError(f"{error.__name__} was not raised")


def main(url: str, token: str, name: str) -> int:
    try:
        tried = list(CLIENTS[name](url, token))
    except ImportError as error:
        print(error.name)
        return NOT_INSTALLED
    failed = 0
    for what, call in tried:
        try:
            call()
        except Exception:
            failed = 1
            print(f"{name} {what}: {traceback.format_exc(limit=-3)}")
    return failed


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:4]))
