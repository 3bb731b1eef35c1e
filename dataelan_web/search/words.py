"""What was typed → what is searched for.

    cats dogs      both          "big cats"   in this order        cats OR dogs   either
    -dogs          without                    np.array   as it is written, like "np array"
    kubern         the last word may go on (kubernetes), while it is being typed

It is cut into words exactly as the index cuts texts (migrations, `search_words`), and put together again for
PostgreSQL's websearch_to_tsquery, which takes whatever it is given.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 400
MOST = 32
"""Words; further ones are not looked for."""
BY_INDEX = 6
"""Words that the index is asked for, the longest: they are seldom. Each costs, in every slice. Further ones are looked
for in what it finds."""
SHORTEST_BEGINNING = 3
"""Letters that a word must have before other words are tried that begin with it."""

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
SIGNS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_SPACES = str.maketrans(dict.fromkeys(PUNCTUATION, " "))
_TOKEN = re.compile(r'(?P<not>-?)(?:"(?P<phrase>[^"]*)"?|(?P<bare>[^\s"]+))')


@dataclass(frozen=True)
class Wanted:
    web: str = ""
    """For websearch_to_tsquery; without the last word, if that may go on."""
    rest: str = ""
    """What must be there too, in the same form."""
    beginning: str = ""
    """The last word, in small letters, if others that begin with it are wanted too."""
    words: tuple[str, ...] = ()
    """All that a text has because of which it is found, for marking them in it."""
    is_cut: bool = False
    """There were more words than are looked for."""

    @property
    def is_empty(self) -> bool:
        return not (self.web or self.beginning)


def wanted(typed: str) -> Wanted:
    tokens, is_cut = _tokens(typed)
    web, words, beginning = list[str](), list[str](), ""
    for place, (is_not, parts, is_or) in enumerate(tokens):
        if is_or:
            web.append("OR")
            continue
        is_last = place == len(tokens) - 1
        if is_last and _may_go_on(typed, is_not, parts, tokens):
            beginning = parts[0].casefold()
            words.append(beginning)
            continue
        web.append(f'{"-" if is_not else ""}"{" ".join(parts)}"')
        words += [] if is_not else [part.casefold() for part in parts]
    web, rest = (web, []) if "OR" in web or len(web) <= BY_INDEX else _by_index(web)
    return Wanted(" ".join(web), " ".join(rest), beginning, tuple(dict.fromkeys(words)), is_cut)


def _by_index(web: list[str]) -> tuple[list[str], list[str]]:
    """(what the index is asked for, the rest)"""
    by_length = sorted(web, key=lambda one: (one.startswith("-"), -len(one)))
    return by_length[:BY_INDEX], by_length[BY_INDEX:]


def cut(text: str) -> list[str]:
    """The words of a text."""
    return re.sub(f"([{SIGNS}])", r" \1 ", text.translate(_SPACES)).split()


_Token = tuple[bool, list[str], bool]


def _tokens(typed: str) -> tuple[list[_Token], bool]:
    """([(is it unwanted?, its words, is it the word OR?)], were there too many?)"""
    found, count = list[_Token](), 0
    for token in _TOKEN.finditer(typed.replace("\x00", " ")[:LONGEST]):
        if token["bare"] == "OR" and not token["not"]:
            found.append((False, [], True))
        elif parts := cut(token["phrase"] if token["phrase"] is not None else token["bare"]):
            if count + len(parts) > MOST:
                return found, True
            count += len(parts)
            found.append((bool(token["not"]), parts, False))
    return found, len(typed) > LONGEST


def _may_go_on(typed: str, is_not: bool, parts: list[str], tokens: list[_Token]) -> bool:
    """Only a single word at the very end of what was typed, that is wanted in every case."""
    is_plain = len(parts) == 1 and not is_not and not any(is_or for _, _, is_or in tokens)
    return is_plain and typed.endswith(parts[0]) and len(parts[0]) >= SHORTEST_BEGINNING
