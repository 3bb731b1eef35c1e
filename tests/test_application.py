"""What our application does otherwise than Flask comes to the same."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.test import create_environ

ASKED: dict[str, dict[str, Any]] = {
    "plain": {},
    "by a name with a port": {"HTTP_HOST": "Dataelan.Example:8443"},
    "by the usual port": {"HTTP_HOST": "dataelan.example:443", "wsgi.url_scheme": "https"},
    "by a number": {"HTTP_HOST": "[::1]:80"},
    "without a name": {"HTTP_HOST": "", "SERVER_NAME": "10.0.0.7", "SERVER_PORT": "8000"},
    "by no name": {"HTTP_HOST": "a b/c"},
    "by a name that is too long": {"HTTP_HOST": f"{'a' * 64}.example"},
    "below an address": {"SCRIPT_NAME": "/below/"},
    "slashes": {"PATH_INFO": "//o//acme"},
    "letters": {"PATH_INFO": "/o/caf\u00c3\u00a9", "QUERY_STRING": "q=\u00c3\u00a9&x=%ff"},
    "no letters": {"PATH_INFO": "/\u00ff", "QUERY_STRING": "\u00ff"},
    "by a method of their own": {"REQUEST_METHOD": "brew"},
    "a socket": {"HTTP_CONNECTION": "keep-alive, Upgrade", "HTTP_UPGRADE": "websocket"},
    "another protocol": {"HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": "h2c"},
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_a_request_is_led_where_flask_leads_it(app: Flask, asked: dict[str, Any]) -> None:
    ours, flasks = (led(app, create, asked) for create in (type(app).create_url_adapter, Flask.create_url_adapter))
    assert ours == flasks


def led(app: Flask, create: Any, asked: dict[str, Any]) -> Any:
    """(by which name it is asked, what finds its route and makes the addresses on its page); or why not."""
    request = app.request_class(create_environ("/o/acme?x=1") | asked)
    try:
        adapter = create(app, request)
    except HTTPException as refused:
        return type(refused)
    path = "/" + adapter.path_info.lstrip("/")  # as matching takes it
    return request.host, vars(adapter) | {"path_info": path}
