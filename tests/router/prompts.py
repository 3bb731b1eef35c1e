"""One prompt that says everything a prompt can say, for the tests of requests."""

from __future__ import annotations

from dataelan_web.router.types import (
    ImagePart,
    Message,
    Prompt,
    TextPart,
    Tool,
    ToolResult,
    ToolUse,
    assistant,
    system,
    user,
)

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}

RICH = Prompt(
    messages=(
        system("Be brief."),
        Message("user", (TextPart("What is here?"), ImagePart("image/png", data="iVBORw0KGgo="))),
        assistant("A map."),
        user("And the weather in Oslo and Rome?"),
        Message(
            "assistant",
            (ToolUse("c1", "weather", '{"city":"Oslo"}'), ToolUse("c2", "weather", '{"city":"Rome"}')),
        ),
        Message("tool", (ToolResult("c1", "rain", "weather"),)),
        Message("tool", (ToolResult("c2", '{"sky":"clear"}'),)),
    ),
    max_tokens=100,
    temperature=0.5,
    top_p=0.9,
    stop=("END",),
    seed=7,
    tools=(Tool("weather", "Tells the weather", PARAMETERS),),
    tool_choice="required",
    schema=SCHEMA,
    reasoning_effort="low",
)
PLAIN = Prompt((user("Hi"),), stream=False)
