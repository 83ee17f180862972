"""What a plain name is, and paths that lead nowhere, too far or where one may not go."""

from __future__ import annotations

import os

import pytest

from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, is_file, is_folder, plain_name, read_text

NOT_PLAIN = [
    "", ".", "..", "../../evil", "/etc/evil", "a/b", "a\\b", "..\\evil", "C:evil", "c:\\evil", ".finished", "~/../x",
    "evil\n", "a\0b", "\x1b[2J", " a", "a ", "x" * 201, "\udcff", None, 3, ["a"],
]  # fmt: skip


@pytest.mark.parametrize("name", NOT_PLAIN, ids=ascii)
def test_what_is_no_plain_name_is_refused(name):
    with pytest.raises(InputError, match=r"^list\.txt: .* is not a plain name") as caught:
        plain_name(name, "list.txt")
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("name", ["bear", "00000", "a b", "dogs-jump.v2", "Ünï", "日本", "a..b", "x" * 200])
def test_plain_names_are_taken_as_they_are(name):
    assert plain_name(name, "list.txt") == name


def test_what_lies_at_a_path_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    found = {path.name: (is_file(path), is_folder(path)) for path in (tmp_path, *tmp_path.iterdir())}
    assert found == {
        tmp_path.name: (False, True),
        "file": (True, False),
        "link": (True, False),
        "gone": (False, False),
        "pipe": (False, False),
    }
    assert not is_file(tmp_path / "file" / "below")


@pytest.mark.parametrize("look", [is_file, is_folder])
@pytest.mark.parametrize("path", ["x" * 300, "x/" * 3000, "a\0b"], ids=["name", "path", "zero"])
def test_a_path_that_no_system_takes_is_refused_in_one_short_sentence(tmp_path, look, path):
    with pytest.raises(InputError, match="cannot be read") as caught:
        look(tmp_path / path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("look", [is_file, is_folder])
def test_a_folder_one_may_not_enter_is_named(closed_folder, look):
    with pytest.raises(InputError, match=r"closed/inside: cannot be read \(Permission denied\)"):
        look(closed_folder / "inside")


def test_a_folder_that_may_not_be_listed_is_named(closed_folder):
    with pytest.raises(InputError, match=r"closed: this folder cannot be read"):
        is_folder(closed_folder)


def test_a_list_that_is_no_text_is_named(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"bear\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"list\.txt: not text in UTF-8 \(byte 5\); one name a line"):
        read_text(tmp_path / "list.txt", "one name a line")


@pytest.mark.parametrize("length", [200, 246, 251])
def test_long_names_are_written(tmp_path, length):
    path = tmp_path / ("n" * length + ".txt")
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_long_name_in_letters_of_several_bytes_is_written(tmp_path):
    path = tmp_path / ("ü" * 123 + ".txt")
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
    assert path.read_text() == "whole"


def write_and_lose_the_folder(path):
    with atomic_path(path) as temporary:
        temporary.mkdir()  # unlink fails at a folder
        raise InputError("what went wrong")


def test_a_failing_clean_up_does_not_hide_what_went_wrong(tmp_path):
    with pytest.raises(InputError, match="what went wrong"):
        write_and_lose_the_folder(tmp_path / "note.txt")


def test_a_name_that_is_too_long_is_one_sentence(tmp_path):
    def write():
        with atomic_path(tmp_path / ("n" * 300 + ".txt")) as temporary:
            temporary.write_text("whole")

    with pytest.raises(InputError, match="File name too long"):
        write()
    assert list(tmp_path.iterdir()) == []
