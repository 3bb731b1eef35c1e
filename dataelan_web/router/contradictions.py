"""Expressions that are true of no prompt, or of every one: found by reasoning over their comparisons.

Every way in which an expression could be true is gone through, at most STEPS of them, as sets of comparisons that would
all have to hold; each set is asked whether it can (comparisons.py). What is not understood counts as possible, and so
does all that is not reached: nothing that some prompt meets is ever called contradictory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from .comparisons import Atom, Domain, atom, conflict, is_certain
from .expression_hints import quoted
from .expression_tree import Node

STEPS = 2_000
TOLD = 3
"""Ways that are told of an expression none of whose ways is open."""


@dataclass(frozen=True)
class Clash:
    """Comparisons that cannot hold together; one alone: it never holds."""

    atoms: tuple[Atom, ...]
    why: str = ""
    """What is known of the variable, where that is why."""

    @property
    def words(self) -> str:
        said = list(dict.fromkeys(atom.words for atom in self.atoms))
        because = f": {self.why}" if self.why else ""
        if len(said) == 1:
            return f"{said[0]} is never true{because}"
        both = "contradict each other" if len(said) == 2 else "cannot all be true"
        return f"{', '.join(said[:-1])} and {said[-1]} {both}{because}"


class _TooLong(Exception):
    """There are more ways than are gone through."""


def contradiction(tree: Node, source: str, domains: Mapping[str, Domain]) -> str | None:
    """Why it is true of no prompt, in words that name what contradicts what; None: it may be."""
    clashes = _closed(tree, source, domains, True)
    if clashes is None:
        return None
    words = list(dict.fromkeys(clash.words for clash in clashes))
    if len(words) == 1:
        return f"{words[0][:1].upper()}{words[0][1:]}."
    told = "; ".join(words[:TOLD])
    more = f"; and {len(words) - TOLD} more" if len(words) > TOLD else ""
    return f"Whichever part of it is taken, it is never true: {told}{more}."


def warnings(tree: Node, source: str, domains: Mapping[str, Domain]) -> Iterator[str]:
    """What of it says nothing, though it may be kept: where it is always true, and parts that change nothing."""
    if _always(tree, source, domains):
        yield "It is always true, and shuts out no prompt."
        return
    for node in sorted(tree.walk(), key=lambda node: node.start):
        if node.kind not in ("all", "any"):
            continue
        for part in node.parts:
            said = part.text(source)
            if node.kind == "any" and _closed(part, source, domains, True) is not None:
                yield f"{quoted(said)} is never true, and changes nothing."
            elif node.kind == "all" and _always(part, source, domains):
                yield f"{quoted(said)} is always true, and changes nothing."


def _always(tree: Node, source: str, domains: Mapping[str, Domain]) -> bool:
    return is_certain(tree) and _closed(tree, source, domains, False) is not None


def _closed(tree: Node, source: str, domains: Mapping[str, Domain], truth: bool) -> list[Clash] | None:
    """What stands against each way in which the tree could be of this truth; None: some way is open, or may be."""
    search = _Search(source, domains)
    try:
        return search.clashes if search.closes(((tree, truth),), ()) else None
    except _TooLong:
        return None


@dataclass
class _Search:
    source: str
    domains: Mapping[str, Domain]
    steps: int = 0
    clashes: list[Clash] = field(default_factory=list)

    def closes(self, todo: tuple[tuple[Node, bool], ...], atoms: tuple[Atom, ...]) -> bool:
        """Can what is to do not hold together with these? What there is a choice of comes last."""
        choices: list[tuple[Node, bool]] = []
        while todo:
            self._step()
            (node, truth), *rest = todo
            todo = tuple(rest)
            if node.kind == "not":
                todo = ((node.parts[0], not truth), *todo)
            elif node.kind in ("all", "any") and (node.kind == "all") is truth:
                todo = (*((part, truth) for part in node.parts), *todo)
            elif (same := _told_apart(node)) is not None:
                part, is_alike = same
                todo = ((part, truth is is_alike), *todo)
            elif node.kind in ("all", "any", "choose"):
                choices.append((node, truth))
            else:
                atoms = (*atoms, atom(node, truth, self.source))
                if (clash := self._clash(atoms)) is not None:
                    self.clashes.append(clash)
                    return True
        if not choices:
            return False
        (node, truth), *rest = choices
        return all(self.closes((*way, *rest), atoms) for way in _ways(node, truth))

    def _step(self) -> None:
        self.steps += 1
        if self.steps > STEPS:
            raise _TooLong

    def _clash(self, atoms: Sequence[Atom]) -> Clash | None:
        """The fewest of them, with the newest among them, that cannot hold together."""
        newest = atoms[-1]
        others = [one for one in atoms[:-1] if one.subject == newest.subject]
        if not conflict([*others, newest], self.domains):
            return None
        few = ((*some, newest) for count in (0, 1) for some in combinations(others, count))
        found = next((some for some in few if conflict(some, self.domains)), (*others, newest))
        if newest.sort == "constant":
            return Clash((newest,), newest.subject)
        domain = self.domains.get(newest.subject)
        return Clash(tuple(found), "" if domain is None or conflict(found, {}) else domain.words)


def _ways(node: Node, truth: bool) -> Iterator[tuple[tuple[Node, bool], ...]]:
    """The ways in which it can be of this truth, of which one would be enough."""
    if node.kind == "choose":
        condition, yes, no = node.parts
        yield (condition, True), (yes, truth)
        yield (condition, False), (no, truth)
    else:
        yield from (((part, truth),) for part in node.parts)


def _told_apart(node: Node) -> tuple[Node, bool] | None:
    """Of `question == true` and the like: (the question, whether it must be true for the whole to be)."""
    if node.kind != "binary" or node.said not in ("==", "!="):
        return None
    for literal, other in (node.parts, node.parts[::-1]):
        if literal.kind == "literal" and isinstance(literal.said, bool) and _is_question(other):
            return other, literal.said is (node.said == "==")
    return None


def _is_question(node: Node) -> bool:
    if node.kind in ("all", "any", "not"):
        return True
    return node.kind == "binary" and node.said in ("<", "<=", ">", ">=", "==", "!=", "in")
