"""What is settled before PyTorch is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aotlab.utils.environment import SPIN_COUNT, WAITING, processor_name, set_waiting


def test_threads_sleep_soon_where_nothing_is_said():
    environ = {"PATH": "/bin"}
    set_waiting(environ)
    assert environ == {"PATH": "/bin", "GOMP_SPINCOUNT": str(SPIN_COUNT)}


@pytest.mark.parametrize("name", WAITING)
def test_what_a_user_has_set_stays(name):
    environ = {name: "something"}
    set_waiting(environ)
    assert environ == {name: "something"}


def test_it_loads_no_pytorch():
    code = "import sys, aotlab.utils.environment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_processor_has_a_name():
    assert processor_name().strip()
