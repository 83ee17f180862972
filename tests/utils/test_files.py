"""Atomic writes, file names, and unusable paths."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from aotlab.tools.cli.command import require_new_output
from aotlab.utils.errors import InputError, RunStopped
from aotlab.utils.files import (
    atomic_path,
    describe_error,
    is_file_name,
    make_folder,
    prefix_errors,
    read_text,
    reading,
    require_file_name,
    require_writable,
    sha256,
    sibling_path,
    temporary_name,
    write_bytes,
)
from aotlab.utils.locks import remove_leftovers
from aotlab_testing.limits import limit_file_size, make_pipe

NOT_PLAIN = [
    "", ".", "..", "../../evil", "/etc/evil", "a/b", "a\\b", "..\\evil", "C:evil", "c:\\evil", ".finished", "~/../x",
    "evil\n", "a\0b", "\x1b[2J", " a", "a ", "x" * 201, "\udcff", None, 3, ["a"],
]  # fmt: skip


def write(path, text="new"):
    with atomic_path(path) as temporary:
        temporary.write_text(text)


@pytest.mark.parametrize(
    "name", ["note.txt", "n" * 200 + ".txt", "n" * 246 + ".txt", "n" * 251 + ".txt", "ü" * 123 + ".txt"]
)
def test_file_appears_complete_or_not_at_all(tmp_path, name):
    target = tmp_path / "folder" / name
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == target.suffix
        assert not target.exists()
    with pytest.raises(RuntimeError, match="stop"), atomic_path(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_failed_clean_up_does_not_hide_the_error(tmp_path):
    with pytest.raises(InputError, match="the first error"), atomic_path(tmp_path / "a") as temporary:  # noqa: PT012
        temporary.mkdir()  # unlink fails at a folder
        raise InputError("the first error")


def test_full_disk_is_reported_in_one_sentence(tmp_path):
    full = pytest.raises(InputError, match=r"file\.bin: cannot be written \(File too large\)")
    with limit_file_size(10**6), full:
        write_bytes(tmp_path / "file.bin", bytes(2 * 10**6))
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_programs_are_removed(tmp_path):
    for target in ("state.pt", "note", "model.v2"):
        (tmp_path / temporary_name(tmp_path / target)).touch()
    folder = tmp_path / temporary_name(tmp_path / "folder")
    folder.mkdir()
    (folder / "graph").touch()
    kept = {"state.pt", ".hidden", ".x.part.pt", ".folder.old.part"}
    for name in kept:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "nowhere")
    for other in ("other.pt", "model", "state", "[sf]*"):
        remove_leftovers(tmp_path, other)
    assert len(list(tmp_path.iterdir())) == 8
    remove_leftovers(tmp_path, "folder")
    remove_leftovers(tmp_path, "model.v2")
    assert len(list(tmp_path.iterdir())) == 6
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_name_that_is_too_long_rejected(tmp_path):
    with pytest.raises(OSError, match="File name too long"):
        write(tmp_path / ("n" * 300 + ".txt"))


@pytest.mark.parametrize("make", [getattr(os, "mkfifo", os.mkdir), os.mkdir])
def test_only_regular_files_are_replaced(tmp_path, make):
    make(tmp_path / "output")
    before = os.stat(tmp_path / "output").st_mode
    with pytest.raises(InputError, match="not a regular file"):
        write(tmp_path / "output")
    assert os.stat(tmp_path / "output").st_mode == before
    assert [path.name for path in tmp_path.iterdir()] == ["output"]


@pytest.mark.skipif(not os.path.islink("/dev/stdout"), reason="this system has no links to streams")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/full", "/dev/null"])
def test_streams_and_devices_are_not_replaced(name):
    before = os.lstat(name)
    with pytest.raises(InputError):
        write(Path(name))
    assert os.lstat(name)[:3] == before[:3]


def test_unusable_outputs_rejected_before_the_work(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("")
    for path, words in (
        (tmp_path / "plot.xyz", "ends in .png or .svg"),
        (tmp_path / "plot", "ends in .png or .svg"),
        (tmp_path / "folder.png", "is not a regular file"),
        (tmp_path / "file" / "plot.png", "cannot"),
        (tmp_path / ("n" * 300 + ".png"), "File name too long"),
    ):
        with pytest.raises((InputError, OSError), match=words):
            require_new_output(path, ".png", ".svg", force=True)
    require_new_output(tmp_path / "new" / "plot.PNG", ".png", force=True)
    assert not (tmp_path / "new").exists()
    for prepare in (make_folder, require_writable):
        with pytest.raises(InputError, match="file"):
            prepare(tmp_path / "file" / "results")
    (tmp_path / "link").symlink_to(tmp_path / "unmounted")
    with pytest.raises(InputError, match=r"link: cannot be written .*; choose another folder"):
        make_folder(tmp_path / "link")


@pytest.mark.parametrize("name", NOT_PLAIN, ids=ascii)
def test_names_that_are_not_plain_rejected(name):
    with pytest.raises(InputError, match=r"^list\.txt: .* is not a plain name") as caught:
        require_file_name(name, "list.txt")
    assert len(str(caught.value)) < 250


@given(st.text(max_size=30) | st.sampled_from(["bear", "00000", "a b", "dogs-jump.v2", "Ünï", "日本", "a..b"]))
def test_plain_name_stays_inside_its_folder(name):
    folder = Path("/results").absolute()
    if is_file_name(name):
        assert require_file_name(name, "list.txt") == name
        assert Path(os.path.normpath(folder / name)).parent == folder


def test_digest_follows_links_and_refuses_pipes(tmp_path):
    (tmp_path / "file").write_text("abc")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    make_pipe(tmp_path / "pipe")
    assert sha256(tmp_path / "link").startswith("ba7816bf8f01cfea414140de5dae2223")
    with pytest.raises(InputError, match="pipe: not a regular file"):
        sha256(tmp_path / "pipe")


def test_text_in_another_encoding_rejected(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"bear\n\xff\xfe\n")
    with pytest.raises(InputError, match=r"list\.txt: .* position 5.; one name a line"):
        read_text(tmp_path / "list.txt", "one name a line")


@pytest.mark.parametrize(("kinds", "errors", "are_bad_input"), [
    ((ValueError, OSError, EOFError, UnicodeError), (), True),
    ((KeyError, SyntaxError), (LookupError, SyntaxError), True),
    ((KeyError, IndexError, TypeError, AttributeError, RuntimeError, NameError, ImportError), (), False),
    ((RuntimeError, RunStopped, MemoryError), (LookupError, SyntaxError), False),
])  # fmt: skip
def test_only_named_errors_are_bad_input(kinds, errors, are_bad_input):
    for kind in kinds:
        with pytest.raises(InputError if are_bad_input else kind) as raised, reading("file", "give another", *errors):
            raise kind("x")
        assert str(raised.value).startswith("file: not readable (") == are_bad_input


@pytest.mark.parametrize(("current", "name", "expected"), [
    (".", "clip.mp4", "clip.txt"), (".", "folder.d", "folder.d.txt"), (".", "/", "/.txt"),
    ("folder.d/inner", ".", "../inner.txt"), ("folder.d/inner", "..", "../../folder.d.txt"),
])  # fmt: skip
def test_sibling_path_of_a_file_or_folder(tmp_path, monkeypatch, current, name, expected):
    (tmp_path / "folder.d" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / current)
    assert sibling_path(Path(name), ".txt").resolve() == Path(expected).resolve()


@pytest.mark.parametrize("block", [reading, prefix_errors])
def test_subject_keeps_the_type_of_an_error(block):
    class OtherError(InputError):
        def __init__(self, number):
            super().__init__(f"number {number}")
            self.number = number

    with pytest.raises(OtherError, match=r"^file: number 3$") as raised, block("file"):
        raise OtherError(3)
    assert raised.value.number == 3


@pytest.mark.parametrize(("error", "text"), [
    (ValueError("A sentence. " * 17 + "Another"), "A sentence. " * 15 + "A sentence"),
    (ValueError("a " * 150), "a " * 99 + "a…"),
    (KeyError("rows"), "missing 'rows'"),
])  # fmt: skip
def test_errors_of_libraries_are_in_plain_words(error, text):
    assert describe_error(error) == text


class Region(BaseModel):
    points: list[tuple[float, float]]


@pytest.mark.parametrize(("value", "text"), [
    ({}, "missing 'points'"), (3, "should be an object"), ({"points": [[1, 2], 3]}, "points.1: should be a list"),
    ({"points": [[1, "x"]]}, "points.0.1: should be a valid number, unable to parse string as a number"),
])  # fmt: skip
def test_first_wrong_value_is_named_by_its_place(value, text):
    with pytest.raises(ValidationError) as raised:
        Region.model_validate(value)
    assert describe_error(raised.value) == text


@pytest.mark.parametrize("module", ["requests", "httpx"])
def test_unreachable_host_is_named(module):
    library = pytest.importorskip(module)
    request = library.Request("GET", "https://drive.google.com/uc")
    assert describe_error(library.ConnectTimeout("slow", request=request)) == "no connection to drive.google.com"


@pytest.mark.parametrize("module", ["requests", "httpx"])
def test_refusal_of_a_host_keeps_its_message(module):
    library = pytest.importorskip(module)
    request = library.Request("GET", "https://drive.google.com/uc")
    response = library.Response() if module == "requests" else library.Response(404)
    kind = library.HTTPError if module == "requests" else library.HTTPStatusError
    assert describe_error(kind("404 Not Found", request=request, response=response)) == "404 Not Found"
