"""One process at a time on a file or an output folder."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from aotlab.utils.errors import InputError
from aotlab.utils.locks import locked, locked_output

SOURCES = Path(__file__).resolve().parents[2] / "src"
HOLD = """
import sys, time
from pathlib import Path
from aotlab.utils.locks import locked_output
with locked_output(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_locked_blocks_do_not_overlap(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(20):
            with locked(tmp_path / ".lock", 30.0):
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
    assert list(tmp_path.iterdir()) == []


def test_lock_names_its_holder_and_ends_with_it(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    message = f"{tmp_path.name}: in use by process {holder.pid} on .*; wait until it has ended"
    with pytest.raises(InputError, match=message), locked_output(tmp_path):
        pass
    holder.kill()
    holder.wait()
    assert (tmp_path / ".lock").is_file()
    with locked_output(tmp_path):
        assert f"process {os.getpid()}" in (tmp_path / ".lock").read_text()
    assert list(tmp_path.iterdir()) == []


def test_unlockable_path_rejected(tmp_path):
    (tmp_path / "mine").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for path in (tmp_path / "link", tmp_path / "mine" / ".lock"):
        with pytest.raises(InputError, match="cannot be made"), locked(path, 1.0):
            pass
    assert (tmp_path / "mine").read_text() == "kept"
