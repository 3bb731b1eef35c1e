"""What somebody may have meant who wrote what no expression can say: other languages' signs, words that are near."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .expression_tree import Token

SIGNS = (
    ("=>", ">="),
    ("=<", "<="),
    ("=", "=="),
    ("&", "&&"),
    ("|", "||"),
    ("≥", ">="),
    ("≤", "<="),
    ("≠", "!="),
    ("∧", "&&"),
    ("∨", "||"),
    ("¬", "!"),
)
"""What is written elsewhere → what is written here, the longer ones first."""
WORDS = {"and": "&&", "or": "||", "is": "==", "equals": "==", "eq": "==", "ne": "!=", "gt": ">", "gte": ">=",
         "lt": "<", "lte": "<=", "mod": "%"}  # fmt: skip
METHODS = {"contains": "contains", "like": "contains", "includes": "contains", "matches": "matches",
           "startswith": "startsWith", "endswith": "endsWith"}  # fmt: skip
NO_NAMES = {"in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
            "package", "namespace", "return", "var", "void", "while"}  # fmt: skip
"""Words that CEL keeps for itself."""
TEXTS = {"TEXT", "CODE", "IMAGE", "VOICE", "VIDEO", "OWNER", "ADMIN", "MEMBER", "VIEWER", "GUEST", "playground",
         "gateway", "batch", "judge", "chat", "image", "speech", "transcription", "video", "embedding"}  # fmt: skip
"""What some variables can say, and what is easily written without quotation marks."""
QUOTES = "“”„‟«»‘’‚`´"
POWER = "There are no powers here. Multiply instead."
CHOOSE = "There is no “if” here. Write: condition ? a : b"


def near(word: str, known: Iterable[str], before: str = "") -> str:
    """“ Did you mean “…”?”, or nothing. `before`: what stands before each of the known."""
    spelled = {one.lower(): one for one in known}
    found = get_close_matches(word.lower(), spelled, 1, 0.7)
    return f" Did you mean “{before}{spelled[found[0]]}”?" if found else ""


def quoted(said: str) -> str:
    """A piece of an expression within a sentence."""
    return said if said[:1] in "\"'" else f"“{said}”"


def of_sign(source: str, at: int) -> str:
    """Of what begins no piece of an expression."""
    sign = source[at]
    if sign == "=" and source[at - 2 : at] in ("==", "!=") and at >= 2:
        return f"“{source[at - 2 : at + 1]}” means nothing here. Did you mean “{source[at - 2 : at]}”?"
    for theirs, ours in SIGNS:
        if source.startswith(theirs, at):
            return f"“{theirs}” means nothing here. Did you mean “{ours}”?"
    if sign in "\"'":
        return f"The text that begins with {sign} is not closed: put {sign} behind it."
    if sign in QUOTES:
        return f'“{sign}” is a printed quotation mark. Put texts between " and ".'
    if sign == "^":
        return POWER
    if sign == "$":
        return "There is no “$”. Write fields as they are, such as prompt.tokens."
    said = sign if sign.isprintable() else f"U+{ord(sign):04X}"
    return f"“{said}” means nothing here{', outside a text' if sign.isprintable() else ''}."


def after_value(source: str, tokens: Sequence[Token], place: int) -> str:
    """Of a piece that cannot come after something whole; empty: nothing is known of it."""
    token, before = tokens[place], tokens[place - 1] if place else None
    word = token.text.lower()
    if token.kind == "name" and word in WORDS:
        return f"“{token.text}” is not a sign of CEL. Did you mean “{WORDS[word]}”?"
    if token.kind == "name" and word in METHODS:
        function = METHODS[word]
        return f'“{token.text}” is written after a point: prompt.text.{function}("…")'
    if token.kind == "name" and word == "not":
        return "“not” is not a sign of CEL. “!” is written before what is denied: !(prompt.tokens > 1000)"
    if token.kind == "name" and before and before.text.lower() == "not":
        return "“not” is not a sign of CEL. Did you mean “!”?"
    if token.kind == "name" and before and before.kind == "number" and before.end == token.start:
        return f"“{before.text}{token.text}” is not a number.{_in_full(before.text, token.text)}"
    if token.text == "," and before and before.kind == "number" and _goes_on(tokens, place):
        following = tokens[place + 1].text
        return f"Numbers are written without commas: {before.text}{following}"
    if token.kind == "text" and before and before.kind == "name":
        return f"Between “{before.text}” and the text a sign is missing, such as “==”."
    if token.text == "%":
        return "“%” is a remainder, and a number must come after it."
    return ""


def for_value(tokens: Sequence[Token], place: int) -> str:
    """Of a piece that stands where a value belongs; empty: nothing is known of it."""
    token, before = tokens[place], tokens[place - 1] if place else None
    doubled = f"{before.text}{token.text}" if before and before.end == token.start else ""
    if doubled == "**":
        return POWER
    if doubled == "<>":
        return "“<>” means nothing here. Did you mean “!=”?"
    if token.text in ("if", "else"):
        return CHOOSE
    if token.text in NO_NAMES - {"in"}:
        return f"“{token.text}” is a word that CEL keeps for itself."
    if token.text in ("&&", "||", "==", "!=", "<", "<=", ">", ">=", "in", "*", "/", "%", "?") and before is None:
        return f"Something is missing before “{token.text}”."
    return ""


def _goes_on(tokens: Sequence[Token], place: int) -> bool:
    following = tokens[place + 1]
    return following.kind == "number" and following.start == tokens[place].end and len(following.text) == 3


def _in_full(number: str, unit: str) -> str:
    zeros = {"k": "000", "m": "000000"}.get(unit.lower())
    return f" Write it in full: {number}{zeros}" if zeros and number.isdigit() else " Numbers have no units."
