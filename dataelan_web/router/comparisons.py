"""Simple comparisons of expressions as values: what each says of which variable, and whether some can hold together.

An atom's subject is a variable, such as prompt.tokens or size(prompt.text); or two variables that are compared; or, of
what is not understood, its own text: that it holds and does not hold is then all that can contradict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .expression_hints import quoted
from .expression_tree import Node, Unsigned
from .expressions import EXAMPLES

Sort = Literal["number", "text", "flag", "pair", "constant", "unknown"]

MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
DENIED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "==", "in": "not in"}
ORDERS = {"<": {-1}, "<=": {-1, 0}, ">": {1}, ">=": {0, 1}, "==": {0}, "!=": {-1, 1}}
"""Of two that are compared: less, equal, more."""
EXACT = 2**53
"""Beyond it numbers with decimals are not exact, and nothing is concluded."""
KINDS = {"number": "a number", "text": "a text", "flag": "true or false"}
EXAMPLE = {f"{name}.{field}": example for name, fields in EXAMPLES.items() for field, example in fields.items()}


@dataclass(frozen=True)
class Domain:
    """What a variable can be at all, whatever the prompt."""

    words: str
    least: int | None = None
    most: int | None = None
    values: tuple[Any, ...] | None = None
    shape: Callable[[str], bool] | None = None
    """Of a text that may be anything but must look so."""


@dataclass(frozen=True)
class Atom:
    sort: Sort
    subject: str
    """Of a constant: why it is one, where that is not plain."""
    sign: str
    value: Any
    words: str
    """Itself, as it was written."""


def atom(node: Node, truth: bool, source: str) -> Atom:
    """What a part says that is no “&&”, “||”, “!” or choice: that it holds, or that it does not."""
    said = node.text(source)
    words = quoted(said) if truth else f"“!{said}”" if node.kind in ("field", "call") else f"“!({said})”"
    read = _compared(node) or _called(node) or _flag(node)
    if read is None:
        return Atom("unknown", f"“{_plain(node)}”", "is", truth, words)
    sort, subject, sign, value = read
    if sort == "constant":
        return Atom(sort, subject, sign, value is truth, words)
    if sort == "flag" and sign in ("==", "!="):
        return Atom(sort, subject, "==", value is (truth is (sign == "==")), words)
    return Atom(sort, subject, sign if truth else DENIED.get(sign, f"not {sign}"), value, words)


def conflict(atoms: Sequence[Atom], domains: Mapping[str, Domain]) -> bool:
    """Is there surely no value of their subject for which they all hold?"""
    first = atoms[0]
    domain = domains.get(first.subject)
    if first.sort == "constant":
        return not first.value
    if first.sort in ("flag", "unknown"):
        allowed = {True, False} if domain is None or domain.values is None else set(domain.values)
        return not allowed.intersection(*({one.value} for one in atoms))
    if first.sort == "pair":
        return not set.intersection(*(set(ORDERS[one.sign]) for one in atoms))
    return (_no_number if first.sort == "number" else _no_text)(atoms, domain)


def is_certain(tree: Node) -> bool:
    """Is it true or false of every prompt, and never an error? So it is where all of it is understood."""
    for node in tree.walk():
        if node.kind in ("minus", "map", "index", "choose") or (node.kind == "call" and node.said == "matches"):
            return False
        if node.kind == "binary" and node.said in ("+", "-", "*", "/", "%") and _number(node) is None:
            return False
    return True


# -- reading ---------------------------------------------------------------------------------------


def _compared(node: Node) -> tuple[Sort, str, str, Any] | None:
    if node.kind != "binary" or node.said not in (*MIRRORED, "in"):
        return None
    left, right = node.parts
    if node.said == "in":
        return _listed(left, right)
    sign = node.said
    if _subject(left) is None and _subject(right) is not None:
        left, right, sign = right, left, MIRRORED[sign]
    if (subject := _subject(left)) is None:
        values = _constant(left), _constant(right)
        found = None if None in values else _holds(values[0], sign, values[1])
        return None if found is None else ("constant", "", "is", found)
    if (other := _subject(right)) is not None:
        return _pair(subject, sign, other)
    if (value := _constant(right)) is None:
        return None
    sort = _sort(subject)
    if _kind(value) != sort:
        why = f"{subject} is {KINDS[sort]}"
        return ("constant", why, "is", sign == "!=") if sign in ("==", "!=") else None
    return sort, subject, sign, value


def _pair(left: str, sign: str, right: str) -> tuple[Sort, str, str, Any] | None:
    if _sort(left) != _sort(right):
        return ("constant", "", "is", sign == "!=") if sign in ("==", "!=") else None
    if left == right:
        return "constant", "", "is", 0 in ORDERS[sign]
    if left > right:
        left, right, sign = right, left, MIRRORED[sign]
    return "pair", f"{left} and {right}", sign, None


def _listed(left: Node, right: Node) -> tuple[Sort, str, str, Any] | None:
    subject = _subject(left)
    if subject is None or right.kind != "list":
        return None
    values = [_constant(part) for part in right.parts]
    sort = _sort(subject)
    if any(value is None for value in values) or sort == "flag":
        return None
    return sort, subject, "in", tuple(value for value in values if _kind(value) == sort)


def _called(node: Node) -> tuple[Sort, str, str, Any] | None:
    if node.kind != "call" or node.said not in ("startsWith", "endsWith", "contains"):
        return None
    subject, needle = _subject(node.parts[0]), _constant(node.parts[1])
    if subject is None or not isinstance(needle, str) or _sort(subject) != "text":
        return None
    return "text", subject, node.said, needle


def _flag(node: Node) -> tuple[Sort, str, str, Any] | None:
    if node.kind == "literal" and isinstance(node.said, bool):
        return "constant", "", "is", node.said
    subject = _subject(node)
    return ("flag", subject, "==", True) if subject is not None and _sort(subject) == "flag" else None


def _subject(node: Node) -> str | None:
    if node.kind == "field":
        return ".".join(node.said)
    if node.kind == "call" and node.said == "size" and node.parts[0].kind == "field":
        return f"size({'.'.join(node.parts[0].said)})"
    return None


def _sort(subject: str) -> Sort:
    return "number" if subject.startswith("size(") else _kind(EXAMPLE[subject])


def _kind(value: Any) -> Sort:
    return "flag" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def _constant(node: Node) -> Any:
    """None: it has no value that anything is concluded from."""
    if node.kind == "literal" and isinstance(node.said, bool | str):
        return node.said
    return _number(node)


def _number(node: Node) -> int | float | None:
    """Of a number, or of whole numbers that are added, taken away or multiplied."""
    if node.kind == "literal":
        number = node.said
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        return number if is_number and math.isfinite(number) and abs(number) < EXACT else None
    if node.kind != "binary" or node.said not in ("+", "-", "*"):
        return None
    left, right = (_number(part) for part in node.parts)
    if not isinstance(left, int) or not isinstance(right, int) or Unsigned in (type(left), type(right)):
        return None
    value = {"+": left + right, "-": left - right, "*": left * right}[node.said]
    return value if abs(value) < EXACT else None


def _holds(left: Any, sign: str, right: Any) -> bool | None:
    if _kind(left) != _kind(right):
        return sign == "!=" if sign in ("==", "!=") else None
    return (left > right) - (left < right) in ORDERS[sign]


def _plain(node: Node) -> str:
    """The same for what is written alike but for its spaces."""
    inner = ", ".join(_plain(part) for part in node.parts)
    return f"{node.kind}:{node.said!r}({inner})"


# -- deciding --------------------------------------------------------------------------------------


def _no_number(atoms: Iterable[Atom], domain: Domain | None) -> bool:
    """All numbers that can be asked for are whole."""
    least: float = -math.inf if domain is None or domain.least is None else domain.least
    most: float = math.inf if domain is None or domain.most is None else domain.most
    allowed, excluded = None if domain is None or domain.values is None else set(domain.values), set[float]()
    for one in atoms:
        match one.sign:
            case "<":
                most = min(most, math.ceil(one.value) - 1)
            case "<=":
                most = min(most, math.floor(one.value))
            case ">":
                least = max(least, math.floor(one.value) + 1)
            case ">=":
                least = max(least, math.ceil(one.value))
            case "==":
                allowed = {one.value} if allowed is None else allowed & {one.value}
            case "in":
                allowed = set(one.value) if allowed is None else allowed & set(one.value)
            case "!=":
                excluded.add(one.value)
            case "not in":
                excluded |= set(one.value)
    if allowed is not None:
        return not any(least <= value <= most and value == int(value) for value in allowed - excluded)
    if most - least >= len(excluded):  # there are more numbers than are excluded
        return False
    return all(number in excluded for number in range(int(least), int(most) + 1))


def _no_text(atoms: Sequence[Atom], domain: Domain | None) -> bool:
    allowed = None if domain is None or domain.values is None else set(domain.values)
    for one in atoms:
        if one.sign in ("==", "in"):
            values = {one.value} if one.sign == "==" else set(one.value)
            allowed = values if allowed is None else allowed & values
    if allowed is not None:
        shape = domain.shape if domain and domain.shape else lambda value: True
        return not any(shape(value) and all(_fits(value, one) for one in atoms) for value in allowed)
    return _out_of_order(atoms) or _parts_clash(atoms)


def _fits(value: str, one: Atom) -> bool:
    sign, said = one.sign, one.value
    if sign in ORDERS:
        return (value > said) - (value < said) in ORDERS[sign]
    denied, sign = sign.startswith("not "), sign.removeprefix("not ")
    found = {
        "in": lambda: value in said,
        "startsWith": lambda: value.startswith(said),
        "endsWith": lambda: value.endswith(said),
        "contains": lambda: said in value,
    }[sign]()
    return found is not denied


def _out_of_order(atoms: Iterable[Atom]) -> bool:
    """Texts are ordered by their characters' numbers."""
    least, is_strict = "", False
    most: tuple[str, bool] | None = None
    """And whether it may be that itself."""
    for one in atoms:
        if one.sign in (">", ">=") or one.sign == "startsWith":
            if one.value >= least:
                is_strict = (is_strict and one.value == least) or one.sign == ">"
                least = one.value
        elif one.sign in ("<", "<=") and (most is None or (one.value, one.sign == "<=") < most):
            most = (one.value, one.sign == "<=")
    begins = [one.value for one in atoms if one.sign == "startsWith"]
    if any(least[: len(begin)] > begin for begin in begins):
        return True
    return most is not None and (least > most[0] or (least == most[0] and (is_strict or not most[1])))


def _parts_clash(atoms: Iterable[Atom]) -> bool:
    """Two beginnings or two ends of which neither goes on the other; or a part that must and must not be there."""
    has: dict[str, list[str]] = {}
    for one in atoms:
        has.setdefault(one.sign, []).append(one.value)
    begins, ends = has.get("startsWith", []), has.get("endsWith", [])
    within = [*begins, *ends, *has.get("contains", [])]
    return (
        any(not (a.startswith(b) or b.startswith(a)) for a in begins for b in begins)
        or any(not (a.endswith(b) or b.endswith(a)) for a in ends for b in ends)
        or any(not value or value in part for value in has.get("not contains", []) for part in [*within, ""])
        or any(not value or part.startswith(value) for value in has.get("not startsWith", []) for part in [*begins, ""])
        or any(not value or part.endswith(value) for value in has.get("not endsWith", []) for part in [*ends, ""])
    )
