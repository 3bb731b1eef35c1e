"""Asks a started web process whether everything behind it answers."""

import json
from http.client import HTTPConnection, HTTPException


def still_missing(port: int) -> str:
    """Names of what does not answer yet; empty when all is ready."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException):
        return "web"
    finally:
        connection.close()
    return "" if response.status == 200 else _names(body) or f"/readyz (it answers {response.status})"


def _names(body: bytes) -> str:
    try:
        parts = json.loads(body)
        return ", ".join(name for name, state in parts.items() if name != "status" and state != "ok")
    except (ValueError, AttributeError):
        return ""
