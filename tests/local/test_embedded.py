"""The embedded servers on their own, and what is made up for settings nobody gave."""

import errno
import os
from pathlib import Path

import psycopg2
import pytest
import redis

import serve
from dataelan_web import config
from dataelan_web.local import __main__ as local
from dataelan_web.local import environment, programs
from dataelan_web.local.databases import databases
from dataelan_web.local.directory import Directory, Refused
from dataelan_web.local.terminal import Remarkable, restarts


def ask(url: str, *statements: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        rows: list[tuple[object, ...]] = cursor.fetchall()
    connection.close()
    return rows


def test_what_was_written_is_there_at_the_next_start(data: Path) -> None:
    with databases(data) as servers:
        ask(servers["DATABASE_URL"], "CREATE TABLE note (text text)", "INSERT INTO note VALUES ('kept') RETURNING text")
        assert ask(servers["DATABASE_URL"], "SELECT current_setting('synchronous_commit')") == [("on",)]
    with databases(data) as servers:
        assert ask(servers["DATABASE_URL"], "SELECT text FROM note") == [("kept",)]
        with redis.Redis.from_url(servers["REDIS_URL"]) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_directory_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    with directory.held("running", "http://127.0.0.1:1"):
        with (
            pytest.raises(Refused, match=r"running at http://127\.0\.0\.1:1 \(process \d+\)"),
            directory.held("running"),
        ):
            pass
        assert directory.running()
    assert directory.running() is None


def test_a_deep_directory_keeps_its_sockets_where_their_paths_fit(tmp_path: Path) -> None:
    deep = Directory(tmp_path / ("deep " * 30))
    deep.create()
    assert len(str(deep.sockets / "postgres" / ".s.PGSQL.5432")) < 104
    assert deep.sockets.stat().st_mode & 0o077 == 0
    deep.sockets.rmdir()


def test_made_up_settings_are_right_and_stay(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.create()
    made = environment.made_up({}, directory)
    assert config.load(made).keys[0][0] == "k1"
    assert environment.made_up({}, directory) == made


def test_given_servers_are_used_instead_of_embedded_ones() -> None:
    assert environment.embedded({"DATABASE_URL_FILE": "/run/secrets/database"}) == {"REDIS_URL"}
    assert environment.embedded({"DATABASE_URL": " "}) == {"DATABASE_URL", "REDIS_URL"}


def test_what_make_run_and_serve_read_themselves_may_be_in_files_too(tmp_path: Path) -> None:
    for name, value in (("grace", "40\n"), ("port", "8123"), ("data", "elsewhere"), ("huge", "70000")):
        (tmp_path / name).write_text(value)
    given = {"DATAELAN_GRACE_FILE": str(tmp_path / "grace"), "PORT_FILE": str(tmp_path / "port")}
    given["DATAELAN_DATA_DIR_FILE"] = str(tmp_path / "data")
    assert programs.grace(given) == 40 + programs.KILLED_AFTER
    assert environment.port(given) == 8123
    assert environment.data_directory(given, tmp_path).path == tmp_path / "elsewhere"
    assert serve.number(given, "DATAELAN_GRACE", 930) == 40
    for wrong in ({"PORT": "70000"}, {"PORT_FILE": str(tmp_path / "huge")}, {"PORT_FILE": str(tmp_path / "nowhere")}):
        with pytest.raises(Refused, match="PORT"):
            environment.port(wrong)
        with pytest.raises(SystemExit, match="PORT"):
            serve.number(wrong, "PORT", 8000, most=serve.LAST_PORT)
    with pytest.raises(Refused, match="DATAELAN_GRACE must be a whole number from 0 to 3600"):
        programs.grace({"DATAELAN_GRACE": "5000"})
    assert (programs.GRACE, serve.GRACE) == (config.GRACE, config.GRACE)


def test_settings_that_are_no_text_stop_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=80\xff00")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match="not a text file"):
        environment.read(tmp_path)
    with pytest.raises(SystemExit, match="not a text file"):
        serve.read()
    with pytest.raises(config.ConfigError, match="not a text file"):
        config.load()


def test_a_full_disk_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Directory, **what: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("DATAELAN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(Directory, "announce", full)
    assert local.main(["flask", "db", "current"]) == 1
    assert capsys.readouterr().err == "Dataelan cannot write what it has to: [Errno 28] No space left on device.\n"


def test_the_terminal_shows_errors_with_their_tracebacks_and_nothing_routine() -> None:
    lines = ["[INFO] started", "[ERROR] it broke", "Traceback (most recent call last):", "  INFO = 1", "ValueError: no"]
    shown = list(map(Remarkable(), [*lines, "12:00 INFO going on", "with this"]))
    assert shown == ["", *lines[1:], "", ""]
    assert restarts("2026-01-01 WARN exited: web (exit status 1; not expected)")
    assert not restarts("2026-01-01 INFO spawned: 'web' with pid 1")
