"""Commands that are killed and run again."""

import shutil
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from io import StringIO
from random import Random

import torch

from aotlab_testing.processes import kill_at_call, run_python, start_python, survives_in_subprocess

KILLS = 4
"""Number of kills at random moments; each takes as long as the start of the command."""


def run_until_file(module, output, arguments, last_file=0):
    """Run the command of a module; die before the file of this number is complete."""
    torch.set_num_threads(1)
    kill_at_call("os.replace", last_file)
    sys.stdout = sys.stderr = StringIO()
    assert import_module(module).main([*map(str, arguments), "--output", str(output)]) == 0


def run_killed_between_files(module, folder, *arguments, run=run_until_file):
    """Run a command undisturbed and killed before files of some numbers, into two folders of ``folder``."""
    assert survives_in_subprocess(run, module, folder / "undisturbed", arguments)
    ends = [
        survives_in_subprocess(run, module, folder / "killed", arguments, last_file)
        for last_file in (1, 2, 3, 8, 13, 5)
    ]
    assert ends.count(False) >= 4
    assert survives_in_subprocess(run, module, folder / "killed", arguments)
    assert not [path for path in (folder / "killed").rglob("*") if ".part" in path.name]


def time_run(*words):
    """Run a command of aotlab; return its seconds."""
    start = time.monotonic()
    assert run_python("-m", "aotlab", *words).returncode == 0
    return time.monotonic() - start


def kill_at_random_moments(seconds, *words, restart=None):
    """Start a command of aotlab that takes some seconds, and kill it, until `KILLS` runs did not end.

    A generator: yields after each run. ``restart``: folder to delete after a run that ended.
    """
    random, killed = Random(0), 0
    while killed < KILLS:
        process = start_python("-m", "aotlab", *words)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=random.uniform(0.3, 1) * seconds)
        killed += process.poll() is None
        process.kill()
        process.communicate()
        if process.returncode == 0 and restart is not None:
            shutil.rmtree(restart)
        yield
