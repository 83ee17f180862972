"""Files that appear whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_file, atomic_path, make_folder, require_output, require_writable
from aotlab.utils.locks import remove_leftovers
from tests.limits import files_up_to


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


@pytest.mark.parametrize("prepare", [make_folder, require_writable])
def test_a_folder_under_a_file_is_refused_by_name(tmp_path, prepare):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        prepare(tmp_path / "file" / "results")
    with pytest.raises(InputError, match="null byte"):
        prepare(tmp_path / "a\0b")


WRITERS = {
    "bytes": lambda file, _: file.write(bytes(2 * 10**6)),
    "state": lambda file, content: torch.save({"weights": content}, file),
    "weights": lambda file, content: file.write(save({"weights": content})),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_one_sentence_whatever_writes(tmp_path, kind):
    content = torch.zeros(600, 600)

    def write():
        with atomic_file(tmp_path / "file.bin") as file:
            WRITERS[kind](file, content)

    with (
        files_up_to(10**6),
        pytest.raises(InputError, match=r"file\.bin: cannot be written \(File too large\)"),
    ):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="whether a process runs is asked on POSIX systems alone")
def test_what_a_killed_program_left_is_removed_and_nothing_else(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    pid = int(ended.stdout)
    for name in (f".state.{pid}.part.pt", f".a.b.{pid}.part.tar.gz", f".state.{os.getpid()}.part.pt", "state.pt",
                 ".hidden", f".note.{pid}.part", ".x.part.pt"):  # fmt: skip
        (tmp_path / name).touch()
    (tmp_path / f".folder.{pid}.part").mkdir()
    (tmp_path / f".folder.{pid}.part" / "graph").touch()
    remove_leftovers(tmp_path / "nowhere")
    remove_leftovers(tmp_path, "other.pt")
    assert len(list(tmp_path.iterdir())) == 8
    remove_leftovers(tmp_path, "folder")
    assert not (tmp_path / f".folder.{pid}.part").exists()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f".a.b.{pid}.part.tar.gz", f".state.{os.getpid()}.part.pt", "state.pt", ".hidden", ".x.part.pt",
    }  # fmt: skip


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_replaced_by_one(tmp_path, make):
    make(tmp_path / "output")
    before = os.stat(tmp_path / "output").st_mode
    with pytest.raises(InputError, match="not a regular file"), atomic_path(tmp_path / "output") as temporary:
        temporary.write_text("new")
    assert os.stat(tmp_path / "output").st_mode == before
    assert [path.name for path in tmp_path.iterdir()] == ["output"]


@pytest.mark.skipif(not os.path.islink("/dev/stdout"), reason="this system has no links to streams")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/full", "/dev/null"])
def test_streams_and_devices_are_not_replaced(name):
    before = os.lstat(name)
    with pytest.raises(InputError), atomic_path(Path(name)) as temporary:
        temporary.write_text("new")
    assert os.lstat(name)[:3] == before[:3]


def test_an_output_is_refused_before_the_work_where_it_could_not_be_written_after_it(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("")
    for path, words in (
        (tmp_path / "plot.xyz", "ends in .png or .svg"),
        (tmp_path / "plot", "ends in .png or .svg"),
        (tmp_path / "folder.png", "is not a regular file"),
        (tmp_path / "file" / "plot.png", "cannot"),
        (tmp_path / ("n" * 300 + ".png"), "cannot be read"),
    ):
        with pytest.raises(InputError, match=words):
            require_output(path, ".png", ".svg")
    assert require_output(tmp_path / "new" / "plot.PNG", ".png") == tmp_path / "new" / "plot.PNG"
    assert list((tmp_path / "new").iterdir()) == []
