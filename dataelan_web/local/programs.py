"""The programs of a running Dataelan beside its databases: web, worker and the simulated provider."""

import sys
from collections.abc import Mapping
from pathlib import Path

from .directory import Refused
from .program import Program

ROOT = Path(__file__).resolve().parents[2]
YEAR = 365 * 24 * 3600  # static files carry their version in the address


def product(environ: Mapping[str, str], port: int, simulated_port: int) -> list[Program]:
    return [simulated(simulated_port), worker(environ), web(environ, port)]


def web(environ: Mapping[str, str], port: int) -> Program:
    """One thread per request in flight; an open stream is one. A connection that only waits holds no thread,
    but it does count against granian's backpressure, which is why that is far above the threads."""
    options: dict[str, object] = {
        "--port": port,
        "--workers": number(environ, "DATAELAN_WEB_WORKERS", 1),
        "--blocking-threads": number(environ, "DATAELAN_WEB_THREADS", 256),
        "--backlog": 2048,
        "--backpressure": 2048,
        "--workers-kill-timeout": 30,
    }
    if (ROOT / "static").is_dir():
        options |= {"--static-path-mount": ROOT / "static", "--static-path-expires": YEAR}
    command = granian("wsgi", "wsgi:app", *(str(part) for pair in options.items() for part in pair))
    return Program("web", (*command, "--respawn-failed-workers"), grace=35, settled=3)


def worker(environ: Mapping[str, str]) -> Program:
    """Asked to stop, it finishes its jobs; those it cannot finish in time are found and retried by the sweeper."""
    command = (sys.executable, "-m", "dataelan_web.jobs.worker")
    return Program("worker", command, grace=30, settled=3, copies=number(environ, "DATAELAN_WORKERS", 1))


def simulated(port: int) -> Program:
    return Program("simulated", granian("asgi", "dataelan_web.local.simulated:app", "--port", str(port)), settled=3)


def granian(interface: str, application: str, *options: str) -> tuple[str, ...]:
    fixed = ("--host", "127.0.0.1", "--no-ws", "--no-access-log", "--log-level", "info")
    return (sys.executable, "-m", "granian", "--interface", interface, *fixed, *options, application)


def number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip() or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise Refused(f"{name} must be a whole number of at least 1, not {text!r}.")
    return int(text)
