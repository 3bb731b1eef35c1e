"""From submit to the first token at the browser's end of the wire, with a provider that answers at once."""

from __future__ import annotations

import re
import time
import uuid

import httpx2

from .report import spread
from .stack import Stack, running

ROUNDS = 60


def measure() -> None:
    with running() as stack:
        browser = signed_up(stack)
        rounds = [first_token(browser) for _ in range(ROUNDS + 5)][5:]
        spread("submit → the form's answer", [answered for answered, _ in rounds])
        spread("submit → first token", [token for _, token in rounds], "bar: 60 ms at the median")


def first_token(browser: httpx2.Client) -> tuple[float, float]:
    """(until the form was answered, until the first text came), in seconds from the submit."""
    form = {"csrf_token": browser.headers["X-CSRFToken"], "text": "Hello", "model": "simulated/simulated-instant"}
    started = time.perf_counter()
    card = browser.post("executions", data=form | {"submission": uuid.uuid4().hex}, headers={"HX-Request": "true"}).text
    answered = time.perf_counter() - started
    events = re.search(r'hx-sse:connect="([^"]+)"', card)[1]  # type: ignore[index]
    with browser.stream("GET", f"http://{browser.base_url.netloc.decode()}{events}") as stream:
        token = 0.0
        for text in stream.iter_text():
            if not token and re.search(r"^data: \S", text, re.M):
                token = time.perf_counter() - started
    return answered, token


def signed_up(stack: Stack) -> httpx2.Client:
    """A newcomer in their first session; relative addresses are the session's."""
    browser = httpx2.Client(trust_env=False, timeout=30, base_url=stack.url)
    token = _csrf(browser.get("/signup").text)
    form = {
        "csrf_token": token,
        "name": "Ada",
        "email": f"{uuid.uuid4().hex}@example.com",
        "password": "long enough now",
    }
    session = browser.post("/signup", data=form).headers["location"]
    browser.headers["X-CSRFToken"] = _csrf(browser.get(session).text)
    browser.base_url = f"{stack.url}{session}/"  # type: ignore[assignment]
    return browser


def _csrf(page: str) -> str:
    return re.search(r'name="csrf-token" content="([^"]+)"', page)[1]  # type: ignore[index]
