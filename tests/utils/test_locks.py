"""One process at a time."""

from __future__ import annotations

import threading
import time

import pytest

from aotlab.utils.errors import InputError
from aotlab.utils.locks import locked

pytest.importorskip("fcntl", reason="this system has no locks of files")


@pytest.mark.parametrize("kind", ["a folder", "a file"])
def test_blocks_of_one_path_do_not_overlap(tmp_path, kind):
    path, inside, most = tmp_path if kind == "a folder" else tmp_path / ".lock", [], []

    def work():
        for _ in range(20):
            with locked(path, 30.0):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80
    assert [each.name for each in tmp_path.iterdir()] == ([] if kind == "a folder" else [".lock"])


def test_who_waits_no_longer_is_told(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(InputError, match="another process works on it"),
        locked(tmp_path, 0.05),
    ):
        pass


def test_a_path_that_cannot_be_locked_is_named(tmp_path):
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for path in (tmp_path / "link", tmp_path / "gone" / ".lock", tmp_path / "mine" / ".lock"):
        with pytest.raises(InputError, match="cannot be made"), locked(path):
            pass
    assert (tmp_path / "mine").read_text() == "kept"
