"""What the simulated provider says: a short Markdown answer made of the prompt's own words.

It never pretends to know anything. The same prompt always gets the same answer: every choice is drawn
from a generator seeded with the prompt's hash.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from random import Random

from dataelan_web.local.simulated.request import Request
from dataelan_web.local.simulated.samples import sample
from dataelan_web.local.simulated.script import Script

LABEL = "*Simulated answer: a template on this machine wrote it, no AI model was asked.*"
BRIEF = "*A simulated answer, made to measure.*"  # twelve tokens: the whole answer of simulated-second
BRIEF_TOKENS = 24

OPENINGS = (
    "A real model would take this apart before it answers. Here is how **{first}** could be approached.",
    "The heart of your prompt seems to be **{first}**. A first sketch:",
    "Good question to start with. I would look at **{first}** first, and at the rest in its light.",
    "In short: begin with **{first}**, keep it small, and check the result before you go on.",
)
REMARKS = (
    "the word that carries most of the question",
    "worth a definition before anything else",
    "best shown with one small example",
    "where a second opinion pays off",
    "easy to say, and easy to get wrong",
    "the part to measure rather than to guess",
)
STEPS = (
    "Say in one sentence what **{0}** means here.",
    "Find the smallest case that has **{0}** in it.",
    "Check **{0}** against something you already know.",
)
CLOSINGS = (
    "To have a real model answer the same prompt, add a provider key.",
    "Add a provider key and send this prompt again: the answer will be a real one.",
    "This was a rehearsal. With a provider key, the same prompt goes to a real model.",
)
FILLER = (
    "Every sentence here is made up of ready parts, so that a long answer can be watched as it arrives.",
    "Nothing in it is a fact about **{first}**, and nothing was spent on it.",
    "Pace, length and failures can be chosen, which makes it useful for trying things out.",
)
CODE = re.compile(
    r"\b(code|function|class|python|javascript|typescript|java|rust|golang|sql|script|regex|algorithm|bug|debug|"
    r"refactor|implement|compile|unit tests?|api|program)\b|```|def |[(){};]{2}",
    re.IGNORECASE,
)
TABLE = re.compile(r"\btables?\b", re.IGNORECASE)
DULL_WORDS = """
    about after also answer because been before being best better code could describe does each every explain
    from function give good have help here into just like list make many more most much need only other please
    program python question questions script short should show some such table tell than that their them then
    there these they this those three using very want what when where which while will with without would write
    your
"""
DULL = frozenset(DULL_WORDS.split())
PIECE = re.compile(r"\s*\w{1,6}|\s*[^\w\s]|\s+")


@dataclass(frozen=True)
class Answer:
    """An answer in tokens. With a `tool`, `content` holds the pieces of its arguments."""

    content: Sequence[str]
    reasoning: Sequence[str] = ()
    tool: str = ""
    finish: str = "stop"

    @property
    def tokens(self) -> int:
        return len(self.content) + len(self.reasoning)


def pieces(text: str) -> list[str]:
    """Text cut into what we call tokens; joined they are the text again."""
    return PIECE.findall(text)


def answer(request: Request, prompt: str, script: Script) -> Answer:
    reasoning = _exactly(script.reasoning, _thoughts(prompt)) if script.reasoning else []
    if tool := _wanted_tool(request, prompt):
        arguments = sample(tool.get("parameters") or {"type": "object"}, prompt)
        arguments = _broken(arguments) if request.tool_results < script.broken else arguments
        return Answer(pieces(json.dumps(arguments)), reasoning, str(tool.get("name", "")), "tool_calls")
    if request.schema is not None:
        return _limited(request, Answer(pieces(json.dumps(sample(request.schema, prompt))), reasoning))
    text = _markdown(request, prompt)
    content = pieces(text)
    if script.tokens is not None:
        content = _exactly(script.tokens, [BRIEF if script.tokens <= BRIEF_TOKENS else text, _filler(prompt)])
    return _limited(request, Answer(content, reasoning))


def _limited(request: Request, answer: Answer) -> Answer:
    """`stop` and `max_tokens`, as a model would keep them; reasoning counts towards the limit."""
    content, text = answer.content, "".join(answer.content)
    stops = [place for word in request.stop if (place := text.find(word)) >= 0]
    if stops:
        content = pieces(text[: min(stops)])
    room = request.max_tokens
    if room is None or len(answer.reasoning) + len(content) <= room:
        return Answer(content, answer.reasoning)
    return Answer(content[: max(room - len(answer.reasoning), 0)], answer.reasoning[:room], finish="length")


# -- words ---------------------------------------------------------------------------------------


def _markdown(request: Request, prompt: str) -> str:
    dice, words = _dice(prompt), _topics(prompt)
    if request.tool_result is not None:
        middle = [f"The tool answered:\n\n{_quote(request.tool_result)}"]
    elif CODE.search(prompt[:20_000]):
        middle = [dice.choice(OPENINGS).format(first=words[0]), _code(words, dice)]
    else:
        shape = _table if TABLE.search(prompt[:20_000]) else dice.choice((_list, _table, _steps))
        middle = [dice.choice(OPENINGS).format(first=words[0]), shape(words, dice)]
    images = [f"You also sent {request.images} image{'s' * (request.images > 1)}."] if request.images else []
    return "\n\n".join([LABEL, "You asked:", _quote(prompt), *images, *middle, dice.choice(CLOSINGS)])


def _quote(text: str) -> str:
    words = " ".join(text[:2000].split())
    return f"> {words[:280].rstrip()}{' …' if len(words) > 280 else ''}" if words else "> (nothing)"


def _topics(prompt: str) -> list[str]:
    """The words that seem to matter, in the order of the prompt; always at least three."""
    words = [word for word in re.findall(r"[^\W\d_]{4,24}", prompt[:5000]) if word.lower() not in DULL]
    distinct = list({word.lower(): word for word in reversed(words)}.values())[::-1]
    return [*distinct[:4], *("the goal", "an example", "the result")][: max(3, min(len(distinct), 4))]


def _list(words: list[str], dice: Random) -> str:
    return "\n".join(
        f"- **{word}**: {remark}." for word, remark in zip(words, dice.sample(REMARKS, len(words)), strict=True)
    )


def _steps(words: list[str], dice: Random) -> str:
    return "\n".join(
        f"{place}. {step.format(word)}" for place, (step, word) in enumerate(zip(STEPS, words, strict=False), 1)
    )


def _table(words: list[str], dice: Random) -> str:
    remarks = dice.sample(REMARKS, len(words))
    rows = [f"| {word} | {remark} | {len(word)} |" for word, remark in zip(words, remarks, strict=True)]
    return "\n".join(["| Part of your prompt | What to know | Letters |", "| --- | --- | ---: |", *rows])


def _code(words: list[str], dice: Random) -> str:
    plain = [word.split()[-1].lower() for word in words[:2]]  # letters only, so they make a name in Python
    name, size = "_".join(plain), dice.randrange(3, 10)
    return f'''```python
def {name}(items: list[str], limit: int = {size}) -> list[str]:
    """A stand-in for {" and ".join(plain)}: the first few items, in order, each once."""
    return sorted(set(items))[:limit]


print({name}(["beta", "alpha", "alpha"]))
```'''


def _thoughts(prompt: str) -> list[str]:
    words = _topics(prompt)
    return [
        f"(Simulated reasoning.) The prompt is {len(prompt):,} characters long and seems to be about {words[0]}. ",
        f"I should quote it, say plainly that I am simulated, and turn to {words[1]}. ",
        f"A table may be too much for {words[-1]}; a few clear lines will do. ",
    ]


def _filler(prompt: str) -> str:
    first = _topics(prompt)[0]
    return "\n\n" + " ".join(line.format(first=first) for line in _dice(prompt).sample(FILLER, len(FILLER)))


def _exactly(count: int, texts: list[str]) -> list[str]:
    """The first `count` pieces of the texts; the last text is repeated as often as it takes."""
    *once, last = [pieces(text) for text in texts]
    return list(islice(chain(*once, cycle(last)), count))


def _dice(prompt: str) -> Random:
    return Random(hashlib.sha256(prompt.encode()).digest())


def _broken(arguments: object) -> object:
    """No schema's idea of its first property."""
    if not isinstance(arguments, dict) or not arguments:
        return [arguments]
    return {**arguments, next(iter(arguments)): {"broken": [None]}}


# -- tools ---------------------------------------------------------------------------------------


def _wanted_tool(request: Request, prompt: str) -> dict[str, object] | None:
    """The tool that was demanded, or the first one that the prompt names or plainly asks for."""
    named = [tool for tool in request.tools if tool.get("name") == request.tool_choice]
    is_answered = request.tool_result is not None and not named
    if not request.tools or request.tool_choice == "none" or is_answered:
        return None
    if named or request.tool_choice == "required":
        return (named or request.tools)[0]
    asked = prompt[:20_000].lower()
    for tool in request.tools:
        words = [word for word in re.split(r"[\W_]+", str(tool.get("name", "")).lower()) if len(word) > 3]
        if any(word in asked for word in words):
            return tool
    return request.tools[0] if re.search(r"\b(call|use) (the|a|your) (tool|function)", asked) else None
