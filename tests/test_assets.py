"""Files out of storage: who may have them, how a browser is told to treat them, and how they are sought in."""

from __future__ import annotations

import hashlib

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from dataelan_web.extensions import db
from dataelan_web.local.simulated.painting import animation, png
from dataelan_web.local.simulated.sounds import tune
from dataelan_web.models import Asset
from dataelan_web.playground.media_types import shown_as
from dataelan_web.playground.sending import clean_name
from dataelan_web.storage import storage

from . import people

PNG = png(b"a seed" * 6, 30, 20)
WAV = tune("a few words")
APNG = animation(b"a seed" * 6, 16, 9, 3, 8)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"
MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(40)
WEBM = b"\x1aE\xdf\xa3\x93B\x82\x84webm" + bytes(40)
WEBP = b"RIFF\x20\x00\x00\x00WEBPVP8 " + bytes(16)
AVIF = b"\x00\x00\x00\x1cftypavif" + bytes(40)


def kept(cast: people.Cast, content: bytes, media_type: str = "image/png", name: str = "picture.png") -> Asset:
    asset = people.asset(cast, content, media_type, name)
    db.session.add(asset)
    db.session.commit()
    return asset


def get(app: Flask, cast: people.Cast, asset: Asset, query: str = "", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return people.browser(app, cast.victor).get(f"{cast.home}/assets/{asset.id}{query}", headers=named)


# -- what a browser is told ------------------------------------------------------------------------


def test_a_picture_is_shown_and_can_do_nothing_else(app: Flask, acme: people.Cast) -> None:
    answer = get(app, acme, kept(acme, PNG))
    assert answer.status_code == 200
    assert answer.data == PNG
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Length"] == str(len(PNG))
    assert answer.headers["Content-Disposition"] == "inline; filename=picture.png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(PNG).hexdigest()}"'
    assert "Cookie" in answer.vary, "kept for this sign-in only"


@pytest.mark.parametrize(
    ("media_type", "content", "shown"),
    [
        ("image/png", PNG, "image/png"),
        ("image/apng", APNG, "image/apng"),
        ("image/png", APNG, "image/png"),
        ("image/jpg", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("image/gif", b"GIF89a", "image/gif"),
        ("image/webp", WEBP, "image/webp"),
        ("image/avif", AVIF, "image/avif"),
        ("audio/wav", WAV, "audio/wav"),
        ("audio/x-wav", WAV, "audio/wav"),
        ("audio/mpeg", b"ID3\x04", "audio/mpeg"),
        ("audio/mpeg; rate=44100", b"\xff\xfb\x90", "audio/mpeg"),
        ("audio/ogg", b"OggS", "audio/ogg"),
        ("audio/flac", b"fLaC", "audio/flac"),
        ("audio/aac", b"\xff\xf1", "audio/aac"),
        ("audio/mp4", MP4, "audio/mp4"),
        ("video/mp4", MP4, "video/mp4"),
        ("video/webm", WEBM, "video/webm"),
    ],
)
def test_what_claim_and_content_agree_on_is_shown(media_type: str, content: bytes, shown: str) -> None:
    assert shown_as(media_type, content) == shown


HOSTILE = [
    ("image/svg+xml", SVG),
    ("image/png", SVG),
    ("image/png", HTML),
    ("image/gif", PNG),
    ("image/png", b"GIF89a/*" + HTML + b"*/"),  # a polyglot, under another one's name
    ("text/html", PNG + HTML),
    ("text/html", HTML),
    ("application/xhtml+xml", HTML),
    ("application/pdf", b"%PDF-1.7"),
    ("image/png", b"%PDF-1.7"),
    ("text/plain", b"words"),
    ("audio/wav", WEBP),
    ("audio/wav", b"RIFF\x20\x00\x00\x00AVI LIST"),
    ("video/mp4", AVIF),
    ("video/mp4", b"\x00\x00\x00\x18ftypqt  "),
    ("image/png", b""),
    ("", PNG),
    ("image/png\r\nX-Evil: 1", PNG),
    ("multipart/x-mixed-replace", PNG),
]


@pytest.mark.parametrize(("media_type", "content"), HOSTILE)
def test_everything_else_is_only_saved(app: Flask, acme: people.Cast, media_type: str, content: bytes) -> None:
    answer = get(app, acme, kept(acme, content, media_type, "thing.html"))
    assert answer.status_code == 200
    assert answer.data == content
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename=thing.html"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    assert "X-Evil" not in answer.headers


def test_a_polyglot_that_begins_as_a_picture_is_nothing_but_that_picture(app: Flask, acme: people.Cast) -> None:
    answer = get(app, acme, kept(acme, PNG + HTML))
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("picture.png", "attachment; filename=picture.png"),
        ("Café 1.png", "attachment; filename=\"Cafe 1.png\"; filename*=UTF-8''Caf%C3%A9%201.png"),
        ("写真.png", "attachment; filename=file.png; filename*=UTF-8''%E5%86%99%E7%9C%9F.png"),
        ('a"b\\c;d.png', 'attachment; filename="c;d.png"'),
        ("x.png\r\nSet-Cookie: evil=1", 'attachment; filename="x.png Set-Cookie: evil=1"'),
        ("../../etc/passwd", "attachment; filename=passwd"),
        ("\x00\u202egnp.exe", "attachment; filename=gnp.exe"),
        ("", "attachment; filename=file"),
        (f"{'long' * 100}.png", None),
    ],
)  # fmt: skip
def test_a_download_has_the_file_s_name_and_no_other_header(
    app: Flask, acme: people.Cast, name: str, header: str | None
) -> None:
    asset = kept(acme, PNG)
    db.session.execute(db.update(Asset).where(Asset.id == asset.id).values(name=name[:200]))
    db.session.commit()
    answer = get(app, acme, asset, "?download")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/png"
    assert "evil=1" not in answer.headers.get("Set-Cookie", "")
    said = answer.headers["Content-Disposition"]
    assert said == header or header is None
    assert len(said) < 800


def test_a_name_keeps_its_ending_when_it_is_cut() -> None:
    assert clean_name("x" * 500 + ".jpeg") == "x" * 115 + ".jpeg"
    assert clean_name("C:\\Users\\me\\photo.JPG") == "photo.JPG"
    assert clean_name(" . ") == "file"


# -- keeping and seeking ---------------------------------------------------------------------------


def test_a_browser_that_has_it_is_not_sent_it_again(app: Flask, acme: people.Cast) -> None:
    asset = kept(acme, PNG)
    etag = get(app, acme, asset).headers["ETag"]
    again = get(app, acme, asset, If_None_Match=etag)
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == etag
    assert get(app, acme, asset, If_None_Match='"another"').status_code == 200


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("bytes=0-", 0, None), ("bytes=10-19", 10, 20), ("bytes=-5", -5, None), ("bytes=5-999999999", 5, None)],
)
def test_a_piece_can_be_asked_for(app: Flask, acme: people.Cast, wanted: str, start: int, end: int | None) -> None:
    answer = get(app, acme, kept(acme, WAV, "audio/wav", "tune.wav"), Range=wanted)
    piece, first = WAV[start:end], start % len(WAV)
    assert answer.status_code == 206
    assert answer.data == piece
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(piece) - 1}/{len(WAV)}"
    assert answer.headers["Content-Length"] == str(len(piece))
    assert answer.headers["Content-Type"] == "audio/wav", "known by the file's first bytes, not by the piece's"


def test_a_piece_beyond_the_end_is_refused_with_the_length(app: Flask, acme: people.Cast) -> None:
    asset = kept(acme, PNG)
    answer = get(app, acme, asset, Range=f"bytes={len(PNG)}-")
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(PNG)}"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=0-1", "bytes=x", "bytes=5-2", ""])
def test_a_range_that_is_not_understood_brings_the_whole_file(app: Flask, acme: people.Cast, wanted: str) -> None:
    answer = get(app, acme, kept(acme, PNG), Range=wanted)
    assert (answer.status_code, answer.data) == (200, PNG)
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_the_rest_of_another_version_is_not_sent(app: Flask, acme: people.Cast) -> None:
    asset = kept(acme, PNG)
    assert get(app, acme, asset, Range="bytes=5-", If_Range='"another"').status_code == 200
    etag = f'"{asset.sha256}"'
    assert get(app, acme, asset, Range="bytes=5-", If_Range=etag).status_code == 206


def test_head_tells_all_and_sends_nothing(app: Flask, acme: people.Cast) -> None:
    answer = people.browser(app, acme.victor).head(f"{acme.home}/assets/{kept(acme, PNG).id}")
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(PNG))


def test_a_large_file_comes_in_pieces(app: Flask, acme: people.Cast) -> None:
    content = b"RIFF\x00\x00\x00\x00WAVE" + bytes(3_000_000)
    answer = people.browser(app, acme.mia).get(
        f"{acme.home}/assets/{kept(acme, content, 'audio/wav').id}", buffered=False
    )
    pieces = list(answer.response)
    assert len(pieces) > 3
    assert b"".join(pieces) == content


def test_a_storage_that_is_away_is_told_in_words(app: Flask, acme: people.Cast) -> None:
    asset = kept(acme, b"GIF89a of its own")
    storage().delete(asset.storage_key)
    answer = get(app, acme, asset)
    assert answer.status_code == 503
    assert "storage does not answer" in answer.get_data(as_text=True)
    assert answer.headers["Cache-Control"] == "no-store"


# -- whose they are --------------------------------------------------------------------------------


def test_a_file_is_for_those_who_see_its_project(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    asset = kept(acme, PNG)
    url = f"{acme.home}/assets/{asset.id}"
    for person in (acme.olivia, acme.victor, acme.gina):
        assert people.browser(app, person).get(url).status_code == 200
    for person in (acme.ned, rival.olivia):
        assert people.browser(app, person).get(url).status_code == 404
        assert people.browser(app, person).get(f"{rival.home}/assets/{asset.id}").status_code == 404
    assert people.browser(app).get(url).status_code == 303


def test_a_known_etag_opens_nothing(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    asset = kept(acme, PNG)
    answer = people.browser(app, rival.olivia).get(
        f"{rival.home}/assets/{asset.id}", headers={"If-None-Match": f'"{asset.sha256}"'}
    )
    assert answer.status_code == 404
