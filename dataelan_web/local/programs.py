"""The programs of a running Dataelan beside its databases: web, worker and the simulated provider."""

import sys
from collections.abc import Mapping
from pathlib import Path

from .environment import number
from .program import Program

ROOT = Path(__file__).resolve().parents[2]
GRACE, LONGEST_GRACE = 930, 3600
"""As in dataelan_web.config."""
KILLED_AFTER = 25
"""Seconds from the end of its grace until a program is killed. By then it has ended what it runs."""
ALONE = 10
"""Seconds that answers have to end where `make run` was killed."""


def product(environ: Mapping[str, str], port: int, simulated_port: int) -> list[Program]:
    return [simulated(simulated_port), worker(environ), web(environ, port)]


def web(environ: Mapping[str, str], port: int) -> Program:
    """It reads the same settings; a wrong one is told of here, before anything starts."""
    for name in ("DATAELAN_WEB_WORKERS", "DATAELAN_WEB_THREADS"):
        number(environ, name, 1)
    number(environ, "DATAELAN_PROCESSORS", 1, least=0, most=1)
    command = (sys.executable, str(ROOT / "serve.py"), "--port", str(port))
    return Program("web", command, grace=grace(environ), alone=ALONE, settled=3)


def worker(environ: Mapping[str, str]) -> Program:
    command = (sys.executable, "-m", "dataelan_web.jobs.worker")
    copies = number(environ, "DATAELAN_WORKERS", 1)
    return Program("worker", command, grace=grace(environ), alone=ALONE, settled=3, copies=copies)


def grace(environ: Mapping[str, str]) -> int:
    """Seconds until it is killed, longer than it takes to leave in good order."""
    return number(environ, "DATAELAN_GRACE", GRACE, least=0, most=LONGEST_GRACE) + KILLED_AFTER


def simulated(port: int) -> Program:
    return Program("simulated", granian("asgi", "dataelan_web.local.simulated:app", "--port", str(port)), settled=3)


def granian(interface: str, application: str, *options: str) -> tuple[str, ...]:
    fixed = ("--host", "127.0.0.1", "--no-ws", "--no-access-log", "--log-level", "info")
    return (sys.executable, "-m", "granian", "--interface", interface, *fixed, *options, application)
