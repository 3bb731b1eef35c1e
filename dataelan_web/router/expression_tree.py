"""A CEL expression as a tree, with the place of each of its parts; and what is wrong with one, in plain words.

The library that computes expressions (expressions.py) shows no tree, and speaks of what it cannot read in its parser
generator's words. This reads the same language, and nothing more of it than can be used here:

    choose = or ["?" or ":" choose]          or = and {"||" and}          and = compare {"&&" compare}
    compare = sum {("<" | "<=" | ">" | ">=" | "==" | "!=" | "in") sum}
    sum = product {("+" | "-") product}      product = unary {("*" | "/" | "%") unary}
    unary = "!"… member | "-"… member        member = primary {"." name ["(" … ")"] | "[" choose "]"}
    primary = name ["(" … ")"] | "(" choose ")" | "[" … "]" | "{" … "}" | a literal

A reader takes each piece once and never goes back, and what it may take is bounded: MOST_PIECES, MOST_DEPTH.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from . import expression_hints as hints

LONGEST, MOST_PIECES, MOST_DEPTH, MOST_HEIGHT = 500, 300, 20, 60
"""Characters; words, numbers, texts and signs; brackets within one another; parts within one another."""
TOO_DEEP = "It is nested too deep: at most {} brackets or signs within one another."

LEAST_INT, MOST_INT = -(2**63), 2**63 - 1

_SPACE = re.compile(r"(?:[ \t\n\f\r]+|//[^\n]*)+")
_TEXT = re.compile(
    r"[bB]?(?:[rR](?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|\"[^\"\r\n]*\"|'[^'\r\n]*')"
    r"|\"\"\"(?:[^\\]|\\[\s\S])*?\"\"\"|'''(?:[^\\]|\\[\s\S])*?'''|\"(?:[^\"\\\r\n]|\\.)*\"|'(?:[^'\\\r\n]|\\.)*')"
)
_NUMBER = re.compile(r"0x[0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+"
                     r"|[0-9]+[uU]?")  # fmt: skip
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGN = re.compile(r"&&|\|\||==|!=|<=|>=|[<>+\-*/%!?:.,()\[\]{}]")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([\s\S]))"
)
_ESCAPED = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))

Kind = Literal[
    "literal", "name", "field", "call", "index", "not", "minus", "binary", "all", "any", "choose", "list", "map"
]


class ExpressionError(ValueError):
    """The expression cannot be used; the message says why and where, and what could be written instead."""


@dataclass(frozen=True)
class Node:
    """A part of an expression: `kind`, where it stands (characters), what it is made of, and what it says."""

    kind: Kind
    start: int
    end: int
    parts: tuple[Node, ...] = ()
    said: Any = None
    """A literal's value; a name; a field's (variable, field); a function's name; a binary's sign."""
    on_target: bool = False
    """Of a call: its first part is what stands before the point."""
    within: tuple[int, int] | None = None
    """Where it stands without the brackets around it."""

    def text(self, source: str) -> str:
        """As it was written, without brackets around it."""
        start, end = self.within or (self.start, self.end)
        return source[start:end]

    @property
    def type(self) -> str:
        """Of a literal: bool, int, uint, double, string, bytes or null."""
        return _types[type(self.said)]

    def walk(self) -> Iterator[Node]:
        """Itself and all that is in it, without recursion."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.parts


class Unsigned(int):
    """A number with a u behind it, which is a type of its own in CEL."""


_types = {bool: "bool", int: "int", Unsigned: "uint", float: "double", str: "string", bytes: "bytes",
          type(None): "null"}  # fmt: skip


@dataclass(frozen=True)
class Token:
    kind: str
    """text, number, name, sign, or end."""
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def parse(source: str) -> Node:
    """Raises ExpressionError."""
    if len(source) > LONGEST:
        raise ExpressionError(f"An expression has at most {LONGEST} characters.")
    tree = _Reader(source).whole()
    level, height = [tree], 0
    while level:
        level, height = [part for node in level for part in node.parts], height + 1
        if height > MOST_HEIGHT:
            raise ExpressionError(TOO_DEEP.format(MOST_HEIGHT))
    return tree


def error(source: str, at: int, words: str) -> ExpressionError:
    """Words with the place that they are about."""
    before = source[:at]
    column = at - (before.rfind("\n") + 1) + 1
    place = f"line {before.count(chr(10)) + 1}, column {column}" if "\n" in source else f"column {column}"
    return ExpressionError(f"{words} ({place})")


# -- pieces ----------------------------------------------------------------------------------------


def tokens(source: str) -> list[Token]:
    """All pieces, and one for the end. Raises ExpressionError."""
    found, at = list[Token](), 0
    while at < len(source):
        if space := _SPACE.match(source, at):
            at = space.end()
            continue
        if len(found) == MOST_PIECES:
            raise error(source, at, f"An expression has at most {MOST_PIECES} words, numbers, texts and signs.")
        found.append(_token(source, at))
        at = found[-1].end
    return [*found, Token("end", "", len(source))]


def _token(source: str, at: int) -> Token:
    for kind, pattern in (("text", _TEXT), ("number", _NUMBER), ("name", _NAME), ("sign", _SIGN)):
        if match := pattern.match(source, at):
            return Token(kind, match[0], at)
    raise error(source, at, hints.of_sign(source, at))


def _literal(source: str, token: Token, sign: str = "") -> Any:
    """The value of a number or a text. Raises ExpressionError."""
    said = token.text
    if token.kind == "text":
        return _text(source, token)
    if said[-1] in "uU":
        value = int(said[:-1], 16 if said[:2] == "0x" else 10)
        if value < 2**64:
            return Unsigned(value)
    elif said[:2] == "0x" or said.isdigit():
        value = int(sign + said, 16 if said[:2] == "0x" else 10)
        if LEAST_INT <= value <= MOST_INT:
            return value
    else:
        return float(sign + said)
    raise error(source, token.start, f"{said} is too large a number.")


def _text(source: str, token: Token) -> str | bytes:
    prefix, quotes = re.match(r"([a-zA-Z]*)(\"\"\"|'''|\"|')", token.text).groups()  # type: ignore[union-attr]
    inner = token.text[len(prefix) + len(quotes) : -len(quotes)]
    if "r" not in prefix.lower():
        inner = _ESCAPE.sub(lambda match: _unescaped(source, token, match), inner)
    return inner.encode("utf-8", "replace") if "b" in prefix.lower() else inner


def _unescaped(source: str, token: Token, match: re.Match[str]) -> str:
    letter, *codes, octal, other = match.groups()
    if other is not None:
        words = f"“\\{other}” means nothing in a text. Write \\\\ for a backslash, or r before the text."
        raise error(source, token.start, words)
    if letter is not None:
        return _ESCAPED.get(letter, letter)
    code = int(octal, 8) if octal is not None else int(next(one for one in codes if one is not None), 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise error(source, token.start, f"“{match[0]}” is no character.")
    return chr(code)


# -- the tree --------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, source: str):
        self.source, self.tokens = source, tokens(source)
        self.place, self.depth = 0, 0

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self, *signs: str) -> Token | None:
        """The next piece, where it is one of these."""
        token = self.next
        if token.text in signs and token.kind in ("sign", "name"):
            self.place += 1
            return token
        return None

    def need(self, sign: str, opened: Token) -> int:
        """Where it ends. Raises ExpressionError where something else stands there."""
        if token := self.take(sign):
            return token.end
        if self.next.kind == "end":
            raise self.wrong(f"The “{opened.text}” of column {opened.start + 1} is not closed: “{sign}” is missing.")
        raise self.unexpected(f"“{sign}”")

    def wrong(self, words: str) -> ExpressionError:
        return error(self.source, self.next.start, words)

    def whole(self) -> Node:
        if self.next.kind == "end":
            raise ExpressionError("There is nothing in it. Write a question, such as: prompt.tokens > 1000")
        node = self.choose()
        if self.next.kind != "end":
            raise self.unexpected("“&&”, “||” or the end")
        return node

    def unexpected(self, wanted: str) -> ExpressionError:
        """After something whole came what cannot come there."""
        before = self.source[: self.next.start].rstrip()
        said, hint = self.next.text, hints.after_value(self.source, self.tokens, self.place)
        return self.wrong(hint or f"“{_short(said)}” cannot come after “{_last(before)}”: {wanted} is expected.")

    def missing(self) -> ExpressionError:
        """Where a value belongs stands something else."""
        before = self.source[: self.next.start].rstrip()
        if self.next.kind == "end":
            words = f"The expression ends too soon: after “{_last(before)}” a value is missing"
            return self.wrong(f"{words}, such as prompt.tokens or 1000.")
        hint = hints.for_value(self.tokens, self.place)
        words = f"“{_short(self.next.text)}” cannot stand here: a value is expected, such as prompt.tokens or 1000."
        return self.wrong(hint or words)

    def deeper(self, read: Callable[[], Node]) -> Node:
        if self.depth == MOST_DEPTH:
            raise self.wrong(TOO_DEEP.format(MOST_DEPTH))
        self.depth += 1
        node = read()
        self.depth -= 1
        return node

    def choose(self) -> Node:
        return self.deeper(self._choose)

    def _choose(self) -> Node:
        condition = self.any()
        if not (mark := self.take("?")):
            return condition
        yes = self.any()
        if not self.take(":"):
            if self.next.kind == "end":
                raise self.wrong("“condition ? a : b” chooses one of two: “:” and the other value are missing.")
            raise self.unexpected(f"“:” for the “?” of column {mark.start + 1}")
        no = self.choose()
        return Node("choose", condition.start, no.end, (condition, yes, no))

    def any(self) -> Node:
        return self.joined("any", "||", self.all)

    def all(self) -> Node:
        return self.joined("all", "&&", self.compare)

    def joined(self, kind: Literal["all", "any"], sign: str, read: Callable[[], Node]) -> Node:
        parts = [read()]
        while self.take(sign):
            parts.append(read())
        return Node(kind, parts[0].start, parts[-1].end, tuple(parts)) if len(parts) > 1 else parts[0]

    def compare(self) -> Node:
        return self.chain(self.sum, "<", "<=", ">", ">=", "==", "!=", "in")

    def sum(self) -> Node:
        return self.chain(self.product, "+", "-")

    def product(self) -> Node:
        return self.chain(self.unary, "*", "/", "%")

    def chain(self, read: Callable[[], Node], *signs: str) -> Node:
        node = read()
        while token := self.take(*signs):
            right = read()
            node = Node("binary", node.start, right.end, (node, right), token.text)
        return node

    def unary(self) -> Node:
        first = self.next
        signs = list[Token]()
        while (token := self.take("!", "-")) and token.text == first.text:
            signs.append(token)
        if token:
            self.place -= 1
            raise self.missing()
        if len(signs) > MOST_DEPTH:
            raise self.wrong(TOO_DEEP.format(MOST_DEPTH))
        if signs and first.text == "-" and self.next.kind == "number":
            minus = signs.pop()
            number = self.next
            self.place += 1
            node = Node("literal", minus.start, number.end, (), _literal(self.source, number, "-"))
        else:
            node = self.member()
        for sign in reversed(signs):
            node = Node("not" if sign.text == "!" else "minus", sign.start, node.end, (node,))
        return node

    def member(self) -> Node:
        node = self.primary()
        while True:
            if self.take("."):
                node = self.selected(node)
            elif opened := self.take("["):
                key = self.choose()
                node = Node("index", node.start, self.need("]", opened), (node, key))
            else:
                return node

    def selected(self, node: Node) -> Node:
        name = self.next
        if name.kind != "name":
            raise self.wrong(f"After “{_last(self.source[: name.start].rstrip())}” a name is missing.")
        self.place += 1
        if opened := self.take("("):
            parts, end = self.several(opened, ")")
            return Node("call", node.start, end, (node, *parts), name.text, on_target=True)
        if node.kind == "name":
            return Node("field", node.start, name.end, (), (node.said, name.text))
        return Node("index", node.start, name.end, (node,), name.text)

    def primary(self) -> Node:
        token = self.next
        if token.kind in ("number", "text"):
            self.place += 1
            return Node("literal", token.start, token.end, (), _literal(self.source, token))
        if token.kind == "name" and token.text not in hints.NO_NAMES:
            self.place += 1
            if token.text in ("true", "false", "null"):
                value = {"true": True, "false": False, "null": None}[token.text]
                return Node("literal", token.start, token.end, (), value)
            if opened := self.take("("):
                parts, end = self.several(opened, ")")
                return Node("call", token.start, end, parts, token.text)
            return Node("name", token.start, token.end, (), token.text)
        if opened := self.take("("):
            inner = self.choose()
            end = self.need(")", opened)
            within = inner.within or (inner.start, inner.end)
            return replace(inner, start=token.start, end=end, within=within)
        if opened := self.take("["):
            parts, end = self.several(opened, "]", may_trail=True)
            return Node("list", token.start, end, parts)
        if opened := self.take("{"):
            return self.map(opened)
        raise self.missing()

    def several(self, opened: Token, closing: str, *, may_trail: bool = False) -> tuple[tuple[Node, ...], int]:
        parts = list[Node]()
        while not (closed := self.take(closing)):
            parts.append(self.choose())
            if not self.take(","):
                return tuple(parts), self.need(closing, opened)
            if not may_trail and self.next.text == closing:
                raise self.missing()
        return tuple(parts), closed.end

    def map(self, opened: Token) -> Node:
        parts = list[Node]()
        while not (closed := self.take("}")):
            parts.append(self.choose())
            if not self.take(":"):
                raise self.unexpected("“:”")
            parts.append(self.choose())
            if not self.take(","):
                return Node("map", opened.start, self.need("}", opened), tuple(parts))
        return Node("map", opened.start, closed.end, tuple(parts))


def _short(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:29]}…"


def _last(text: str) -> str:
    """The end of what stands before a place."""
    return text if len(text) <= 30 else f"…{text[-29:]}"
