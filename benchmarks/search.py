"""The search over a million executions of one organization, with the ways people and programs ask.

Loading them takes some minutes: texts come by COPY, and PostgreSQL cuts them into words. BENCH_EXECUTIONS=50000 is
enough to see that it works.
"""

from __future__ import annotations

import html
import io
import itertools
import json
import os
import random
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from sqlalchemy import text

from dataelan_web.extensions import db
from dataelan_web.models import Project

from .pages import signed_in
from .report import line, spread
from .stack import Stack, running

EXECUTIONS = int(os.environ.get("BENCH_EXECUTIONS", 1_000_000))
A_SESSION = 20
SPAN = timedelta(days=180)
START = datetime(2025, 12, 1, tzinfo=UTC)
ROUNDS = 12
BAR = "bar: 150 ms"
FRAGMENT = {"HX-Request": "true"}


def measure() -> None:
    with running() as stack:
        found = whose(stack)
        words = vocabulary()
        started = time.perf_counter()
        fill(stack, found, words)
        line(f"{EXECUTIONS:,} executions loaded", f"{time.perf_counter() - started:.0f} s")
        started = time.perf_counter()
        index(stack)
        line("and indexed", f"{time.perf_counter() - started:.0f} s")
        browser = signed_in(stack)
        everything = [
            seconds for name, query in queries(words).items() for seconds in timed(browser, found, name, query)
        ]
        spread("all of them", everything, BAR)
        to_the_end(browser, queries(words)["a thousand words"])


def queries(words: list[str]) -> dict[str, dict[str, str]]:
    often, seldom, rare = words[0], words[300], words[20_000]
    return {
        "a word of almost every run": {"q": f"{often} "},
        "a word of one run in a hundred": {"q": f"{seldom} "},
        "a word of a few runs": {"q": f"{rare} "},
        "a word of one run, the oldest": {"q": "uniq1 "},
        "a word of no run": {"q": "nowhere "},
        "a word of every run but the latest quarter": {"q": "bygone "},
        "two that seldom meet": {"q": f"{words[900]} {words[1700]} "},
        "five frequent ones": {"q": " ".join(words[1:6]) + " "},
        "a phrase of frequent ones": {"q": f'"{words[1]} {words[2]} {words[3]}"'},
        "one without another": {"q": f"{words[40]} -{often} "},
        "one or another": {"q": f"{rare} OR nowhere OR {words[30_000]} "},
        "a beginning, as it is typed": {"q": seldom[:4]},
        "a rare word and a beginning": {"q": f"{rare} {often[:3]}"},
        "in one project": {"q": f"{seldom} ", "project": "PROJECT"},
        "by somebody, failed": {"q": f"{often} ", "person": "USER", "error": "yes"},
        "in starred sessions": {"q": f"{often} ", "starred": "yes"},
        "in one week": {"q": f"{seldom} ", "since": "2026-03-02", "until": "2026-03-08"},
        "punctuation": {"q": "%%%%"},
        "a thousand words": {"q": " ".join(words[:1000])},
        "a page further": {"q": f"{often} ", "after": f"2026-04-01T00:00:00+00:00_{uuid.UUID(int=0)}"},
    }


def timed(browser: httpx2.Client, found: dict[str, str], name: str, query: dict[str, str]) -> list[float]:
    said = {
        key: value.replace("PROJECT", found["project"]).replace("USER", found["user"]) for key, value in query.items()
    }
    seconds, hits = [], 0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        answer = browser.get("search", params=said, headers=FRAGMENT)
        seconds.append(time.perf_counter() - started)
        answer.raise_for_status()
        hits = answer.text.count('class="hit"')
    spread(f"{name} ({hits} on the page)", seconds[2:], BAR)
    return seconds[2:]


def to_the_end(browser: httpx2.Client, query: dict[str, str]) -> None:
    """What a page does by itself with a search that finds nothing in the time that one answer has."""
    started, answer, answers = time.perf_counter(), browser.get("search", params=query, headers=FRAGMENT), 1
    while further := re.search(r'hx-get="([^"]+/search\?[^"]+)"', answer.text):
        answer, answers = browser.get(html.unescape(further[1]), headers=FRAGMENT), answers + 1
    line("a thousand words, to the very end", f"{time.perf_counter() - started:.2f} s", f"{answers} answers")


def whose(stack: Stack) -> dict[str, str]:
    """{user, organization, project} by id."""
    project = stack.bootstrap()["project"]
    with stack.app().app_context():
        row = db.session.get_one(Project, uuid.UUID(project))
        return {"project": project, "organization": str(row.organization_id), "user": str(row.created_by)}


# -- a million executions --------------------------------------------------------------------------


def vocabulary() -> list[str]:
    draw, letters = random.Random(1), "etaoinshrdlucmfwypvbgkjqxz"
    weights = [26 - place for place in range(26)]
    words = dict.fromkeys("".join(draw.choices(letters, weights, k=draw.randint(3, 10))) for _ in range(90_000))
    return list(words)


def fill(stack: Stack, found: dict[str, str], words: list[str]) -> None:
    with stack.app().app_context():
        connection = db.session.connection().connection.driver_connection
        cursor = connection.cursor()  # type: ignore[union-attr]
        cursor.execute("SET session_replication_role = replica; SET statement_timeout = 0")
        for table, columns, rows in tables(found, words):
            cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", _Lines(rows))
            cursor.execute(f"ANALYZE {table}")
        cursor.execute("SET session_replication_role = DEFAULT")
        db.session.commit()


def index(stack: Stack) -> None:
    """As `flask rebuild-search` does, but without an index to keep up on the way."""
    from dataelan_web.search.rebuild import rebuild

    with stack.app().app_context():
        definition = db.session.scalar(
            text("SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_search_documents_words'")
        )
        db.session.execute(text("DROP INDEX ix_search_documents_words"))
        db.session.commit()
        rebuild()
        db.session.execute(text("SET LOCAL statement_timeout = 0; SET LOCAL maintenance_work_mem = '1GB'"))
        db.session.execute(text(str(definition)))
        db.session.execute(text("ANALYZE search_documents; ANALYZE search_slices"))
        db.session.commit()


def tables(found: dict[str, str], words: list[str]) -> Iterator[tuple[str, str, Iterable[str]]]:
    """(table, its columns, its lines for COPY)"""
    weights = list(itertools.accumulate(1 / (place + 1) for place in range(len(words))))
    organization, project, user = found["organization"], found["project"], found["user"]
    draw, sessions = random.Random(2), range(0, EXECUTIONS, A_SESSION)

    def said(number: int, length: int) -> str:
        bygone = " bygone" if number < EXECUTIONS * 3 // 4 else ""
        return " ".join(draw.choices(words, cum_weights=weights, k=length)) + f" uniq{number}{bygone}"

    def session_of(number: int) -> str:
        return id_of(1, number - number % A_SESSION)

    def rows(numbers: Iterable[int], *values: Callable[[int], object]) -> Iterator[str]:
        return ("\t".join(str(value(number)) for value in values) for number in numbers)

    yield (
        "prompt_sessions",
        "id, created_at, updated_at, project_id, title, model_type, settings, tags",
        rows(sessions, lambda n: id_of(1, n), at, at, lambda n: f"{project}\tSession {n}\tTEXT\t{{}}\t[]"),
    )
    yield (
        "stars",
        "id, created_at, user_id, session_id",
        rows(
            sessions[:: max(1, len(sessions) // 60)], lambda n: id_of(4, n), at, lambda _: user, lambda n: id_of(1, n)
        ),
    )
    everything = range(EXECUTIONS)
    yield (
        "prompts",
        "id, created_at, session_id, author_id, text",
        rows(everything, lambda n: id_of(2, n), at, session_of, lambda _: user, lambda n: said(n, 12)),
    )
    always = f"{organization}\t{project}\t{user}\tplayground\tTEXT\tauto\t1\t1\t{{}}"
    yield (
        "executions",
        "id, created_at, finished_at, session_id, prompt_id, state, organization_id, project_id, user_id, origin,"
        " model_type, requested, fence, attempts_made, measures",
        rows(
            everything,
            lambda n: id_of(3, n),
            at,
            at,
            session_of,
            lambda n: id_of(2, n),
            lambda n: "completed" if n % 50 else "failed",
            lambda _: always,
        ),
    )
    request = json.dumps({"messages": [{"role": "user", "parts": [{"type": "text", "text": "…"}]}]}, ensure_ascii=False)
    yield (
        "execution_bodies",
        "id, created_at, request, text, reasoning, tool_calls, segments, receipt, error, notice",
        rows(
            everything,
            lambda n: id_of(3, n),
            at,
            lambda _: request,
            lambda n: said(n, draw.choice((20, 60, 120, 200))),
            lambda _: "\t[]\t[]\t{}\t\t",
        ),
    )


def at(number: int) -> datetime:
    return START + number * (SPAN / EXECUTIONS)


def id_of(kind: int, number: int) -> str:
    """Version 7: in time order."""
    millis = int(at(number).timestamp() * 1000)
    return str(uuid.UUID(int=(millis << 80) | (7 << 76) | (2 << 62) | (kind << 48) | number))


class _Lines(io.RawIOBase):
    """Lines as a file, made as they are read."""

    def __init__(self, lines: Iterable[str]):
        self._lines, self._rest = iter(lines), b""

    def read(self, size: int = -1) -> Any:
        while len(self._rest) < size and (more := "\n".join(itertools.islice(self._lines, 1000))):
            self._rest += more.encode() + b"\n"
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
