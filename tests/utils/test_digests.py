"""Digests of files: the whole content counts, and files with the recorded size and time are not read."""

import hashlib
import os

import pytest

from aotlab.utils import digests
from aotlab.utils.digests import InputDigests, digest_files
from aotlab.utils.errors import InputError


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that were read."""
    names = []
    monkeypatch.setattr(digests, "sha256", lambda path: names.append(path.name) or sha256(path))
    sha256 = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()  # noqa: E731
    return names


def test_changed_size_or_time_is_read_again(tmp_path, reads):
    path = tmp_path / "clip"
    path.write_bytes(bytes(9))
    first = InputDigests()
    assert first.digest(path) == hashlib.sha256(bytes(9)).hexdigest()
    assert InputDigests(first.entries).digest(path) == first.digest(path)
    assert reads == ["clip"] * 2
    os.utime(path, (0, 0))
    assert InputDigests(first.entries).digest(path) == first.digest(path)
    path.write_bytes(bytes(8))
    assert InputDigests(first.entries).digest(path) == hashlib.sha256(bytes(8)).hexdigest()


def test_folder_has_one_digest_of_names_and_contents(tmp_path, reads):
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text("same")
    first = InputDigests()
    before = first.digest(tmp_path, paths)
    assert InputDigests(first.entries).digest(tmp_path, paths) == before
    assert reads == ["a", "b"]
    paths[1] = paths[1].rename(tmp_path / "c")
    assert InputDigests(first.entries).digest(tmp_path, paths) != before


def test_name_that_is_not_unicode_is_read(tmp_path):
    path = tmp_path / "vid\udcff.mp4"
    path.write_bytes(bytes(2**20))
    assert InputDigests().digest(path) == hashlib.sha256(bytes(2**20)).hexdigest()


def test_digests_of_files_are_in_order(tmp_path, reads):
    paths = [tmp_path / name for name in ("b", "gone", "a", "b")]
    for path in (paths[0], paths[2]):
        path.write_text(path.name)
    b, a = (hashlib.sha256(name.encode()).hexdigest() for name in "ba")
    assert digest_files([paths[0], paths[2]], "reading") == [b, a]
    assert sorted(reads) == ["a", "b"]


def test_missing_file_rejected(tmp_path):
    assert digest_files([tmp_path / "gone"], "reading") == [""]
    with pytest.raises(InputError, match="gone: no such file"):
        InputDigests().digest(tmp_path / "gone")
