"""How many threads PyTorch is left with beside the helpers of a program."""

from __future__ import annotations

import pytest
import torch

from aotlab.utils import devices
from aotlab.utils.devices import CHOSEN, leave_cores


@pytest.fixture
def threads(monkeypatch):
    """A machine of so many cores, all of them PyTorch's at first; gives what it has afterwards."""
    before = torch.get_num_threads()
    for name in CHOSEN:
        monkeypatch.delenv(name, raising=False)

    def left(cores, helpers):
        monkeypatch.setattr(devices, "_cores", lambda: cores)
        torch.set_num_threads(cores)
        leave_cores(helpers)
        return torch.get_num_threads()

    yield left
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("cores", "helpers", "kept"), [(1, 2, 1), (2, 2, 2), (4, 1, 3), (4, 2, 3), (8, 2, 6), (8, 0, 8)]
)
def test_helpers_get_cores_but_never_more_than_a_quarter(threads, cores, helpers, kept):
    assert threads(cores, helpers) == kept


@pytest.mark.parametrize("name", CHOSEN)
def test_a_number_of_threads_that_the_user_chose_stays(threads, monkeypatch, name):
    monkeypatch.setenv(name, "8")
    assert threads(8, 2) == 8
