"""`make flask ARGS="…"`: a flask command against the data directory, whether Dataelan runs on it or not."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from . import environment
from .databases import servers
from .directory import Busy, Directory
from .migrate import migrate
from .programs import ROOT

PATIENCE = 60  # seconds for a start in progress, or another command, to get done


def flask(arguments: Sequence[str]) -> int:
    environ = environment.read(ROOT)
    directory = environment.data_directory(environ, ROOT)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return _alone(arguments, environ, directory)
        except Busy:  # the lock tells, not the file: that one may be left from before a power cut
            if beside := (directory.running() or {}).get("environment"):
                return _run(arguments, {**environ, **beside})
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _alone(arguments: Sequence[str], environ: Mapping[str, str], directory: Directory) -> int:
    with directory.held("running a command"), servers(directory, environment.embedded(environ)):
        complete = {**environ, **environment.made_up(environ, directory)}
        if arguments[:1] != ["db"]:  # who asks about the schema wants to see it as it is
            migrate(complete, directory.log)
        return _run(arguments, complete)


def _run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    command = (sys.executable, "-m", "flask", "--app", "wsgi", *arguments)
    return subprocess.run(command, cwd=ROOT, env=dict(environ)).returncode
