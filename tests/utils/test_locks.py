"""Locks between processes on files and output folders."""

import errno
import os
from pathlib import Path
from unittest.mock import Mock

import pytest
from filelock import FileLock, Timeout

from aotlab.utils.errors import InputError
from aotlab.utils.locks import locked, locked_output, staging_folder
from aotlab_testing.processes import RUN_SECONDS, WAIT_SECONDS, read_line, start_python

HOLD = """
import sys, time
from pathlib import Path
from aotlab.utils.locks import locked_output
with locked_output(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
COUNT = """
import sys
from pathlib import Path
from aotlab.utils.locks import locked
counter = Path(sys.argv[1], "counter")
for _ in range(20):
    with locked(counter.with_name(".lock"), 60.0):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_no_update_of_several_processes_is_lost(tmp_path):
    (tmp_path / "counter").write_text("0")
    processes = [start_python("-c", COUNT, tmp_path) for _ in range(3)]
    assert [process.wait(RUN_SECONDS) for process in processes] == [0] * 3
    assert (tmp_path / "counter").read_text() == "60"
    assert list(tmp_path.iterdir()) == [tmp_path / "counter"]


def test_lock_file_is_removed_while_held(tmp_path, monkeypatch):
    """Removed after the release, it could be the file of the next holder."""
    unlink, removed_while_held = Path.unlink, []

    def try_to_lock_and_unlink(path, **options):
        try:
            FileLock(path).acquire(timeout=0).lock.release()
        except Timeout:
            removed_while_held.append(path)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", try_to_lock_and_unlink)
    with locked(tmp_path / ".lock"):
        pass
    assert removed_while_held == [tmp_path / ".lock"]


def test_lock_names_its_holder_and_ends_with_it(tmp_path):
    holder = start_python("-c", HOLD, tmp_path)
    assert read_line(holder) == "held\n"
    message = f"{tmp_path.name}: in use by process {holder.pid} on .*; wait until it has ended"
    with pytest.raises(InputError, match=message), locked_output(tmp_path):
        pass
    holder.kill()
    holder.wait(WAIT_SECONDS)
    assert (tmp_path / ".lock").is_file()
    with locked_output(tmp_path):
        assert f"process {os.getpid()}" in (tmp_path / ".lock").read_text()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("first", ["b", "c"])
def test_first_file_of_a_staging_folder_is_moved_first(tmp_path, monkeypatch, first):
    moved, replace = [], os.replace

    def record(source, target):
        moved.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr("aotlab.utils.locks.os.replace", record)
    with staging_folder(tmp_path / "out", first=first) as temporary:
        for name in "abc":
            (temporary / name).touch()
    assert moved[0] == first
    assert sorted(moved) == ["a", "b", "c"]


def test_file_system_without_locks_warns(tmp_path, monkeypatch, caplog):
    refuse = Mock(side_effect=OSError(errno.ENOLCK, "no locks available"))
    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with locked_output(tmp_path / "out"):
        pass
    assert caplog.messages == [
        f"{tmp_path / 'out'}: not locked, as its file system has no locks; start one run at a time"
    ]


def test_unlockable_path_rejected(tmp_path):
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for path in (tmp_path / "link", tmp_path / "mine" / ".lock"):
        with pytest.raises(InputError, match="cannot be written"), locked(path, 1.0):
            pass
    assert (tmp_path / "mine").read_text() == "kept"
