"""A call of the gateway as a shell command and as a program. Whatever the prompt holds stays data in both: JSON in
ASCII behind a quoted here-document, and a literal of Python. The token is only ever named, never written."""

from __future__ import annotations

import json
import shlex
from pprint import pformat

from .gateway_call import Call

TOKEN = "DATAELAN_TOKEN"  # noqa: S105 - the name of a variable
END = "DATAELAN_REQUEST"
"""Ends the here-document: no line of indented JSON is this word."""


def curl(call: Call, url: str) -> str:
    return f"""{_left_out(call)}curl -sS {shlex.quote(url)} \\
  -H "Authorization: Bearer ${TOKEN}" \\
  -H 'Content-Type: application/json' \\
  --data-binary @- <<'{END}'
{json.dumps(call.body, indent=2)}
{END}
"""


def python(call: Call, url: str) -> str:
    return f"""{_left_out(call)}import json
import os
import urllib.request

body = {pformat(call.body, width=100, sort_dicts=False)}

request = urllib.request.Request(
    {url!a},
    data=json.dumps(body).encode(),
    headers={{"Authorization": "Bearer " + os.environ["{TOKEN}"], "Content-Type": "application/json"}},
)
with urllib.request.urlopen(request) as response:
    answer = json.load(response)
print(answer["choices"][0]["message"]["content"])
"""


def _left_out(call: Call) -> str:
    """As a comment: one line, in ASCII, whatever the files are called."""
    if not call.left_out:
        return ""
    return f"# Left out, because the gateway takes no such files: {', '.join(map(json.dumps, call.left_out))}\n"
