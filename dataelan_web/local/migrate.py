"""Brings the database up to date: migrations, then the list of providers. Two commands, one start of Python.

`migrate` is the caller's side; run as a program, this file is the other one."""

import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from .directory import Refused
from .program import Program
from .programs import ROOT

COMMANDS = (["db", "upgrade"], ["load-providers"])


def migrate(environ: Mapping[str, str], log: Path) -> None:
    """What it says is only worth showing when it fails."""
    command = Program("migrate", (sys.executable, "-m", "dataelan_web.local.migrate")).tethered
    done = subprocess.run(command, cwd=ROOT, env=dict(environ), capture_output=True, text=True)
    (log / "migrate.log").write_text(done.stdout + done.stderr)
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
        raise Refused("The database could not be brought up to date; the reason is above.")


def main() -> None:
    from flask.cli import FlaskGroup  # late: the caller's side needs no Flask

    wrong_setting = import_module("dataelan_web.config").ConfigError
    try:
        app = import_module("wsgi").app
    except wrong_setting as wrong:
        sys.exit(str(wrong))
    for command in COMMANDS:
        FlaskGroup(create_app=lambda: app).main(command, prog_name="flask", standalone_mode=False)


if __name__ == "__main__":
    main()
