"""The house rules of docs/architecture.md, kept by reading the source: who imports whom, and what is where."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dataelan_web"
FILES = sorted(PACKAGE.rglob("*.py"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))

FEATURES = set(
    "accounts organizations members projects programs actions playground prompts batches search sharing".split()
    + "imports trash hub limits notices dashboards gateway admin audit_log health metrics summaries sso".split()
)
WEB = {
    "access",
    "api_errors",
    "audit",
    "currencies",
    "errors",
    "fields",
    "formats",
    "headers",
    "markdown",
    "modes",
    "once",
    "page_hooks",
    "place",
    "second_net",
    "shell",
    "sums_seen",
    "text",
    "web",
    "config",
}
"""What belongs to answering a request, for features to build on."""

MAY_IMPORT = {
    "router": {"router"},
    "models": {"models", "processors"},
    "extensions": {"models"},
    "quota": {"quota", "models"},
    "secrets": set(),
    "audit": {"extensions", "models"},
    "storage": set(),
    "rollups": {"rollups", "models", "extensions"},
    "pool": {"extensions"},
    "together": set(),
    "spool": set(),
    "turns": set(),
    "second_net": {"extensions"},
    "starting": set(),
    "processors": set(),
    "lazy_rule": set(),
    "logs": set(),
    "traces": {"traces", "models", "router", "config"},
    "jobs.queue": set(),
    "notify": {"notify", "quota", "audit", "secrets", "models", "extensions", "router", "config", "text"},
    "acting": {"acting", "executions", "notify", "audit", "secrets", "models", "extensions", "router", "text"},
    "executions": {"executions", "notify", "quota", "audit", "secrets", "storage", "jobs", "models", "extensions",
                   "router", "logs", "traces", "pool", "second_net", "spool", "together", "turns"},
    "access": {"extensions", "models"},
    "place": {"access", "extensions", "models"},
    "sums_seen": {"access", "extensions", "models"},
    "web": set(),
    "once": {"web", "extensions", "jobs", "models"},
    "modes": {"extensions", "models"},
    "page_hooks": {"extensions"},
    "shell": {"access", "audit", "extensions", "models", "notify"},
    "local": {"local"},
    **{name: FEATURES | WEB | {"acting", "executions", "logs", "notify", "pool", "quota", "rollups", "secrets",
                               "storage", "jobs", "models", "extensions", "router", "together"}
       for name in FEATURES},
}  # fmt: skip
"""Room → the rooms it may import from. What is not in here (cli, bootstrap, worker …) stands above all of them."""


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> set[str]:
    """Every module this file imports, anywhere in it, by its whole name."""
    package = ["dataelan_web", *path.relative_to(PACKAGE).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            inner = {f"{module}.{alias.name}" for alias in node.names if is_ours(f"{module}.{alias.name}")}
            found |= inner or {module}
    return found


def ours(path: Path) -> set[str]:
    """What it imports of this package, without `dataelan_web.`."""
    prefix = "dataelan_web."
    return {name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)}


def is_ours(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return name.startswith("dataelan_web.") and (path.is_dir() or path.with_suffix(".py").is_file())


def room(module: str) -> str:
    return module.split(".")[0]


def relevant() -> list[tuple[Path, str]]:
    """(file, its room in MAY_IMPORT)"""
    rooms = [
        (path, next((r for r in (module_of(path), room(module_of(path))) if r in MAY_IMPORT), "")) for path in FILES
    ]
    return [(path, name) for path, name in rooms if name]


def test_imports_point_downwards() -> None:
    wrong = {
        f"{module_of(path)} imports {module}; {name} may import {sorted(MAY_IMPORT[name])}"
        for path, name in relevant()
        for module in ours(path)
        if room(module) not in MAY_IMPORT[name]
    }
    assert not wrong


def test_every_room_is_known_to_the_rules() -> None:
    above = {
        "api_errors",
        "application",
        "bodies",
        "backup",
        "bootstrap",
        "cli",
        "currencies",
        "demo",
        "demo_rhythm",
        "demo_rules",
        "demo_runs",
        "jobs",
        "errors",
        "request_ids",
        "fields",
        "form_tokens",
        "headers",
        "hosts",
        "static_files",
        "formats",
        "markdown",
        "text",
        "config",
    }
    rooms = {room(module_of(path)) for path in FILES} - {""}
    assert not rooms - set(MAY_IMPORT) - above, "a new room: say in MAY_IMPORT what it may import"


def test_no_feature_imports_anothers_routes() -> None:
    for path in FILES:
        for module in ours(path):
            if module.endswith("routes"):
                assert room(module) == room(module_of(path)), f"{module_of(path)} imports {module}"


@pytest.mark.parametrize("name", ["acting", "executions", "notify"])
def test_the_middle_rooms_know_no_request(name: str) -> None:
    of_a_request = {"request", "session", "g", "url_for", "abort", "render_template", "current_user"}
    for path in (PACKAGE / name).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flask"):
                assert not {alias.name for alias in node.names} & of_a_request, module_of(path)


def test_the_router_needs_no_flask_and_no_database() -> None:
    for path in (PACKAGE / "router").rglob("*.py"):
        outside = {room(module) for module in imports(path)}
        assert not outside & {"flask", "sqlalchemy", "redis", "rq"}, path


def test_a_feature_is_reached_by_the_queue_by_name_only() -> None:
    assert not ours(PACKAGE / "jobs" / "queue.py")
    assert {room(module) for module in ours(PACKAGE / "jobs" / "tasks.py")} == {"executions", "dashboards"}


def test_only_web_knows_the_headers_of_htmx() -> None:
    knowing = {module_of(path) for path in FILES if re.search(r"[\"']HX-", path.read_text())}
    assert knowing == {"web"}


def test_only_the_wire_knows_the_http_client() -> None:
    knowing = {module_of(path) for path in FILES if any("httpx" in m for m in imports(path))}
    knowing = {module for module in knowing if room(module) != "local"}
    assert knowing == {f"router.{name}" for name in ("requests", "reaching", "http11", "wire", "exchange")}


def test_only_models_name_tables_and_only_migrations_change_them() -> None:
    for path in FILES:
        if room(module_of(path)) != "models":
            assert "__tablename__" not in path.read_text(), path


MODELS = re.compile(
    r"\b(gpt|o[1-9]|claude|gemini|gemma|imagen|veo|dall|llama|mistral|mixtral|codestral|voxtral|deepseek|grok|qwen|command"
    r"|sonar|whisper|tts|titan|nova|sora|flux|sdxl|kimi|text-embedding|davinci|babbage|deep-research)-[*\w]",
    re.IGNORECASE,
)


def test_no_model_is_known_to_the_code_by_its_name() -> None:
    """Names are in router/names.yaml; the models of the demo are invented."""
    for path in FILES:
        tree = ast.parse(path.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        said = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        named = [node.value for node in said if id(node) not in docs and MODELS.search(node.value)]
        assert not named or path.name == "demo.py", (path, named)
    scripts = [path for path in (ROOT / "static").glob("*.js") if MODELS.search(path.read_text())]
    assert not scripts


def test_a_file_fits_in_the_head_and_its_name_says_something() -> None:
    nothing = {"utils", "util", "helpers", "helper", "service", "services", "manager", "managers", "common", "misc"}
    lines = {module_of(path): path.read_text().count("\n") for path in FILES}
    long = {module: count for module, count in lines.items() if count > 400}
    assert not long, "what are the two things each of them does?"
    empty = {module for module in lines if nothing.intersection(re.split(r"[_.]", module))}
    assert not empty, "name each for the thing or the act"


def test_a_route_parses_asks_calls_one_verb_and_renders() -> None:
    for path in PACKAGE.rglob("*routes.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and any("bp." in ast.unparse(d) for d in node.decorator_list):
                count = sum(isinstance(child, ast.stmt) for child in ast.walk(node)) - 1
                assert count <= STATEMENTS, f"{module_of(path)}.{node.name} has {count} statements"


STATEMENTS = 16
"""Rule 4 says 12 lines; an `if` and what it does are two statements here."""


def test_no_exception_is_caught_and_forgotten() -> None:
    """A bare `except:`, or `except Exception: pass`, hides what it was not meant for."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                everything = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
                is_silent = all(isinstance(child, ast.Pass) for child in node.body)
                assert not (everything and is_silent), f"{module_of(path)}:{node.lineno}"


def test_a_template_never_queries_and_trusts_nothing() -> None:
    for path in TEMPLATES:
        code = " ".join(re.findall(r"{[{%].*?[%}]}", path.read_text(), re.S))
        query = r"\bdb\.|\.query\b|\.filter_by\b|\baccess\.|\bcurrent_user\.(?!name|email|id)"
        assert not re.search(query, code), path
        trusting = re.search(r"\|\s*safe\b|autoescape\s+false", code)
        assert not trusting, f"{path}: what is safe is said by Markup, in Python"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-traces.txt", "requirements-dev.txt"])
def test_nothing_is_installed_but_what_is_pinned_to_its_bytes(name: str) -> None:
    """Somebody who takes over a package on its index gets into no installation of ours."""
    pins = re.split(r"\n(?=\w)", re.sub(r"(?m)^\s*#.*\n", "", (ROOT / name).read_text()).strip())
    assert [pin.split()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []
    for file in ("Makefile", "Dockerfile"):
        installs = [line for line in (ROOT / file).read_text().splitlines() if re.search(r"pip install -", line)]
        assert installs
        assert all("--require-hashes" in line for line in installs), file


def test_no_style_asks_of_the_whole_page_what_is_in_it() -> None:
    """A `:has` of what holds an answer being written, or a place among others that decides over `*`, has the styles of
    the whole page computed anew at its pieces: a fifth of the browser’s work. A class or a name does it too."""
    holds_answers = (
        r"(?:^|[\s,}>])(?:html|body|:root|\.app|\.content|#content|\.runs|#runs|\.run)(?:[.:\[][^\s,{]*)?:has\((?!~)"
    )
    decides_over_all = r":(?:has|first|last|only|nth)[\w-]*(?:\([^{},]*\))?[^{},]*\s\*\s*[,{]"
    for path in (ROOT / "static").glob("*.css"):
        found = re.findall(f"{holds_answers}|{decides_over_all}", path.read_text())
        assert not found, (path.name, found)
