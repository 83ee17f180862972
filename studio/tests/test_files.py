"""Files that replace others together, also if the program is killed meanwhile."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aotlab import InputError
from aotlab_studio.files import (
    REPLACED,
    clean_up,
    list_files,
    move_entries,
    read_exported,
    stage_files,
    write_bytes,
)
from aotlab_studio.session.export import replace_export

KILLED = """
import os, shutil, sys
from pathlib import Path
from aotlab_studio import files
left, rename, remove = [int(sys.argv[3])], Path.rename, shutil.rmtree
def rename_or_end(path, target):
    if not left[0]:
        os._exit(9)
    left[0] -= 1
    return rename(path, target)
def end(path, **options):
    remove(next(Path(path).iterdir()))
    os._exit(9)
Path.rename, shutil.rmtree = rename_or_end, end
files.move_entries(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("renames", range(6))
def test_replacement_that_was_killed_loses_nothing(tmp_path, renames):
    for folder, text in (("made", "new"), ("out", "old")):
        for name in ("a", "b"):
            (tmp_path / folder / name).mkdir(parents=True)
            (tmp_path / folder / name / "mask.png").write_text(text)
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "made", tmp_path / "out", str(renames)])
    assert done.returncode == 9
    out = tmp_path / "out"
    kept = [path.read_text() for path in out.glob(f"{REPLACED}*/*/mask.png")]
    assert kept == ["old"] * min(renames, 2) * (renames < 5)  # the end of a whole one removes them
    shown = [(out / name / "mask.png") for name in ("a", "b")]
    assert [path.read_text() for path in shown if path.exists()] == (
        ["old"] * (2 - renames) if renames < 2 else ["new"] * min(renames - 2, 2)
    )
    (tmp_path / "made").mkdir(exist_ok=True)
    move_entries(tmp_path / "made", out)
    assert all(path.read_text() == "new" for path in shown if path.exists())
    assert not list(out.glob(".*"))


IN_USE = r"made/b: cannot be moved \(in use\); close programs that use it"


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(errno.EACCES, "in use"), InputError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_failed_replacement_changes_nothing(tmp_path, monkeypatch, error, raised, moved):
    for folder, text in (("made", "new"), ("out", "old")):
        for name in ("a", "b"):
            (tmp_path / folder / name).mkdir(parents=True)
            (tmp_path / folder / name / "mask.png").write_text(text)
    rename = Path.rename

    def fail(path, target):
        if path == tmp_path / "made" / "b":
            if moved:
                rename(path, target)
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(raised, match=IN_USE if raised is InputError else None):
        move_entries(tmp_path / "made", tmp_path / "out")
    assert [(tmp_path / "out" / name / "mask.png").read_text() for name in ("a", "b")] == ["old", "old"]
    assert not list((tmp_path / "out").glob(f"{REPLACED}*"))


@pytest.mark.parametrize("kind", ["coco.json", "masks/0.png"])
@pytest.mark.parametrize("renames", range(7))
def test_export_after_a_killed_one_replaces_both(tmp_path, monkeypatch, renames, kind):
    out, rename, left = tmp_path / "out", Path.rename, [renames]

    def export(*names):
        with stage_files(out) as made:
            for name in names:
                write_bytes(made / name, b"mask")
            replace_export(made, "export.json", {}, old_files=read_exported(out, "export.json"))

    def rename_or_end(path, target):
        if not left[0]:
            os._exit(9)
        left[0] -= 1
        return rename(path, target)

    export("masks/0.png", "masks/1.png", "cvat.xml")
    if not (child := os.fork()):  # moves files only, which works in a fork of a process with threads
        try:
            monkeypatch.setattr(Path, "rename", rename_or_end)
            export(kind)
            os._exit(0)
        finally:
            os._exit(1)  # never runs the tests that follow
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, 9)
    assert (out / "export.json").exists() or renames == 3  # the last one set aside, the first one replaced
    clean_up(out, "export.json")
    assert not list(out.glob(f"{REPLACED}*"))  # which would mean that a later export was moved in part
    shown = sorted(list_files(out))
    assert "export.json" in shown
    assert "masks/1.png" in shown or (kind, renames) != ("coco.json", 2)
    assert set(json.loads((out / "export.json").read_bytes())["files"]) <= {*shown}
    export("coco.json", "masks/2.png")
    assert sorted(list_files(out)) == ["coco.json", "export.json", "masks/2.png"]
