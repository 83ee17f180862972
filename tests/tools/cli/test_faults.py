"""Unforeseen errors: one sentence, exit status 70, and the traceback in a file or on request."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from aotlab.tools.cli.parser import command
from aotlab.utils.errors import out_of_memory


@pytest.fixture
def faulty(monkeypatch, tmp_path):
    """A command with a fault; tracebacks are saved in the test's folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("AOTLAB_DEBUG", raising=False)

    @command
    def main(argv=None):
        return {}["a key\nof two lines"]

    return main


def test_fault_is_one_sentence_and_its_traceback_is_saved(faulty, capsys, tmp_path):
    assert faulty([]) == 70
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "internal error in aotlab (KeyError: " in message
    path = Path(re.search(r"traceback in (\S+) ", message)[1])
    assert path.parent == tmp_path
    assert "test_faults.py" in path.read_text()


def test_fault_shows_its_traceback_on_request(faulty, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("AOTLAB_DEBUG", "1")
    assert faulty([]) == 70
    message = capsys.readouterr().err
    assert message.startswith("Traceback (most recent call last)")
    assert "internal error in aotlab" in message.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_fault_without_a_writable_folder_names_the_variable(faulty, capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    assert faulty([]) == 70
    assert "set AOTLAB_DEBUG=1 to see the traceback" in capsys.readouterr().err


def test_too_little_memory_names_settings_that_help(capsys):
    @command
    def main(argv=None):
        raise MemoryError("Unable to allocate 10 TiB")

    assert main([]) == 1
    assert "out of memory; make frames smaller with input.max_long_edge" in capsys.readouterr().err


LIMITED = """
import resource, torch
torch.zeros(1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, used + 2**27))
from aotlab.utils.errors import out_of_memory
try:
    torch.zeros(2**30)
except Exception as error:
    print(out_of_memory(error), type(error).__name__)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of memory need Linux")
def test_error_of_the_allocator_is_too_little_memory():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("True"), done.stdout + done.stderr
    assert not out_of_memory(RuntimeError("shape mismatch"))
