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
from aotlab_studio.files import (
    MOVE_LOCK,
    REPLACED,
    clean_up,
    list_files,
    move_entries,
    read_exported,
    stage_files,
    write_bytes,
)
from aotlab_studio.session.export import replace_export
from tests.processes import KILLED, completes_in_subprocess, die_before


def move_until_killed(source, target, renames):
    """Move entries; die after so many renames, or in the removal of what was replaced."""
    remove = shutil.rmtree

    def remove_part(path, **options):
        remove(next(Path(path).iterdir()))
        os._exit(KILLED)

    shutil.rmtree = remove_part
    die_before("pathlib.Path.rename", renames + 1)
    move_entries(source, target)


@pytest.fixture
def folders(tmp_path):
    """Folders ``made``, with new files, and ``out``, with old files of the same names."""
    for folder, text in (("made", "new"), ("out", "old")):
        for name in ("a", "b"):
            (tmp_path / folder / name).mkdir(parents=True)
            (tmp_path / folder / name / "mask.png").write_text(text)
    return tmp_path / "made", tmp_path / "out"


@pytest.mark.parametrize(
    ("renames", "moved", "shown"),
    [(0, "", "old old"), (1, "old", "old"), (2, "old old", ""), (3, "old old", "new"), (4, "old old", "new new"),
     (5, "", "new new")],
)  # fmt: skip
def test_killed_replacement_keeps_old_or_new_files(folders, renames, moved, shown):
    made, out = folders
    assert not completes_in_subprocess(move_until_killed, made, out, renames)
    assert [path.read_text() for path in out.glob(f"{REPLACED}*/*/mask.png")] == moved.split()
    assert [path.read_text() for path in out.glob("[ab]/mask.png")] == shown.split()
    made.mkdir(exist_ok=True)
    move_entries(made, out)
    assert {path.read_text() for path in out.glob("[ab]/mask.png")} <= {"new"}
    assert not list(out.glob(".*"))


IN_USE = r"made/b: cannot be moved \(in use\); close programs that use it"


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(errno.EACCES, "in use"), InputError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_failed_replacement_keeps_the_old_files(folders, monkeypatch, error, raised, moved):
    (made, out), rename = folders, Path.rename

    def fail(path, target):
        if path == made / "b":
            if moved:
                rename(path, target)
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(raised, match=IN_USE if raised is InputError else None):
        move_entries(made, out)
    assert [(out / name / "mask.png").read_text() for name in ("a", "b")] == ["old", "old"]
    assert not list(out.glob(f"{REPLACED}*"))


def export(out, *names):
    with stage_files(out) as made:
        for name in names:
            write_bytes(made / name, b"mask")
        replace_export(made, "export.json", {}, old_files=read_exported(out, "export.json"))


def export_until_killed(out, name, renames):
    die_before("pathlib.Path.rename", renames + 1)
    export(out, name)


@pytest.mark.parametrize("kind", ["coco.json", "masks/0.png"])
@pytest.mark.parametrize("renames", range(7))
def test_export_after_a_killed_one_replaces_both(tmp_path, renames, kind):
    out = tmp_path / "out"
    export(out, "masks/0.png", "masks/1.png", "cvat.xml")
    completes_in_subprocess(export_until_killed, out, kind, renames)
    assert (out / "export.json").exists() or renames == 3  # the last one set aside, the first one replaced
    clean_up(out, "export.json")
    assert not list(out.glob(f"{REPLACED}*"))  # which would mean that a later export was moved in part
    shown = sorted(list_files(out))
    assert "export.json" in shown
    assert "masks/1.png" in shown or (kind, renames) != ("coco.json", 2)
    assert set(json.loads((out / "export.json").read_bytes())["files"]) <= {*shown}
    export(out, "coco.json", "masks/2.png")
    assert sorted(list_files(out)) == ["coco.json", "export.json", "masks/2.png"]


class Killed(BaseException):
    """Stands for a kill."""


def ends(monkeypatch, number, work, *args):
    """Return whether work comes to its end before the ``number``-th change of a folder, from which on all fail."""
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
        replace_export(made, "export.json", {"digest": text}, old_files=read_exported(out, "export.json"))


def test_two_kills_leave_one_whole_export(tmp_path, monkeypatch):
    old, new = ("coco.json", "cvat.xml", "masks/0.png"), ("coco.json", "masks/0.png", "masks/1.png")
    shown, is_whole = set(), False
    for number in count():
        first = tmp_path / str(number)
        write_export(first, "old", *old)
        if is_whole := ends(monkeypatch, number, write_export, first, "new", *new):
            break
        for second_number in count():
            out = shutil.copytree(first, tmp_path / "out")
            is_clean = ends(monkeypatch, second_number, clean_up, out, "export.json")
            clean_up(out, "export.json")
            text = json.loads((out / "export.json").read_bytes())["digest"]
            names = old if text == "old" else new
            (out / MOVE_LOCK).unlink(missing_ok=True)  # which the next export locks again
            assert sorted(list_files(out)) == sorted([*names, "export.json"]), (number, second_number)
            assert {(out / name).read_text() for name in names} == {text}
            assert not list(out.glob(".aotlab-*-*"))
            shown.add(text)
            shutil.rmtree(out)
            if is_clean:
                break
    assert is_whole
    assert shown == {"old", "new"}
