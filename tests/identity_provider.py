"""An OpenID provider of its own for tests (oidc-provider-mock, on Authlib), as a program:
`python -m tests.identity_provider PORT SECRET`.

Three things are added: that a code is given only to who has its verifier (PKCE, S256), that who breaks off takes the
state along, and users whose claims say what its tokens are to be wrong about: `aud`, `exp`, `nonce`, `iss`.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import sys
import warnings
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
warnings.simplefilter("ignore")

import flask  # noqa: E402
from oidc_provider_mock import app as provider  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402


def create(secret: str) -> flask.Flask:
    app, challenges = provider(), {}

    @app.after_request
    def remember_challenge(response: flask.Response) -> flask.Response:
        code = parse_qs(urlsplit(response.headers.get("Location", "")).query).get("code")
        if code and flask.request.args.get("code_challenge_method") == "S256":
            challenges[code[0]] = flask.request.args["code_challenge"]
        return response

    @app.after_request
    def break_off_by_the_book(response: flask.Response) -> flask.Response:
        where, state = response.headers.get("Location", ""), flask.request.args.get("state")
        if state and "error=" in where and "state=" not in where:
            response.headers["Location"] = f"{where}&{urlencode({'state': state})}"
        return response

    @app.before_request
    def check_client_and_verifier() -> tuple[dict[str, str], int] | None:
        if flask.request.path != "/oauth2/token":
            return None
        basic, form = flask.request.authorization, flask.request.form
        if basic is None or unquote(basic.password or "") != secret:
            return {"error": "invalid_client"}, 401
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if challenges.get(form.get("code", "")) != base64.urlsafe_b64encode(digest).decode().rstrip("="):
            return {"error": "invalid_grant", "error_description": "No such code, or not yours."}, 400
        return None

    return app


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    make_server("127.0.0.1", int(sys.argv[1]), create(sys.argv[2]), threaded=True).serve_forever()
