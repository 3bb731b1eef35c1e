"""What the documentation lists is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from dataelan_web.models import Scope, Unit, Window
from dataelan_web.notify.kinds import KINDS
from dataelan_web.router.candidates import CONTEXT_FALLBACK, FALLBACK, POLICY_FALLBACK
from dataelan_web.router.conditions import CONDITIONS
from dataelan_web.router.expressions import FUNCTIONS, LONGEST, VARIABLES
from dataelan_web.router.rules import STRATEGIES

DOCS = Path(__file__).parent.parent / "docs"
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


def test_every_subject_unit_and_window_of_limits_is_documented() -> None:
    for name in (*Scope, *Unit, *Window):
        assert f"`{name}`" in LIMITS, name


def test_every_fault_of_other_gateways_names_tests_that_are_there() -> None:
    rows = [line for line in (DOCS / "gateway-faults.md").read_text().splitlines() if line.startswith("| ")]
    faults = [row for row in rows if not row.startswith("| what hurts |")]
    assert len(faults) > 60
    for row in faults:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
        assert named or "*later*" in row, row
        for path, test in named:
            assert f"\ndef {test}(" in (DOCS.parent / "tests" / path).read_text(), f"{path}::{test}"
