"""What the documentation lists is what the code has."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from dataelan_web.metrics import families
from dataelan_web.models import Scope, Unit, Window
from dataelan_web.notify.kinds import KINDS
from dataelan_web.router.candidates import CONTEXT_FALLBACK, FALLBACK, POLICY_FALLBACK
from dataelan_web.router.conditions import CONDITIONS
from dataelan_web.router.expressions import FUNCTIONS, LONGEST, VARIABLES
from dataelan_web.router.rules import STRATEGIES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ROUTING, NOTICES, LIMITS = ((DOCS / name).read_text() for name in ("routing.md", "notices.md", "limits.md"))


def table() -> str:
    rows = [
        f"| `{variable}.{field}` | {type(example).__name__} | {meaning} |"
        for variable, fields in VARIABLES.items()
        for field, (example, meaning) in fields.items()
    ]
    return "\n".join(["| variable | type | meaning |", "|---|---|---|", *rows])


def test_every_variable_of_expressions_is_documented_as_the_code_has_it() -> None:
    found = re.search(r"<!-- variables -->\n(.*?)\n<!-- /variables -->", ROUTING, re.S)
    assert found, "docs/routing.md has no place for the variables"
    assert found[1] == table(), f"docs/routing.md should say:\n{table()}"


def test_every_condition_strategy_tag_and_function_is_documented() -> None:
    for name in (*CONDITIONS, FALLBACK, CONTEXT_FALLBACK, POLICY_FALLBACK, *FUNCTIONS):
        assert f"`{name}`" in ROUTING, name
    for name in STRATEGIES:
        assert f"| {name} |" in ROUTING, name
    assert f"{LONGEST} characters" in ROUTING


def test_every_kind_of_notice_is_documented_as_the_code_has_it() -> None:
    words = {True: "yes", False: "no"}
    rows = [f"| `{key}` | {k.about} | {words[k.is_mailed]} | {words[k.is_for_programs]} |" for key, k in KINDS.items()]
    table = "\n".join(["| kind | when | mail | webhooks |", "|---|---|---|---|", *rows])
    assert f"<!-- kinds -->\n{table}\n<!-- /kinds -->" in NOTICES, f"docs/notices.md should say:\n{table}"


def test_every_metric_is_documented_as_the_code_has_it() -> None:
    rows = [f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {one.about} |" for one in families.ALL]
    table = "\n".join(["| metric | kind | labels | |", "|---|---|---|---|", *rows])
    said = (DOCS / "operations.md").read_text()
    assert f"<!-- metrics -->\n{table}\n<!-- /metrics -->" in said, f"docs/operations.md should say:\n{table}"


def test_every_subject_unit_and_window_of_limits_is_documented() -> None:
    for name in (*Scope, *Unit, *Window):
        assert f"`{name}`" in LIMITS, name


def test_every_item_of_the_standard_has_a_test_or_a_reason_and_the_sums_are_right() -> None:
    """OWASP ASVS 5.0.0 has 70 requirements of level 1 and 183 of level 2."""
    said = (DOCS / "security.md").read_text()
    rows = re.findall(r"^\| (\d+\.\d+\.\d+) \| ([12]) \| .+ \| .*\| (.+) \|$", said, re.M)
    assert len({number for number, _, _ in rows}) == len(rows)
    assert Counter(level for _, level, _ in rows) == {"1": 70, "2": 183}
    kinds = Counter(why[:9] if why.startswith("*") else "a test" for _, _, why in rows)
    counted = {
        "met, and tested": kinds.pop("a test"),
        "met, by construction or configuration": kinds.pop("*By const") + kinds.pop("*By confi"),
        "does not apply": kinds.pop("*Does not"),
        "not met": kinds.pop("*Not met*"),
    }
    assert not kinds, "neither a test nor a reason that is known"
    assert all(why.startswith("*") or re.match(r"`tests/[\w/]+\.py::\w+`", why) for _, _, why in rows)
    for what, count in counted.items():
        assert f"| {what} | {count} |" in said, f"docs/security.md should say: {what} | {count}"


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_every_test_that_a_document_names_exists(path: Path) -> None:
    """A table of promises has a column `test`, which no row leaves empty; what is named anywhere is there."""
    text, of_tests = path.read_text(), None
    for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?", text):
        assert (ROOT / file).is_file(), file
        assert not name or name in functions_of(ROOT / file), f"{file}::{name}"
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells and "test" in cells:
            of_tests = cells.index("test")
        elif cells and of_tests is not None and set(cells[0]) != {"-"}:
            assert re.search(r"`tests/[\w/]+\.py::\w+`|\*later\*", cells[of_tests]), f"no test: {line}"
        elif not cells:
            of_tests = None


@cache
def functions_of(file: Path) -> set[str]:
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}
