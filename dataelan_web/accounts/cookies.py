"""The cookie that says who is signed in: Flask's, signed by a machine whose clock may be ahead of ours."""

from __future__ import annotations

import hashlib
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import SignatureExpired, TimestampSigner, URLSafeTimedSerializer

AHEAD = 86400
"""Seconds. A clock that was set back by a second would otherwise sign out whoever was here in that second."""


class _Signer(TimestampSigner):
    def unsign(self, signed_value: str | bytes, max_age: int | None = None, return_timestamp: bool = False) -> Any:
        value, signed_at = super().unsign(signed_value, None, return_timestamp=True)
        age = self.get_timestamp() - signed_at.timestamp()
        if max_age is not None and not -AHEAD <= age <= max_age:
            raise SignatureExpired(f"signed {age:.0f} seconds ago", payload=value, date_signed=signed_at)
        return (value, signed_at) if return_timestamp else value


class SignedSessions(SecureCookieSessionInterface):
    digest_method = staticmethod(hashlib.sha256)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Of a program, which brings no cookie, without what reads one."""
        if "HTTP_COOKIE" not in request.environ or self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """… nor what writes one. That an answer varies by cookies is said of all (headers.py)."""
        if session or session.modified:
            super().save_session(app, session, response)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        serializer = super().get_signing_serializer(app)
        if serializer is not None:
            serializer.signer = _Signer
        return serializer
