"""Templates are kept as Python in the data directory, where nobody but Dataelan may write."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from dataelan_web.web import _compiled


def test_a_template_is_compiled_once_for_all_processes(tmp_path: Path) -> None:
    for _ in range(2):
        environment = Environment(
            loader=DictLoader({"a.html": "{{ 1 + 1 }}"}), bytecode_cache=_compiled(tmp_path), autoescape=True
        )
        assert environment.get_template("a.html").render() == "2"
    (kept,) = (tmp_path / "templates").iterdir()
    assert kept.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_where_others_may_write_nothing_is_read(tmp_path: Path, mode: int) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates").chmod(mode)
    assert _compiled(tmp_path) is None


def test_without_a_place_pages_are_shown_all_the_same(tmp_path: Path) -> None:
    assert _compiled(tmp_path / "nowhere") is None
    assert not (tmp_path / "nowhere").exists()
    cache = _compiled(tmp_path)
    (tmp_path / "templates").rmdir()
    environment = Environment(loader=DictLoader({"a.html": "Hi"}), bytecode_cache=cache, autoescape=True)
    assert environment.get_template("a.html").render() == "Hi"
