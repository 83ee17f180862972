"""Files that replace others together, also if the program is killed meanwhile."""

import errno
import shutil
import subprocess
import sys

import pytest

from aotlab import InputError
from aotlab_studio.files import KEPT, append_bytes, restore_entries

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


@pytest.mark.parametrize(
    ("renames", "shown", "words"),
    [
        (0, ["old", "old"], []),
        (1, ["old", "old"], ["a: restored"]),
        (2, ["old", "old"], ["a: restored", "b: restored"]),
        (3, ["new", "old"], ["a: replaced by a program that was killed; the old one is", "b: restored"]),
        (5, ["new", "new"], []),
    ],
)
def test_replacement_that_was_killed_loses_nothing(tmp_path, caplog, renames, shown, words):
    for folder, text in (("made", "new"), ("out", "old")):
        for name in ("a", "b"):
            (tmp_path / folder / name).mkdir(parents=True)
            (tmp_path / folder / name / "mask.png").write_text(text)
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "made", tmp_path / "out", str(renames)])
    assert done.returncode == 9
    restore_entries(tmp_path / "out")
    assert [(tmp_path / "out" / name / "mask.png").read_text() for name in ("a", "b")] == shown
    found = sorted(record.getMessage().partition(str(tmp_path / "out") + "/")[2] for record in caplog.records)
    assert [each.startswith(word) for each, word in zip(found, words, strict=True)] == [True] * len(words)
    kept = [path.read_text() for path in (tmp_path / "out").glob(f"{KEPT}*/*/mask.png")]
    assert kept == ["old"] * shown.count("new") * (renames < 5)
    for name in ("a", "b"):
        shutil.rmtree(tmp_path / "out" / name)
    restore_entries(tmp_path / "out")
    assert not any((tmp_path / "out" / name).exists() for name in ("a", "b"))


@pytest.mark.parametrize(
    ("code", "remedy"), [(errno.ENOSPC, "free space"), (errno.EACCES, "check the disk and the permissions")]
)
def test_write_error_names_its_remedy(tmp_path, monkeypatch, code, remedy):
    def fail(*arguments):
        raise OSError(code, "failed")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(InputError, match=rf"log: cannot be written \(failed\); {remedy}$"):
        append_bytes(tmp_path / "log", 0, 0, b"record", sync=True)
