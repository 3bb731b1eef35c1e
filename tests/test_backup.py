"""What `flask backup` writes comes back by `flask restore`, into an empty database and beside other files."""

from __future__ import annotations

import contextvars
import io
import os
import re
import tarfile
import uuid
from base64 import b64encode
from pathlib import Path
from typing import IO

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import delete, func, select, text
from sqlalchemy.exc import IntegrityError

from dataelan_web import create_app, second_net
from dataelan_web.backup import archive
from dataelan_web.config import load
from dataelan_web.extensions import db
from dataelan_web.hub.keys.keeping import secret_of
from dataelan_web.models import APIKey, Asset, AuditEvent, SignIn, User, Webhook, now
from dataelan_web.storage import Kept, Storage, Unavailable, storage

from . import people


def test_a_backup_brings_everything_back_and_nothing_of_what_was_there_is_lost_by_a_wrong_one(
    app: Flask, environment: dict[str, str], acme: people.Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = people.own_provider(acme, "http://127.0.0.1:9/v1", secret="sk-of-the-backup")
    kept = people.asset(acme, b"a picture")
    damaged = Webhook(organization_id=acme.organization.id, label="Ops", url="https://x.invalid", ciphertext="damaged")
    db.session.add_all([kept, SignIn.begin(acme.mia)[0], damaged])
    db.session.commit()
    ids, path = (key.id, kept.id, acme.mia.id), tmp_path / "all.tar"
    gone = Kept(f"{uuid.uuid4()}/00/{'0' * 64}-{'0' * 16}", now(), 5)
    listed = Storage.listed
    monkeypatch.setattr(Storage, "listed", lambda self: iter([*listed(self), [gone]]))
    assert "No such file" in flask(app, "backup", tmp_path / "nowhere" / "all.tar").output
    done = flask(app, "backup", path)
    assert done.exit_code == 0, done.output
    assert path.stat().st_mode & 0o077 == 0, "nobody else may read it"
    assert b"sk-of-the-backup" not in path.read_bytes()
    refused = flask(app, "restore", path)
    assert "There are people in this database" in refused.output
    with tarfile.open(tmp_path / "other.tar", "w"):
        pass
    assert "no backup of Dataelan" in flask(app, "restore", tmp_path / "other.tar").output
    (tmp_path / "text.tar").write_text("no archive at all")
    assert "no backup of Dataelan" in flask(app, "restore", tmp_path / "text.tar").output
    with tarfile.open(path) as packed, (tmp_path / "half.tar").open("wb") as half:
        half.write(path.read_bytes()[: packed.getmembers()[-1].offset])
    with tarfile.open(tmp_path / "zeros.tar", "w") as packed:
        nothing = tarfile.TarInfo("database.dump")
        nothing.size = 4096
        packed.addfile(nothing, io.BytesIO(bytes(nothing.size)))
    os.truncate(tmp_path / "zeros.tar", tarfile.BLOCKSIZE + nothing.size)  # ends as a whole one does
    for cut in ("half.tar", "zeros.tar"):
        assert "not whole" in flask(app, "restore", tmp_path / cut).output
    people_before = db.session.scalar(select(func.count()).select_from(User))
    db.session.rollback()

    name = f"restored_{uuid.uuid4().hex[:8]}"
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = re.sub(r"/\w+(\?|$)", rf"/{name}\1", environment["DATABASE_URL"])
    there = {**environment, "DATABASE_URL": url, "DATAELAN_STORAGE_URL": (tmp_path / "files").as_uri()}
    strange = {**there, "DATAELAN_KEYS": environment["DATAELAN_KEYS"].replace("k1:", "k2:")}
    refused = flask(create_app(load(strange)), "restore", path)
    assert "put these into DATAELAN_KEYS first" in refused.output
    of_another = {**there, "DATAELAN_KEYS": f"k1:{b64encode(os.urandom(32)).decode()}"}  # each `make run` has a k1
    refused = flask(create_app(load(of_another)), "restore", path)
    assert "What is called k1 here is another key" in refused.output
    restored = create_app(load(there))
    with restored.app_context():
        for statement in ("CREATE TABLE ledger (id int)", "DROP TABLE ledger"):
            db.session.execute(text(statement))
            db.session.commit()
            if statement.startswith("CREATE"):
                assert "holds something else" in flask(restored, "restore", path).output
    done = flask(restored, "restore", path)
    assert done.exit_code == 0, done.output
    with restored.app_context():
        assert secret_of(db.session.get_one(APIKey, ids[0])) == "sk-of-the-backup"
        assert storage().get(db.session.get_one(Asset, ids[1]).storage_key) == b"a picture"
        assert db.session.get_one(User, ids[2]).name == "Mia"
        assert db.session.scalar(select(func.count()).select_from(User)) == people_before
        assert db.session.scalar(select(func.count()).select_from(SignIn)) == 0, "they may have been revoked since"
        latest = select(AuditEvent.action, AuditEvent.source_name).order_by(AuditEvent.created_at.desc()).limit(2)
        said = db.session.execute(latest).all()
        assert [row.action for row in said] == ["platform.restored", "platform.backed_up"]
        with pytest.raises(IntegrityError, match="append-only"):
            db.session.execute(delete(AuditEvent))
        db.session.rollback()
        somewhere = {"organization": uuid.uuid4(), "person": uuid.uuid4()}
        assert db.session.scalar(second_net.STAY_INSIDE, somewhere), "a dump has no roles and no rights"
        assert db.session.scalars(select(APIKey.id).where(APIKey.organization_id.is_not(None))).all() == []


def test_two_backups_to_one_place_at_once_are_both_whole(
    app: Flask, acme: people.Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.asset(acme, b"a picture")
    db.session.commit()
    path, dump, done = tmp_path / "all.tar", archive._dump, list[Result]()

    def dumped_while_another_begins(out: IO[bytes]) -> None:
        monkeypatch.setattr(archive, "_dump", dump)
        done.append(flask(app, "backup", path))
        dump(out)

    monkeypatch.setattr(archive, "_dump", dumped_while_another_begins)
    done.append(flask(app, "backup", path))
    assert [one.exit_code for one in done] == [0, 0], [one.output for one in done]
    assert [one.name for one in tmp_path.iterdir()] == ["all.tar"]
    archive._look_at(path)


def test_a_restore_signs_everybody_out_before_its_files_come_and_brings_those_of_the_first_version(
    app: Flask, environment: dict[str, str], acme: people.Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, path = people.asset(acme, b"a picture"), tmp_path / "all.tar"
    before = kept.storage_key.rpartition("-")[0]
    storage().put_back(before, io.BytesIO(b"a picture"))
    storage().put_back("not-ours.txt", io.BytesIO(b"of somebody else, in the same bucket"))
    kept.storage_key = before
    db.session.add_all([kept, SignIn.begin(acme.mia)[0]])
    db.session.commit()
    id = kept.id
    assert flask(app, "backup", path).exit_code == 0
    with tarfile.open(path) as packed:
        assert f"files/{before}" in packed.getnames()
        assert "files/not-ours.txt" not in packed.getnames()
    restored = empty(environment, tmp_path)
    with monkeypatch.context() as cut_off:
        cut_off.setattr(Storage, "put_back", away)
        assert "away" in flask(restored, "restore", path).output
    with restored.app_context():
        assert db.session.scalar(select(func.count()).select_from(SignIn)) == 0
    assert flask(restored, "restore", path, "--overwrite").exit_code == 0
    with restored.app_context():
        assert storage().get(db.session.get_one(Asset, id).storage_key) == b"a picture"


def away(self: Storage, *_: object) -> None:
    raise Unavailable("away")


def empty(environment: dict[str, str], tmp_path: Path) -> Flask:
    """A Dataelan over a database of its own that nothing is in, and files elsewhere."""
    name = f"restored_{uuid.uuid4().hex[:8]}"
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = re.sub(r"/\w+(\?|$)", rf"/{name}\1", environment["DATABASE_URL"])
    return create_app(load({**environment, "DATABASE_URL": url, "DATAELAN_STORAGE_URL": (tmp_path / "files").as_uri()}))


def test_an_older_backup_names_its_keys_without_a_mark(app: Flask) -> None:
    with app.app_context():
        assert archive._missing(["k1", archive.DAMAGED]) == []
        assert archive._missing(["k1", "k9"]) == ["k9"]


def flask(app: Flask, *arguments: object) -> Result:
    """In a context of its own: a command would take that of the test, and with it another database."""

    def run() -> Result:
        with app.app_context():
            return app.test_cli_runner().invoke(args=list(map(str, arguments)))

    return contextvars.Context().run(run)
