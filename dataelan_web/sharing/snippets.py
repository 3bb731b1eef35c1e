"""A call of the gateway as a shell command and as a program. Whatever the prompt holds stays data in both: JSON in
ASCII behind a quoted here-document, octets in ASCII, and a literal of Python. The token is only ever named, never
written."""

from __future__ import annotations

import json
import re
import shlex
from pprint import pformat

from ..router.types import Task
from .gateway_call import Call

END = "DATAELAN_REQUEST"
"""Ends the here-document: no line of indented JSON is this word."""
_PLAIN = re.compile(r"[A-Za-z0-9/_.:-]*", re.ASCII)


def curl(call: Call, url: str) -> str:
    headers = "".join(f'  -H "{name}: {value}" \\\n' for name, value in call.headers.items())
    head = f"{_notes(call)}curl -sS {shlex.quote(url)} \\\n{headers}"
    if call.task is Task.TRANSCRIPTION:
        fields = [f"  --form-string {shlex.quote(name)}={_word(str(value))} \\\n" for name, value in call.body.items()]
        return f"{head}{''.join(fields)}  -F file=@{shlex.quote(call.file)}\n"
    saved = f"  --output {shlex.quote(call.file)} \\\n" if call.task is Task.SPEECH else ""
    return f"""{head}  -H 'Content-Type: application/json' \\
{saved}  --data-binary @- <<'{END}'
{json.dumps(call.body, indent=2)}
{END}
"""


def _word(text: str) -> str:
    """As one word of a command, in ASCII: what is no plain word as octets, which `printf` makes of it again."""
    if _PLAIN.fullmatch(text):
        return text
    octets = "".join(
        chr(byte) if byte < 128 and (chr(byte).isalnum() or chr(byte) == " ") else f"\\0{byte:03o}"
        for byte in text.replace("\0", "").encode(errors="replace")
    )
    return f"\"$(printf '%b' '{octets}')\""


def python(call: Call, url: str) -> str:
    body = pformat(call.body, width=100, sort_dicts=False)
    shown = _FORM if call.task is Task.TRANSCRIPTION else _JSON
    imports = ["import json", "import os", "import urllib.request"]
    imports += {Task.IMAGE: ["import base64"], Task.TRANSCRIPTION: ["import uuid"]}.get(call.task, [])
    return f"""{_notes(call)}{chr(10).join(sorted(imports))}

body = {body}

{shown.format(url=ascii(url), headers=_headers(call), file=ascii(call.file))}
with urllib.request.urlopen(request) as response:
{_READ[call.task].format(file=ascii(call.file), stem=call.file.rpartition(".")[0], ending=call.file.rpartition(".")[2])}
"""


_JSON = """request = urllib.request.Request(
    {url},
    data=json.dumps(body).encode(),
    headers={{{headers}, "Content-Type": "application/json"}},
)"""
_FORM = r"""edge = uuid.uuid4().hex
name = '--' + edge + '\r\nContent-Disposition: form-data; name="'
parts = [name + field + '"\r\n\r\n' + str(value) + '\r\n' for field, value in body.items()]
with open({file}, "rb") as recording:
    form = "".join(parts).encode() + (name + 'file"; filename="' + {file} + '"\r\n\r\n').encode() + recording.read()
request = urllib.request.Request(
    {url},
    data=form + ('\r\n--' + edge + '--\r\n').encode(),
    headers={{
        {headers},
        "Content-Type": "multipart/form-data; boundary=" + edge,
    }},
)"""
_READ = {
    Task.CHAT: '    answer = json.load(response)\nprint(answer["choices"][0]["message"]["content"])',
    Task.VIDEO: "    print(response.read().decode())  # the job: ask its provider after it until it is done",
    Task.EMBEDDING: '    answer = json.load(response)\nprint([one["embedding"] for one in answer["data"]])',
    Task.TRANSCRIPTION: '    answer = json.load(response)\nprint(answer["text"])',
    Task.SPEECH: '    sound = response.read()\nwith open({file}, "wb") as file:\n    file.write(sound)',
    Task.IMAGE: """    answer = json.load(response)
for number, picture in enumerate(answer["data"], 1):
    with open(f"{stem}-{{number}}.{ending}", "wb") as file:
        file.write(base64.b64decode(picture["b64_json"]))""",
}
"""What is done with the answer."""


def _headers(call: Call) -> str:
    """As entries of a dict, with what a variable holds taken from it."""
    said = ((name, value.partition("$")) for name, value in call.headers.items())
    return ", ".join(
        f"{json.dumps(name)}: {json.dumps(before)}" + (f" + os.environ[{json.dumps(variable)}]" if variable else "")
        for name, (before, _, variable) in said
    )


def _notes(call: Call) -> str:
    """As comments: a line each, in ASCII, whatever the files are called."""
    told = f"# The recording is sent from a file beside this: {call.file}\n" if call.task is Task.TRANSCRIPTION else ""
    if not call.left_out:
        return told
    left_out = ", ".join(map(json.dumps, call.left_out))
    return f"{told}# Left out, because this call cannot hold it: {left_out}\n"
