"""How one answer is to be played: the pace of each model, and the `!simulate` line that overrides it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

MARK = "!simulate"
FAIL_PREFIX = "simulated-fail-"
MAX_TOKENS = 50_000


@dataclass(frozen=True)
class Script:
    """Times are in milliseconds, but `seconds`, which overrules them. `rate` 0 sends everything at once; `tokens`
    None is as long as it gets."""

    tokens: int | None = None
    rate: float = 0
    first_token_ms: float = 0
    total_ms: float | None = None
    seconds: float | None = None
    reasoning: int = 0
    cached: int | None = None
    fail: str = ""
    after: int = 3
    retry_after: float | None = None
    fail_times: int | None = None
    key: str = ""
    broken: int = 0

    def due(self, count: int) -> list[float]:
        """When each of `count` tokens leaves, in seconds after the request."""
        first = self.first_token_ms / 1000
        if self.total_ms is not None:
            gap = max(self.total_ms / 1000 - first, 0) / max(count - 1, 1)
        else:
            gap = 1 / self.rate if self.rate else 0
        return [first + gap * place for place in range(count)]

    def end(self, count: int) -> float:
        if self.seconds is not None:
            return self.seconds
        return max([*self.due(count)[-1:], (self.total_ms or 0) / 1000, self.first_token_ms / 1000])


MODELS = {
    "simulated-fast": Script(rate=100),
    "simulated-thoughtful": Script(rate=45, first_token_ms=500, reasoning=60),
    "simulated-instant": Script(),
    "simulated-second": Script(tokens=12, total_ms=1000),
}

# Those that make something else than words, by the path that they answer at.
MAKERS = {
    "/v1/audio/speech": {"simulated-voice": Script(first_token_ms=300)},
    "/v1/audio/transcriptions": {"simulated-ear": Script(first_token_ms=300)},
    "/v1/embeddings": {"simulated-vectors": Script()},
    "/v1/images/generations": {"simulated-image": Script(total_ms=500)},
    "/v1/images/edits": {"simulated-image": Script(total_ms=500)},
}

# What a directive may say: how to read it, and the largest value that is taken.
WORDS: dict[str, tuple[type[int] | type[float], float]] = {
    "tokens": (int, MAX_TOKENS),
    "rate": (float, 100_000),
    "seconds": (float, 3_600),
    "first_token_ms": (float, 3_600_000),
    "total_ms": (float, 3_600_000),
    "reasoning": (int, MAX_TOKENS),
    "cached": (int, 10_000_000),
    "after": (int, MAX_TOKENS),
    "retry_after": (float, 86_400),
    "fail_times": (int, 1_000_000),
    "broken": (int, 100),
}


def for_model(name: str, path: str = "") -> Script | None:
    """The model's own pace, or None for a model that does not exist, or does not answer at this path."""
    if name.startswith(FAIL_PREFIX):
        return Script(fail=plain(name.removeprefix(FAIL_PREFIX)))
    return MAKERS.get(path, MODELS).get(name)


def directed(script: Script, text: str) -> tuple[Script, str]:
    """The script as the prompt's directives change it, and the prompt without them. Raises ValueError."""
    if MARK not in text:
        return script, text
    kept = []
    for line in text.split("\n"):
        if line.split(maxsplit=1)[:1] == [MARK]:
            script = _obey(script, line.split()[1:])
        else:
            kept.append(line)
    return script, "\n".join(kept).strip()


def _obey(script: Script, words: list[str]) -> Script:
    for word in words:
        name, _, value = word.partition("=")
        if name == "fail":
            script = replace(script, fail=plain(value))
        elif name == "key":
            script = replace(script, key=value[:200])
        elif name in WORDS:
            script = replace(script, **_number(name, value))
        else:
            raise ValueError(f"{MARK} does not know {name[:40]!r}; it knows {', '.join([*WORDS, 'fail', 'key'])}")
    return script


def _number(name: str, value: str) -> dict[str, Any]:
    kind, largest = WORDS[name]
    try:
        number = kind(value)
    except ValueError:
        number = kind(-1)
    if not 0 <= number <= largest:
        raise ValueError(f"{MARK} {name} must be a number from 0 to {largest:g}")
    return {name: number}


def plain(kind: str) -> str:
    return kind.strip().lower().replace("-", "_")
