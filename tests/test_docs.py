"""What the documentation lists is what the code has."""

from __future__ import annotations

import ast
import base64
import re
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask

from dataelan_web import config
from dataelan_web.local import programs
from dataelan_web.metrics import families
from dataelan_web.models import Scope, Unit, Window
from dataelan_web.notify.kinds import KINDS
from dataelan_web.router.candidates import CONTEXT_FALLBACK, FALLBACK, POLICY_FALLBACK
from dataelan_web.router.conditions import CONDITIONS
from dataelan_web.router.expressions import FUNCTIONS, LONGEST, VARIABLES
from dataelan_web.router.rules import STRATEGIES

ROOT = Path(__file__).parent.parent
DOCS, PACKAGE = ROOT / "docs", ROOT / "dataelan_web"
EXAMPLES = (
    "DATAELAN_STORAGE_URL", "DATAELAN_SIGN_UP_DOMAINS", "DATAELAN_REACHABLE_HOSTS", "DATAELAN_TRUSTED_HOSTS",
    "DATAELAN_TRACES_URL",
)  # fmt: skip
"""Settings of which .env.example shows what one may look like: by default they are empty."""
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


def named_in(path: Path) -> list[str]:
    """What stands between backticks in a document, but for blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", path.read_text(), flags=re.S))


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.stem)
def test_every_file_and_name_of_the_code_that_a_document_names_exists(path: Path) -> None:
    """Such as `serve.py`, `executions/votes`, `hub/endings/dependents.BY_NAME`, and `audit.record` of a file that is in
    no package. A name with a dot before which nothing of ours stands may be anything: a column, a variable."""
    packages = {folder.name for folder in PACKAGE.rglob("*") if folder.is_dir()}
    alone = {file.stem for file in PACKAGE.glob("*.py")}
    for name in {*named_in(path)} - {"config.yaml"}:  # LiteLLM’s
        if re.fullmatch(r"[\w/]+\.(py|sql|html|yaml|txt|md)", name):
            assert any(file.endswith(f"/{name}") for file in files()), name
        elif re.fullmatch(r"\w+(/\w+)*/?(\w+\.\w+)?|\w+\.\w+", name):
            module, _, attribute = name.rstrip("/").partition(".")
            if module.partition("/")[0] in packages if "/" in module else attribute and module in alone:
                ends = f"/{module}.py", f"/{module}/__init__.py"
                found = [file for file in files() if file.endswith(ends)]
                assert found, f"no file {module}"
                assert not attribute or any(attribute in names_of(file) for file in found), name


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.stem)
def test_every_link_to_a_document_leads_to_a_place_of_it(path: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text()):
        name, _, place = link.partition("#")
        text = (path.parent / name if name else path).read_text()
        titles = [
            re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)
        ]
        assert not place or place in titles, link


def test_every_package_has_its_row_in_the_house_plan() -> None:
    rooms = "".join(re.findall(r"^\| (`.*?`(?: in rooms)?) \| ", (DOCS / "architecture.md").read_text(), re.M))
    packages = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert packages <= set(re.findall(r"(\w+)/", rooms))


def test_every_command_is_named_in_the_readme(app: Flask) -> None:
    said = {name for one in named_in(ROOT / "README.md") if (name := re.fullmatch(r"([\w-]+) ([\w|]+)", one))}
    groups = {name[1]: set(name[2].split("|")) for name in said}
    ours = {name: one for name, one in app.cli.commands.items() if name not in ("db", "run", "shell", "routes")}
    for name, command in ours.items():
        if isinstance(command, click.Group):
            assert groups.get(name) == set(command.commands), name
        else:
            assert name in named_in(ROOT / "README.md"), name


class Noted(dict[str, str]):
    """An environment that knows what it was asked for."""

    def __init__(self, given: dict[str, str]):
        super().__init__(given)
        self.asked = set[str]()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name.removesuffix("_FILE"))
        return super().get(name, default)


def test_every_setting_is_explained_with_its_default_and_handed_on_by_compose() -> None:
    key = base64.b64encode(bytes(32)).decode()
    needed = {"DATABASE_URL": "postgresql://u@h/d", "REDIS_URL": "redis://h", "SECRET_KEY": "x" * 32}
    environ = Noted(
        needed | {"DATAELAN_KEYS": f"k1:{key}", "DATAELAN_MAIL_URL": "smtp://h", "DATAELAN_MAIL_FROM": "a@b.c"}
    )
    usual = config.load(environ)
    programs.product(environ, programs.number(environ, "PORT", 8000), 9000)
    explained = dict(re.findall(r"^# ([A-Z_]{4,})=(.*)$", (ROOT / ".env.example").read_text(), re.M))
    assert set(explained) == environ.asked
    defaults = {name: value for name, value in explained.items() if name not in (*environ, *EXAMPLES)}
    found = config.load({**environ, **defaults})  # where its address is said, it answers by no other name
    assert replace(found, trusted_hosts=()) == usual
    composed = (ROOT / "compose.yaml").read_text()
    assert {name for name in explained if name not in composed} == {"DATAELAN_DATA_DIR", "DATAELAN_WORKERS"}


@cache
def files() -> list[str]:
    rooms = [one for one in ROOT.iterdir() if one.is_dir() and one.name[0] != "." and one.name != "var"]
    return [f"{ROOT}/{one.name}" for one in ROOT.iterdir()] + [str(file) for one in rooms for file in one.rglob("*.*")]


@cache
def names_of(file: str) -> set[str]:
    """What a file defines, or takes from another."""
    found = set[str]()
    for node in ast.walk(ast.parse(Path(file).read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            found.update(one.asname or one.name for one in node.names)
    return found


@cache
def functions_of(file: Path) -> set[str]:
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}
