"""What an expression may name and compute, asked of its tree before it is ever computed.

Its bound can be told from its text: no loops, so each of at most MOST_PIECES parts is computed once; a part takes time
in proportion to the texts it is given, of which the longest has 10,000 characters; and a regular expression, whose time
is its own size times the text's, is written out in the expression and small (MOST_PATTERN).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from .expression_hints import TEXTS, near, quoted
from .expression_tree import ExpressionError, Node, error

FUNCTIONS = ("size", "contains", "startsWith", "endsWith", "matches")
LOOPS = ("all", "exists", "exists_one", "map", "filter")
QUIET = ("has",)
"""Always true of what can be asked here; refused to nobody who wrote it."""
NUMBERS = frozenset({"int", "uint", "double"})
ORDERED = ("<", "<=", ">", ">=")
MOST_PATTERN = 1_000
"""Of all regular expressions of one expression, in steps: what one character of text may take of an engine that never
goes back. Measured: with as many, 10,000 characters take 45 ms at the worst."""
STEPS = {".": 10, "d": 16, "D": 16, "s": 8, "S": 16, "w": 40, "W": 40, "p": 40, "P": 40}
"""Of any character, and of classes by what is after the backslash. A character of its own is 1."""
CALLED = {"bool": "yes or no", "int": "a number", "uint": "a number", "double": "a number", "string": "a text",
          "bytes": "bytes", "null": "null", "list": "a list", "map": "a map"}  # fmt: skip
ANY = "any"
NO_ANSWER = "It must be true or false, such as: prompt.tokens > 1000"

_REPEAT = re.compile(r"\{([0-9]{1,6})(?:(,)([0-9]{0,6}))?\}")

Variables = Mapping[str, Mapping[str, tuple[Any, str]]]


def check(tree: Node, source: str, variables: Variables) -> None:
    """Raises ExpressionError with the place of the first part that may not be there."""
    for node in sorted(tree.walk(), key=lambda node: node.start):
        _known(node, source, variables)
    _bounded(tree, source)


def mistake(tree: Node, source: str, variables: Variables) -> ExpressionError | None:
    """What must fail wherever it is computed: a number compared with a text, or an answer that is not yes or no."""
    try:
        kind = _Types(source, variables).of(tree)
    except ExpressionError as error:
        return error
    return None if kind in ("bool", ANY) else ExpressionError(NO_ANSWER)


# -- names -----------------------------------------------------------------------------------------


def _known(node: Node, source: str, variables: Variables) -> None:
    if node.kind == "call":
        _function(node, source)
    elif node.kind == "name" and node.said in variables:
        raise error(source, node.start, f"There is no “{node.said}” alone. Known: {_fields(node.said, variables)}.")
    elif node.kind == "name":
        raise error(source, node.start, _unknown(node.said, variables))
    elif node.kind == "field":
        variable, field = node.said
        if variable not in variables:
            raise error(source, node.start, _unknown(variable, variables, field))
        if field not in variables[variable]:
            meant = near(field, variables[variable], f"{variable}.")
            known = f" Known: {_fields(variable, variables)}."
            raise error(source, node.start, f"There is no “{variable}.{field}”.{meant or known}")
    elif node.kind == "index":
        whole, inner = source[node.start : node.end], node.parts[0]
        said = inner.said if inner.kind == "name" else source[inner.start : inner.end]
        why = f". Known: {_fields(said, variables)}" if said in variables else f": “{said}” has no parts"
        raise error(source, inner.start, f"There is no “{whole}”{why}.")


def _fields(variable: str, variables: Variables) -> str:
    return ", ".join(f"{variable}.{field}" for field in variables[variable])


def _unknown(name: str, variables: Variables, field: str = "") -> str:
    known = f" Known: {', '.join(variables)}."
    if name.lower() in ("true", "false", "null", "none"):
        return f"There is no “{name}”. Did you mean “{'null' if name.lower() == 'none' else name.lower()}”?"
    if field:
        whole = [f"{variable}.{one}" for variable, fields in variables.items() for one in fields]
        return f"There is no “{name}”.{near(f'{name}.{field}', whole) or near(name, variables)}{known}"
    owner = next((one for one, fields in variables.items() if name in fields), None)
    if owner:
        return f"There is no “{name}”. Did you mean “{owner}.{name}”?"
    if text := next((one for one in (name, name.upper(), name.lower()) if one in TEXTS), None):
        return f'There is no “{name}”. Did you mean the text "{text}"?'
    whole = [f"{variable}.{one}" for variable, fields in variables.items() for one in fields]
    return f"There is no “{name}”.{near(name.replace('_', '.', 1), whole) or near(name, variables)}{known}"


def _function(node: Node, source: str) -> None:
    name = node.said
    if name in LOOPS:
        raise error(source, node.start, f"“{name}” is a loop, and loops cannot be used here.")
    if name not in (*FUNCTIONS, *QUIET):
        meant = near(name, FUNCTIONS)
        words = f"“{name}” cannot be used here.{meant} Functions: {', '.join(FUNCTIONS)}."
        raise error(source, node.start, words)
    if name in QUIET:
        return
    given = len(node.parts)
    if name == "size" and given != 1:
        raise error(source, node.start, "“size” is asked of one text: size(prompt.text)")
    if name != "size" and not (node.on_target and given == 2):
        raise error(source, node.start, f'“{name}” is asked of a text, after a point: prompt.text.{name}("…")')


# -- types -----------------------------------------------------------------------------------------


class _Types:
    """The type of each part, as far as it can be told; what can only fail when it is computed is told now."""

    def __init__(self, source: str, variables: Variables):
        self.source, self.variables = source, variables
        self.readers: Mapping[str, Callable[[Node], str]] = {
            "literal": lambda node: node.type,
            "field": lambda node: _type_of(self.variables[node.said[0]][node.said[1]][0]),
            "list": lambda node: self._all(node, "list"),
            "map": lambda node: self._all(node, "map"),
            "all": self._joined,
            "any": self._joined,
            "not": lambda node: self._needs(node.parts[0], "bool", "“!” denies"),
            "minus": self._minus,
            "choose": self._choose,
            "binary": self._binary,
            "call": self._call,
        }

    def of(self, node: Node) -> str:
        return self.readers[node.kind](node)

    def _all(self, node: Node, said: str) -> str:
        for part in node.parts:
            self.of(part)
        return said

    def _needs(self, node: Node, wanted: str, who: str) -> str:
        found = self.of(node)
        if found not in (wanted, ANY):
            said = self.source[node.start : node.end]
            words = f"{who} {CALLED[wanted]}, and {quoted(said)} is {CALLED[found]}."
            raise error(self.source, node.start, words)
        return wanted

    def _joined(self, node: Node) -> str:
        sign = "&&" if node.kind == "all" else "||"
        for part in node.parts:
            self._needs(part, "bool", f"“{sign}” joins")
        return "bool"

    def _minus(self, node: Node) -> str:
        found = self.of(node.parts[0])
        if found not in ("int", "double", ANY):
            self._fails(node, "-", found)
        return found

    def _choose(self, node: Node) -> str:
        condition, yes, no = node.parts
        self._needs(condition, "bool", "“?” asks")
        kinds = {self.of(yes), self.of(no)}
        return kinds.pop() if len(kinds) == 1 else ANY

    def _binary(self, node: Node) -> str:
        left, right = (self.of(part) for part in node.parts)
        sign, known = node.said, ANY not in (left, right)
        if sign in ("==", "!="):
            return "bool"
        if sign == "in":
            if right not in ("list", "map", ANY):
                words = f"“in” looks into a list, such as [1, 2], and not into {CALLED[right]}."
                raise error(self.source, node.parts[1].start, words)
            return "bool"
        if sign in ORDERED:
            if known and not ((left == right and left in ("string", "bytes", "bool")) or {left, right} <= NUMBERS):
                raise error(self.source, node.start, self._unlike(node, left, right))
            return "bool"
        if not known:
            return ANY
        if left == right and (left in NUMBERS and not (sign == "%" and left == "double")):
            return left
        if sign == "+" and left == right and left in ("string", "bytes", "list"):
            return left
        self._fails(node, sign, left, right)

    def _unlike(self, node: Node, left: str, right: str) -> str:
        said = [quoted(self.source[part.start : part.end]) for part in node.parts]
        if CALLED[left] == CALLED[right]:
            return f"“{node.said}” does not compare {CALLED[left]} with another."
        return f"{said[0]} is {CALLED[left]} and {said[1]} is {CALLED[right]}: “{node.said}” cannot compare them."

    def _fails(self, node: Node, sign: str, *kinds: str) -> NoReturn:
        exact = {"int": "a whole number", "double": "a number with decimals", "uint": "a number with u"}
        with_ = " and ".join(exact.get(kind, CALLED[kind]) for kind in kinds)
        raise error(self.source, node.start, f"“{sign}” cannot be computed of {with_}.")

    def _call(self, node: Node) -> str:
        name = node.said
        if name in QUIET:
            return "bool"
        if name == "size":
            found = self.of(node.parts[0])
            if found not in ("string", "bytes", "list", "map", ANY):
                raise error(self.source, node.start, f"“size” is asked of a text, and not of {CALLED[found]}.")
            return "int"
        for part in node.parts:
            self._needs(part, "string", f"“{name}” takes")
        return "bool"


def _type_of(example: Any) -> str:
    return "bool" if isinstance(example, bool) else "int" if isinstance(example, int) else "string"


# -- regular expressions ---------------------------------------------------------------------------


def _bounded(tree: Node, source: str) -> None:
    spent = 0
    for node in sorted(tree.walk(), key=lambda node: node.start):
        if node.kind != "call" or node.said != "matches":
            continue
        pattern = node.parts[1]
        if pattern.kind != "literal" or not isinstance(pattern.said, str):
            words = "What “matches” looks for is written out, between quotation marks: it cannot come from a prompt."
            raise error(source, pattern.start, words)
        spent += pattern_size(pattern.said)
        if spent > MOST_PATTERN:
            words = "Its regular expressions would take too long on a long prompt: repeat less, or use fewer of \\w."
            raise error(source, pattern.start, words)


def pattern_size(pattern: str) -> int:
    """No fewer than the steps that one character of text takes at most (MOST_PATTERN), whatever the pattern says.

    It reads no more than it must: what is counted, grouped or a class. What is no regular expression has a size, too.
    """
    if re.search(r"\(\?[a-zA-Z-]*x", pattern):  # comments: what stands in them would be read as if it were meant
        return MOST_PATTERN + 1
    letter = 3 if re.search(r"\(\?[a-zA-Z-]*i", pattern) else 1
    edges = 2 if "\\b" in pattern or "\\B" in pattern else 1  # edges of words are looked for by the slowest engine
    return edges * _Sizes(pattern, letter).whole()


class _Sizes:
    def __init__(self, pattern: str, letter: int):
        """`letter`: the size of one, which is more where small and large ones are the same."""
        self.pattern, self.letter, self.at = pattern, letter, 0

    def whole(self) -> int:
        """Without recursion: brackets may be as deep as the pattern is long."""
        open_groups: list[int] = []
        size = last = 0
        while self.at < len(self.pattern):
            sign = self.pattern[self.at]
            if sign == "(":
                open_groups.append(size)
                size, last = 0, 0
                self.at += 1
            elif sign == ")" and open_groups:
                last = size + 1
                size = open_groups.pop() + last
                self.at += 1
            elif (repeat := self._repeated()) is not None:
                size += last * (repeat - 1) + 1
                last *= repeat
            else:
                last = self._one(sign)
                size += last
        return size + sum(open_groups)

    def _repeated(self) -> int | None:
        """How often what stands before is there, where a repetition stands here."""
        sign = self.pattern[self.at]
        if sign in "*+?":
            self.at += 1
            return 1
        if match := _REPEAT.match(self.pattern, self.at):
            self.at = match.end()
            return max(int(match[1]) + 1, int(match[3] or 0), 1)
        return None

    def _one(self, sign: str) -> int:
        if sign == "\\":
            letter = self.pattern[self.at + 1 : self.at + 2]
            self.at += 2
            if letter in ("p", "P"):  # its name is one letter, or stands in braces
                end = self.pattern.find("}", self.at) if self.pattern[self.at : self.at + 1] == "{" else self.at
                self.at = (end if end >= 0 else self.at) + 1
            return STEPS.get(letter, 2 * self.letter)
        if sign == "[":
            return self._class()
        self.at += 1
        return STEPS["."] if sign == "." else self.letter * (1 if sign.isascii() else 4)

    def _class(self) -> int:
        """A set of characters: to its bracket, which may stand within others."""
        start, depth = self.at, 0
        while self.at < len(self.pattern):
            sign = self.pattern[self.at]
            self.at += 2 if sign == "\\" else 1
            depth += (sign == "[") - (sign == "]")
            if depth == 0 and self.at - start > 2:
                break
        said = self.pattern[start : self.at]
        classes = sum(STEPS.get(letter, 0) for letter in re.findall(r"\\([a-zA-Z])", said))
        is_plain = said.isascii() and not said.startswith("[^") and "\\" not in said
        return 2 * self.letter if is_plain else 12 + classes + 4 * len(said)
