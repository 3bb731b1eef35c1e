"""What every answer tells a browser: what it may load, frame and keep."""

from __future__ import annotations

import re

from werkzeug.test import TestResponse

POLICY = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "form-action": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
}


def assert_protected(answer: TestResponse) -> None:
    headers = answer.headers
    is_saved = headers.get("Content-Disposition", "").startswith("attachment")
    is_boxed = headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    if is_boxed and headers["Cache-Control"] == "no-store":
        assert is_saved or answer.request.path.startswith("/s/"), (
            "an export, or a file behind a public link, which ends"
        )
    elif is_boxed:
        assert headers["Cache-Control"] == "private, max-age=31536000, immutable", "an asset, which never changes"
        assert "ETag" in headers
    elif is_saved:
        assert headers["Content-Security-Policy"] == "sandbox", "a file out of an answer is saved, never shown"
    else:
        policy = dict(directive.split(" ", 1) for directive in headers["Content-Security-Policy"].split("; "))
        assert policy.items() >= POLICY.items()
        assert set(policy.values()) == {"'none'", "'self'"}, "nothing inline, no eval, no other host"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers, "no other site reads an answer"
    assert not answer.mimetype.startswith("text/") or "charset=utf-8" in headers["Content-Type"]
    is_public = answer.request.path.startswith("/s/")  # the address holds a secret
    assert headers["Referrer-Policy"] == ("no-referrer" if is_public else "same-origin")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store" or "private" in headers["Cache-Control"]
    assert {"Cookie", "HX-Request"} <= set(answer.vary)


def assert_obeys_the_policy(page: str) -> None:
    """What the policy would block is not there to begin with."""
    assert not re.search(r"<script(?![^>]*\bsrc=)", page), "a script of its own"
    assert not re.search(r"<style|<[a-z][^>]*\s(style|on[a-z]+)=", page), "an inline style or handler"
    assert not re.search(r"<(script|link|img|iframe|form)\b[^>]*\b(src|action)=[\"']?(https?:)?//", page)
