"""Files that replace others together, also if the program is killed meanwhile."""

import errno
import json
import os
import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from aotlab import InputError
from aotlab.utils.files import list_files
from aotlab.utils.run_folder import UNMOVED
from aotlab_studio.session.export import add_record
from aotlab_studio.utils.files import OLD, ExportRecord, move_entries, recover_export, stage_files
from aotlab_testing.processes import kill_at_call, survives_in_subprocess


def move_until_killed(source, target, renames):
    kill_at_call("pathlib.Path.replace", renames + 1)
    move_entries(source, target)


@pytest.fixture
def folders(tmp_path):
    """Folders ``made``, with new files, and ``out``, with old files of the same names."""
    for folder, text in (("made", "new"), ("out", "old")):
        for name in ("a", "b"):
            (tmp_path / folder / name).mkdir(parents=True)
            (tmp_path / folder / name / "mask.png").write_text(text)
    return tmp_path / "made", tmp_path / "out"


def read_texts(paths):
    return [path.read_text() for path in paths]


@pytest.mark.parametrize(
    ("renames", "moved", "shown"),
    [(0, "", "old old"), (1, "old", "old"), (2, "old", "old new"), (3, "old old", "new"), (4, "old old", "new new")],
)  # fmt: skip
def test_killed_replacement_is_finished_by_the_next_call(folders, renames, moved, shown):
    made, out = folders
    survives_in_subprocess(move_until_killed, made, out, renames)
    assert read_texts(made.glob(f"{OLD}/*/mask.png")) == moved.split()
    assert sorted(read_texts(out.glob("[ab]/mask.png"))) == sorted(shown.split())
    move_entries(made, out)
    assert read_texts(out.glob("[ab]/mask.png")) == ["new", "new"]
    assert read_texts(made.glob(f"{OLD}/*/mask.png")) == ["old", "old"]


def test_failed_replacement_is_finished_by_the_next_call(folders, monkeypatch):
    (made, out), replace = folders, Path.replace

    def fail(path, target):
        if path == made / "b":
            raise OSError(errno.EACCES, "in use")
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(InputError, match=r"made/b: cannot be moved \(in use\); close programs that use it"):
            move_entries(made, out)
    move_entries(made, out)
    assert read_texts(out.glob("[ab]/mask.png")) == ["new", "new"]


def test_file_is_replaced_in_one_step_and_last(tmp_path, monkeypatch):
    made, out = tmp_path / "made", tmp_path / "out"
    for folder, text in ((made, "new"), (out, "old")):
        folder.mkdir()
        for name in ("a.json", "results.json", "z.json"):
            (folder / name).write_text(text)
    replace, seen = Path.replace, []

    def note(path, target):
        replace(path, target)
        seen.append([file.read_text() for file in sorted(out.iterdir())])

    monkeypatch.setattr(Path, "replace", note)
    move_entries(made, out, removed=["z.json"], last="a.json")
    assert seen == [["old", "new", "old"], ["old", "new", "new"], ["new", "new", "new"]]


class Killed(BaseException):
    """Stands for a kill."""


def ends_after(monkeypatch, number, work, *args):
    """Return whether work ends before the ``number``-th change of a folder; that one and all later ones fail."""
    steps = count(1)

    def limit(function):
        def change_or_die(*args, **options):
            if next(steps) >= number:
                raise Killed
            return function(*args, **options)

        return change_or_die

    with monkeypatch.context() as patch, suppress(Killed):
        for name in ("mkdir", "rename", "replace", "rmdir", "unlink"):
            patch.setattr(os, name, limit(getattr(os, name)))
        work(*args)
        return True
    return False


def write_export(out, text, *names):
    with stage_files(out) as made:
        for name in names:
            (made / name).parent.mkdir(exist_ok=True)
            (made / name).write_text(text)
        add_record(made, ExportRecord(digest=text))


OLD_NAMES = ("coco.json", "cvat.xml", "masks/0.png")
NEW_NAMES = ("coco.json", "masks/0.png", "masks/1.png")


def test_two_kills_leave_one_whole_export(tmp_path, monkeypatch):
    shown, is_whole = set(), False
    for number in count():
        first = tmp_path / str(number)
        write_export(first, "old", *OLD_NAMES)
        if is_whole := ends_after(monkeypatch, number, write_export, first, "new", *NEW_NAMES):
            break
        for second_number in count():
            out = shutil.copytree(first, tmp_path / "out")
            is_clean = ends_after(monkeypatch, second_number, recover_export, out)
            recover_export(out)
            text = json.loads((out / "export.json").read_bytes())["digest"]
            names = OLD_NAMES if text == "old" else NEW_NAMES
            assert sorted(list_files(out)) == sorted([*names, "export.json"]), (number, second_number)
            assert set(read_texts(out / name for name in names)) == {text}
            assert not list(out.glob(".aotlab-*"))
            shown.add(text)
            shutil.rmtree(out)
            if is_clean:
                break
    assert is_whole
    assert shown == {"old", "new"}


@pytest.mark.parametrize("number", range(1, 40, 4))
def test_export_after_a_killed_one_replaces_both(tmp_path, monkeypatch, number):
    write_export(tmp_path, "old", *OLD_NAMES)
    ends_after(monkeypatch, number, write_export, tmp_path, "new", *NEW_NAMES)
    write_export(tmp_path, "newer", "cvat.xml", "masks/2.png")
    assert sorted(list_files(tmp_path)) == ["cvat.xml", "export.json", "masks/2.png"]


def test_files_of_file_managers_do_not_block_the_next_export(tmp_path):
    write_export(tmp_path, "old", *OLD_NAMES)
    for name in (".DS_Store", "masks/.DS_Store", "masks/Thumbs.db"):
        (tmp_path / name).touch()
    write_export(tmp_path, "new", *NEW_NAMES)
    names = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(names) == sorted([*NEW_NAMES, ".DS_Store", "export.json"])


def test_folder_of_a_killed_export_moves_no_other_files(tmp_path):
    out, mine = tmp_path / "out", tmp_path / "mine"
    mine.mkdir()
    (mine / "mask.png").write_text("mine")
    (out / UNMOVED).mkdir(parents=True)
    (out / "export.json").write_text('{"files": ["../mine", "..", "", "/"]}')
    (out / UNMOVED / "export.json").write_text("{}")
    recover_export(out)
    (out / UNMOVED).symlink_to(mine)
    recover_export(out)
    assert (mine / "mask.png").read_text() == "mine"
