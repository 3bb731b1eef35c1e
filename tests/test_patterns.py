"""No regular expression of ours can be made to think for long: each is run against what is known to hurt such things.

All patterns are found by reading the source, so that a new one is tested by being there.
"""

from __future__ import annotations

import ast
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import permutations
from pathlib import Path
from re import _parser as parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

import pytest

PACKAGE = Path(__file__).parent.parent / "dataelan_web"
SIZE = 100_000
LONGEST = 0.1
"""Seconds."""

CUT = {f"router/expression_tree.py:{name}": 500 for name in ("_SPACE", "_TEXT", "_NUMBER", "_NAME", "_SIGN", "_ESCAPE")}
"""Patterns whose text is cut or refused before, and at what length."""

MADE = {
    "search/excerpts.py": lambda module: ["|".join(module._pattern(word, True) for word in ("aaaa", "a", "0a", "."))],
    "router/names.py": lambda module: _in(module._told()),
}
"""Files with patterns that are made of escaped words, or read from a file, and examples of them."""

USES = ("match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer")

# Single characters and short runs that patterns for text, Markdown, JSON, addresses, numbers and keys like to repeat.
PIECES = (
    "a", "A", "0", "é", " ", "\t", "\n", "\r\n", "-", "_", ".", ",", ":", ";", "/", "\\", "*", "#", "|", "`", "~", "=",
    "+", "%", "&", "@", "!", "?", "'", '"', "<", ">", "[", "]", "(", ")", "{", "}", "a ", "a\n", " \n", "a.", "a@",
    "0.", "1,", "a=", "<a ", "</a>", "![", "[](", "](", "```", "```a\n", "- ", "1. ", "| a ", "&a;", "data:", "a0",
    "0a", "https://a", "//", "sk-", "1h", "ms", "# ", "**a", "\\\\", '\\"', '"a":', "{{", "%(", "\u2028",
)  # fmt: skip


@dataclass(frozen=True)
class Used:
    """A pattern, and the methods of `re` it is used by."""

    place: str
    pattern: str | bytes
    flags: int
    uses: frozenset[str]
    most: int = SIZE


FILES = {
    str(path.relative_to(PACKAGE)): source
    for path in sorted(PACKAGE.rglob("*.py"))
    if any(f"re.{how}(" in (source := path.read_text()) for how in ("compile", *USES))
}
"""Those that may have patterns. They are read further by the test of each: while tests are collected, every process
would do it."""


def patterns(place: str) -> Iterator[Used]:
    """Those of a file."""
    tree = list(ast.walk(ast.parse(FILES[place])))
    for call, how in _calls(tree):
        names = _names(tree, call)
        uses = {how} if how != "compile" else _uses(tree, names)
        if not uses and _is_a_part(tree, names):
            continue
        parts = Path(place).with_suffix("").parts
        module = import_module(".".join(("dataelan_web", *parts)).removesuffix(".__init__"))
        most = next((most for name in names if (most := CUT.get(f"{place}:{name}"))), SIZE)
        flags, uses = _flags(call, how, module), uses or {"search"}
        made = MADE.get(place) if isinstance(call.args[0], ast.Name) else None
        for text in made(module) if made else _texts(call, tree, module):
            yield Used(f"{place}:{call.lineno}", text, flags, frozenset(uses), most)


def _calls(tree: list[ast.AST]) -> Iterator[tuple[ast.Call, str]]:
    """Where a function of `re` is called with a pattern, and which."""
    for node in tree:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=how)) if how in ("compile", *USES):
                yield node, how


def _texts(call: ast.Call, tree: list[ast.AST], module: ModuleType) -> list[str | bytes]:
    """The pattern, where it is literal or made of the module's constants; of a loop over a table, all its strings."""
    pattern = call.args[0]
    if isinstance(pattern, ast.Name) and not hasattr(module, pattern.id):
        return [text for table in _tables(pattern.id, tree) for text in _strings(getattr(module, table))]
    return [_value(pattern, module)]


def _tables(name: str, tree: list[ast.AST]) -> list[str]:
    """Constants that a loop or a comprehension with this variable goes through."""
    loops = [node for node in tree if isinstance(node, ast.For | ast.comprehension)]
    mine = [loop for loop in loops if name in {one.id for one in ast.walk(loop.target) if isinstance(one, ast.Name)}]
    found = [loop.iter.id for loop in mine if isinstance(loop.iter, ast.Name)]
    assert found, f"where does the pattern {name!r} come from?"
    return found


def _strings(value: Any) -> list[str]:
    if isinstance(value, tuple | list):
        return [text for item in value for text in _strings(item)]
    return [value] if type(value) is str else []


def _in(told: dict[str, Any]) -> list[str]:
    """Every regular expression of names.yaml."""
    rows = [row["names"] for part in ("refuses", "purposes") for row in told[part]]
    return [*rows, told["unusable"], told["google_agents"]]


def _flags(call: ast.Call, how: str, module: ModuleType) -> int:
    place = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(how, 2)
    given = [word.value for word in call.keywords if word.arg == "flags"] + call.args[place : place + 1]
    return int(_value(given[0], module)) if given else 0


def _value(expression: ast.expr, module: ModuleType) -> Any:
    return eval(compile(ast.Expression(expression), "<pattern>", "eval"), vars(module))


def _uses(tree: list[ast.AST], names: set[str]) -> set[str]:
    """What is done in this file with a compiled pattern of this name."""
    used = _methods(tree)
    return {use for name in names for use in used.get(name, ())}


def _is_a_part(tree: list[ast.AST], names: set[str]) -> bool:
    """Is it only there to be put into others (`NAME.pattern`)?"""
    parts = [node for node in tree if isinstance(node, ast.Attribute) and node.attr == "pattern"]
    return bool(names & {node.value.id for node in parts if isinstance(node.value, ast.Name)})


def _methods(tree: list[ast.AST]) -> dict[str, set[str]]:
    """Name → the methods that are called on it."""
    found: dict[str, set[str]] = {}
    for call in tree:
        if isinstance(call, ast.Attribute) and call.attr in USES and isinstance(call.value, ast.Name | ast.Attribute):
            name = call.value.id if isinstance(call.value, ast.Name) else call.value.attr
            found.setdefault(name, set()).add(call.attr)
    return found


def _names(tree: list[ast.AST], call: ast.Call) -> set[str]:
    """What the compiled pattern is assigned to."""
    names = set()
    for node in tree:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is call:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


@cache
def own_pieces(pattern: str | bytes, flags: int) -> tuple[str, ...]:
    """What this pattern itself is made of: its runs of literals, and one member of each of its classes."""
    found: list[str] = []

    def walk(items: Any) -> None:
        run = ""
        for kind, argument in items:
            if str(kind) == "LITERAL":
                run += chr(argument)
                continue
            found.append(run)
            run = ""
            if str(kind) == "IN":
                found.append(_member(argument))
            elif str(kind) in ("ANY", "NOT_LITERAL"):
                found.append("x")
            else:
                for part in argument if isinstance(argument, tuple | list) else [argument]:
                    if isinstance(part, parser.SubPattern):
                        walk(part)
                    elif isinstance(part, list):
                        for branch in part:
                            walk(branch)
        found.append(run)

    walk(parser.parse(pattern, flags))
    return tuple(dict.fromkeys(piece for piece in found if piece))


def _member(items: list[Any]) -> str:
    for kind, argument in items:
        match str(kind):
            case "LITERAL":
                return chr(argument)
            case "RANGE":
                return chr(argument[0])
            case "CATEGORY":
                return {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " "}.get(str(argument), "a")
    return "x"


@dataclass(frozen=True)
class Nasty:
    """A text of any size: a repetition between its ends."""

    piece: str
    start: str = ""
    end: str = ""

    def text(self, size: int) -> str:
        body = (self.piece * (size // len(self.piece) + 1))[:size]
        return self.start + body + self.end


def nasty(used: Used) -> Iterator[Nasty]:
    """Repetitions that end in what nothing expects, alone and after what the pattern begins with."""
    own = own_pieces(used.pattern, used.flags)
    pumped = [*PIECES, *own, *(first + second for first, second in permutations(own[:4], 2))]
    for piece in dict.fromkeys(pumped):
        for start in dict.fromkeys(("", *own[:1])):
            yield Nasty(piece, start, "\0")


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """A pattern that thinks for so long is interrupted: `re` looks for signals now and then."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def run(compiled: re.Pattern[Any], use: str, text: str | bytes) -> None:
    match use:
        case "sub" | "subn":
            compiled.sub(text[:0], text)
        case "finditer":
            for _ in compiled.finditer(text):
                pass
        case _:
            getattr(compiled, use)(text)


def seconds(compiled: re.Pattern[Any], use: str, text: str) -> float:
    """Of processor time: what else runs here does not count. No more than half as much again as is allowed."""
    subject = text.encode() if isinstance(compiled.pattern, bytes) else text
    started = time.process_time()
    with suppress(TimeoutError), alarm(1.5 * LONGEST):
        run(compiled, use, subject)
    return time.process_time() - started


def slow(used: Used) -> str:
    """What makes the pattern think, or nothing."""
    compiled = re.compile(used.pattern, used.flags)
    for text in nasty(used):
        for use in used.uses:
            if hurts(compiled, use, text, used.most):
                return f"{use} takes more than {LONGEST} s for {text.text(30)!r} …"
    return ""


def hurts(compiled: re.Pattern[Any], use: str, text: Nasty, most: int) -> bool:
    """A part of the size tells what is worth a whole try: what hurts grows with the square at least, so that it takes a
    hundredth of the time for a tenth of the size. Half of that is little: not worth it."""
    for part in (30, 10, 3, 1):
        size, little = most // part, LONGEST / (2 * part * part) if part > 1 else LONGEST
        subject = text.text(size)
        took = seconds(compiled, use, subject)
        if took > LONGEST and seconds(compiled, use, subject) > LONGEST:
            return True
        if took <= little:
            return False
    return False


def test_the_patterns_are_found() -> None:
    assert len(FILES) > 50
    assert len(list(patterns("search/excerpts.py"))) == 2


@pytest.mark.sweep
@pytest.mark.parametrize("place", FILES)
def test_each_pattern_reads_100_kb_of_anything_in_a_moment(place: str) -> None:
    for used in patterns(place):
        assert not slow(used), (used.place, used.pattern)


@pytest.mark.sweep
@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(\w+\s?)*!$", r"\s+$", r"(a|aa)+$", r"<.*?>.*</", r"(.*)*,"])
def test_this_test_finds_what_it_looks_for(pattern: str) -> None:
    assert slow(Used("", pattern, 0, frozenset({"search"})))
