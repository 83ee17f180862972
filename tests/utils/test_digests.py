"""Digests of files: the whole content counts, and large files are read once."""

import hashlib
import os

import pytest

from aotlab.utils import digests
from aotlab.utils.digests import digest_file, digest_files
from aotlab.utils.errors import InputError

LARGE = digests.MIN_CACHED_BYTES


@pytest.fixture
def reads(tmp_path, monkeypatch):
    """Names of the files that were read, with a cache of its own."""
    names = []
    monkeypatch.setenv("AOTLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(digests, "sha256", lambda path: names.append(path.name) or sha256(path))
    sha256 = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()  # noqa: E731
    return names


def write(path, content, age=60):
    """Write a file that was changed some seconds ago, as far as its times say."""
    path.write_bytes(content)
    seconds = path.stat().st_mtime - age
    os.utime(path, (seconds, seconds))
    return path


def test_large_settled_file_is_read_once(tmp_path, reads, monkeypatch):
    path = write(tmp_path / "clip", bytes(LARGE))
    monkeypatch.setattr("time.time", lambda: path.stat().st_ctime + 60)
    expected = hashlib.sha256(bytes(LARGE)).hexdigest()
    assert [digest_file(path), digest_file(path)] == [expected] * 2
    assert reads == ["clip"]


def test_changed_byte_anywhere_changes_the_digest(tmp_path, reads):
    content = bytearray(LARGE * 2)
    path = write(tmp_path / "clip", content)
    before = digest_file(path)
    for place in (0, LARGE + 12345, len(content) - 1):
        content[place] = 1
        write(path, content)
        assert digest_file(path) != before
        content[place] = 0
    write(path, content)
    assert digest_file(path) == before


def test_file_that_has_just_changed_is_read_again(tmp_path, reads):
    path = write(tmp_path / "clip", bytes(LARGE), age=0)
    digest_file(path)
    digest_file(path)
    assert reads == ["clip"] * 2


def test_small_files_and_damaged_caches_are_read(tmp_path, reads):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / digests.CACHE_FILE).write_text("no database")
    for name, size in (("small", 3), ("large", LARGE)):
        path = write(tmp_path / name, bytes(size))
        assert digest_file(path) == hashlib.sha256(bytes(size)).hexdigest()
    assert reads == ["small", "large"]


def test_digests_of_files_are_in_order(tmp_path, reads):
    paths = [tmp_path / name for name in ("b", "gone", "a", "b")]
    for path in (paths[0], paths[2]):
        path.write_text(path.name)
    b, a = (hashlib.sha256(name.encode()).hexdigest() for name in "ba")
    assert digest_files(paths, "reading") == [b, "", a, b]
    assert sorted(reads) == ["a", "b"]


def test_missing_file_rejected(tmp_path):
    with pytest.raises(InputError, match="gone: no such file"):
        digest_file(tmp_path / "gone")
