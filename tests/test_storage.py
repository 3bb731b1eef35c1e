"""The same storage in a folder and in an S3-compatible bucket: kept, read in pieces, listed, deleted, and away."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataelan_web.storage import Storage, Unavailable

from .bucket import Bucket, bucket

SECRET = "CANARY-of-the-bucket"
HOME = uuid.uuid4()


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket() as there:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "dataelan")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_ENDPOINT", there.url)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield there


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Storage(f"file://{tmp_path}/assets")
    request.getfixturevalue("there")
    return Storage("s3://files/of-ours")


def test_a_file_is_kept_read_in_pieces_listed_and_deleted(storage: Storage) -> None:
    content = bytes(range(256)) * 4_000
    first, second = storage.put(HOME, content), storage.put(HOME, content)
    assert (first.size, first.sha256) == (len(content), second.sha256)
    assert first.key != second.key, "what somebody is just putting is never what a sweep takes away"
    assert storage.get(first.key) == content
    assert b"".join(storage.stream(first.key, 100, 600_000)) == content[100:600_000]
    assert {kept.key: kept.size for page in storage.listed() for kept in page} == {
        first.key: len(content),
        second.key: len(content),
    }
    assert storage.written_at(first.key)
    storage.delete(first.key)
    storage.delete(first.key)
    assert storage.written_at(first.key) is None
    with pytest.raises(Unavailable, match="cannot be read"):
        storage.get(first.key)
    assert storage.get(second.key) == content


def test_a_bucket_is_asked_with_its_credentials_and_they_are_told_nowhere(
    there: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Storage("s3://files/of-ours")
    kept = storage.put(HOME, b"A picture")
    assert list(there.objects) == [f"files/of-ours/{kept.key}"]
    assert all("Credential=dataelan/" in signature for signature in there.signatures)
    there.is_away = True
    with pytest.raises(Unavailable, match="could not be kept") as refused:
        storage.put(HOME, b"Another")
    assert SECRET not in f"{refused.value}{caplog.text}{there.signatures}"
