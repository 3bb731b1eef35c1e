"""Files that nothing names any more leave the storage, and no others do."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from dataelan_web.executions.unused_files import CLAIM, Swept, sweep, sweep_daily
from dataelan_web.extensions import db
from dataelan_web.jobs.queue import store
from dataelan_web.models import Asset, new_id, now
from dataelan_web.storage import Storage, Unavailable, storage

from . import people

LATER = timedelta(days=1, minutes=1)


@pytest.fixture(autouse=True)
def folder(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage of the test's own: all that lies there is looked at."""
    monkeypatch.setitem(app.extensions, "dataelan_storage", Storage(f"file://{tmp_path}"))
    return tmp_path


def row(cast: people.Cast, key: str) -> Asset:
    made = Asset(
        id=new_id(), organization_id=cast.organization.id, project_id=cast.project.id, name="a.png", size=3,
        media_type="image/png", sha256="0" * 64, storage_key=key,
    )  # fmt: skip
    db.session.add(made)
    db.session.commit()
    return made


def is_there(key: str) -> bool:
    try:
        return bool(storage().get(key))
    except Unavailable:
        return False


def test_a_file_without_a_row_goes_after_a_day_and_not_before(acme: people.Cast) -> None:
    lost = storage().put(acme.organization.id, b"lost")
    assert sweep() == Swept(), "it may belong to a prompt that is just being recorded"
    assert is_there(lost.key)
    assert sweep(at=now() + LATER) == Swept(1, 4)
    assert not is_there(lost.key)


def test_a_file_that_several_rows_name_goes_with_the_last_of_them(acme: people.Cast) -> None:
    kept = storage().put(acme.organization.id, b"kept")
    first, second = row(acme, kept.key), row(acme, kept.key)
    for gone, files in ((None, 0), (first, 0), (second, 1)):
        if gone is not None:
            db.session.delete(gone)
            db.session.commit()
        assert sweep(at=now() + LATER).files == files
    assert not is_there(kept.key)


def test_the_same_content_is_kept_anew_so_that_a_sweep_cannot_take_it_from_under_an_upload(acme: people.Cast) -> None:
    old, new = storage().put(acme.organization.id, b"same"), storage().put(acme.organization.id, b"same")
    assert old.key != new.key
    row(acme, new.key)
    assert sweep(at=now() + LATER).files == 1
    assert is_there(new.key)


def test_what_is_not_ours_is_left(acme: people.Cast, folder: Path) -> None:
    """Other files of a shared bucket, and those of an organization that another database may have."""
    stranger = storage().put(new_id(), b"theirs")
    (folder / "backup.sql").write_text("not ours")
    (folder / str(acme.organization.id)).mkdir(exist_ok=True)
    (folder / str(acme.organization.id) / "notes.txt").write_text("not ours")
    assert sweep(at=now() + LATER) == Swept(0, 0, 1)
    assert is_there(stranger.key)
    assert sweep(at=now() + LATER, with_strange=True).files == 1
    assert (folder / "backup.sql").exists()
    assert (folder / str(acme.organization.id) / "notes.txt").exists()


def test_one_worker_does_it_once_a_day_and_again_where_it_could_not(
    acme: people.Cast, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = storage().put(acme.organization.id, b"lost")
    os.utime(folder / lost.key, (0, 0))
    store().delete(CLAIM)

    def away(self: Storage, key: str) -> None:
        raise Unavailable("It does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(Storage, "delete", away)
        sweep_daily("one")
    assert is_there(lost.key)
    sweep_daily("two")
    assert not is_there(lost.key)
    another = storage().put(acme.organization.id, b"lost too")
    os.utime(folder / another.key, (0, 0))
    sweep_daily("three")
    assert is_there(another.key), "it was done today"
    store().delete(CLAIM)


def test_the_operator_does_it_by_command(app: Flask, acme: people.Cast, folder: Path) -> None:
    lost, stranger = storage().put(acme.organization.id, b"x" * 500_000), storage().put(new_id(), b"theirs")
    for key in (lost.key, stranger.key):
        os.utime(folder / key, (0, 0))
    done = app.test_cli_runner().invoke(args=["storage", "sweep"])
    assert done.output.startswith("1 file was deleted (500,000 bytes).\n1 belong to organizations that are not here")
    again = app.test_cli_runner().invoke(args=["storage", "sweep", "--organizations-gone"])
    assert again.output == "1 file was deleted (6 bytes).\n"
