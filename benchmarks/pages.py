"""Server time and size of each page, with some work behind it."""

from __future__ import annotations

import gzip
import re
import time
import uuid

import httpx2
from sqlalchemy import select

from dataelan_web.extensions import db
from dataelan_web.models import Action, Execution, ExecutionBody, Prompt, PromptSession, new_id

from .first_token import first_token, signed_up
from .report import line, spread
from .stack import PASSWORD, Stack, running

RUNS = 30
LONG = 500
SHOWN = 60
WORDS = "What was asked, or what was answered, at the length that people and models have. " * 10
ROUNDS = 20


def measure() -> None:
    with running() as stack:
        browser = signed_up(stack)
        for _ in range(RUNS):  # one after the other: each continues the one before
            first_token(browser)
        session = str(browser.base_url).rstrip("/")
        home = session.split("/sessions/")[0]
        long, last = long_session(stack, session.rsplit("/", 1)[1])
        for name, url in {
            "home": f"{home}/",
            f"session, {RUNS} runs": session,
            f"session, {LONG} runs": f"{home}/sessions/{long}",
            "its older runs": f"{home}/sessions/{long}?before={last}&branch={last}",
            "project": project_of(browser, session),
            "search": f"{home}/search?q=approached",
            "palette": f"{home}/palette?q=sess",
            "providers": f"{home}/hub/providers",
            "models": f"{home}/hub/models",
        }.items():
            times, page = visits(browser, url, "true" if "older" in name else "false")
            spread(name, times, "bar: 300 ms, 200 KB" if str(LONG) in name else "")
            line("", f"{len(gzip.compress(page)) / 1024:.1f} KB", f"gzip; {len(page) / 1024:.0f} KB plain")


def long_session(stack: Stack, id: str) -> tuple[str, uuid.UUID]:
    """A session of LONG runs in one line, each like one of this session's; and its last run. Those that pages show
    have the whole conversation before them in what was asked, as they would."""
    with stack.app().app_context():
        few = list(db.session.scalars(select(Execution).where(Execution.session_id == id).limit(RUNS)))
        first = few[0]
        long = PromptSession(id=new_id(), project_id=first.project_id, title="A long one", created_by=first.user_id)
        db.session.add(long)
        db.session.flush()
        kept = [column.name for column in Execution.__table__.columns if column.name not in ("id", "idempotency_key")]
        last: uuid.UUID | None = None
        for number in range(LONG):
            one = few[number % len(few)]
            values = {name: getattr(one, name) for name in kept} | {"session_id": long.id, "continues_id": last}
            request, messages = one.body.request, one.body.request["messages"]
            if number >= LONG - SHOWN:
                said = [{"role": role, "parts": [{"type": "text", "text": WORDS}]} for role in ("user", "assistant")]
                request = request | {"messages": [*said * number, messages[-1]]}
            body = ExecutionBody(request=request, text=one.body.text, receipt=one.body.receipt)
            prompt = Prompt(session_id=long.id, author_id=one.user_id, text=f"Number {number}: say something")
            actions = [
                Action(position=found.position, kind=found.kind, title=found.title, payload=found.payload)
                for found in one.actions
            ]
            last = new_id()
            db.session.add(
                Execution(id=last, **values | {"prompt_id": None}, prompt=prompt, body=body, actions=actions)
            )
            db.session.flush()
        db.session.commit()
        assert last
        return str(long.id), last


def project_of(browser: httpx2.Client, session: str) -> str:
    page = browser.get(session, headers={"HX-Request": "false"}).text
    return str(browser.base_url.join(re.search(r'href="(/o/[^"]+/projects/[^"]+)"', page)[1]))  # type: ignore[index]


def signed_in(stack: Stack) -> httpx2.Client:
    """The person of `stack.bootstrap`; relative addresses are their organization's."""
    browser = httpx2.Client(trust_env=False, timeout=60, base_url=stack.url)
    token = re.search(r'name="csrf-token" content="([^"]+)"', browser.get("/login").text)[1]  # type: ignore[index]
    form = {"csrf_token": token, "email": "bench@example.com", "password": PASSWORD}
    browser.base_url = f"{stack.url}{browser.post('/login', data=form).headers['location']}"  # type: ignore[assignment]
    return browser


def visits(browser: httpx2.Client, url: str, is_fragment: str = "false") -> tuple[list[float], bytes]:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        answer = browser.get(url, headers={"HX-Request": is_fragment})
        times.append(time.perf_counter() - started)
        answer.raise_for_status()
    return times, answer.content
