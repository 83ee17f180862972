"""Files that appear whole or not at all."""

import pytest

from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, make_folder, require_writable


def test_the_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "folder" / "note.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == ".txt"
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def write_half(target):
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "note.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="stop"):
        write_half(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_before_the_first_file_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        write_half(tmp_path / "note.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prepare", [make_folder, require_writable])
def test_a_folder_under_a_file_is_refused_by_name(tmp_path, prepare):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        prepare(tmp_path / "file" / "results")


def test_proving_a_folder_writable_leaves_it_empty(tmp_path):
    folder = require_writable(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []
