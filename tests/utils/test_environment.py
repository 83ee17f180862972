"""Environment variables, and messages of torch.compile."""

import logging
import os
import subprocess
import sys
from unittest.mock import Mock

import pytest

from aotlab.networks.fast.optimize import compile_parts
from aotlab.utils.environment import SPIN_COUNT, SPIN_VARIABLES, prepare_torch

MPS = "PYTORCH_ENABLE_MPS_FALLBACK"


@pytest.mark.parametrize("name", SPIN_VARIABLES)
def test_spin_count_is_set_unless_the_user_did(name, monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    prepare_torch()
    assert os.environ == {"GOMP_SPINCOUNT": str(SPIN_COUNT), MPS: "1"}
    monkeypatch.setattr(os, "environ", {name: "something"})
    prepare_torch()
    assert os.environ == {name: "something", MPS: "1"}


def test_compilation_is_announced_without_warnings(caplog):
    with caplog.at_level(logging.INFO):
        compile_parts(Mock(stage_blocks=[]))
        logging.getLogger("torch._dynamo").warning("recompiled")
    assert [record.message[:19] for record in caplog.records] == ["compiling the model"]


@pytest.mark.parametrize("command", ["score", "check_data"])
def test_workers_are_the_cores_of_the_process(command):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity here")
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); os.cpu_count = lambda: 64\n"
        f"from aotlab.tools.{command} import main\n"
        "print({option.name: option.default for option in main.params}['workers'])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"
