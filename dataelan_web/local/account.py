"""Whom the embedded servers run as: PostgreSQL refuses root, so root hands them to an account without rights."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from .directory import Refused

NAME = "dataelan"


def server_account(data: Path) -> str:
    """`-` (ourselves), or for root the account that owns the servers' data, made when it is missing."""
    if os.geteuid() != 0:
        return "-"
    owner = data.stat().st_uid if data.exists() else 0
    if owner:  # also right for a directory that an ordinary user made and root now starts
        try:
            return pwd.getpwuid(owner).pw_name
        except KeyError:
            pass  # copied from another machine: it gets a new owner
    try:
        return pwd.getpwnam(NAME).pw_name
    except KeyError:
        return _make()


def _make() -> str:
    if not shutil.which("useradd"):
        raise Refused(f"PostgreSQL does not run as root: make a system user {NAME}, or start as an ordinary user.")
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode and NAME not in {entry.pw_name for entry in pwd.getpwall()}:
        raise Refused(f"The system user {NAME} cannot be made ({made.stderr.strip()}); start as an ordinary user.")
    return NAME


def give(path: Path, account: str) -> None:
    """Make this directory the account's alone, with all that is in it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    if account == "-":
        return
    entry = pwd.getpwnam(account)
    if path.stat().st_uid != entry.pw_uid:
        for found in [path, *path.rglob("*")]:
            os.chown(found, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def share(path: Path, account: str) -> None:
    """Let the account pass through a directory of ours, and nobody else."""
    if account != "-" and path.stat().st_uid == os.geteuid():
        os.chown(path, -1, pwd.getpwnam(account).pw_gid)
        path.chmod(0o710)


def let_through(path: Path, account: str) -> None:
    """Let the account pass, not look, through the directories above a path, which are not ours alone."""
    if account == "-":
        return
    group = pwd.getpwnam(account).pw_gid
    for parent in path.resolve().parents:
        found = parent.stat()
        if found.st_mode & 0o001 or (found.st_gid == group and found.st_mode & 0o010):
            continue
        try:
            parent.chmod(found.st_mode | 0o001)
        except OSError as error:
            raise Refused(f"{parent} does not let the user {account} through ({error.strerror}).") from error
        print(f"{parent} now lets other users pass through it (o+x), for the user {account}.", file=sys.stderr)
