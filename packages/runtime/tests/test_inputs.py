"""Public calls with values of many types: they work or raise `InputError`, never another error."""

import math
from collections.abc import Hashable
from contextlib import suppress
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
import torch

from aotlab_runtime import Graphs, InputError, Prompt, Tracker
from aotlab_testing.small_model import draw_texture
from runtime.tests.exports import MASKS

VALUES = [
    None, True, 0, -1, 3, 2**70, 1.5, math.nan, math.inf, 1e308, 1j, "", "text", b"bytes", date(2026, 1, 1), Decimal(1),
    object(), int, len, [], {}, set(), {1}, {"a": 1}, {1: 2}, {1: None}, {1: (5, 5)}, {1: [[1, 2], [3]]}, {1: Prompt()},
    (1, 2), (1, 2, 30, 20), (1e308,) * 4, [None], [[1], [1, 2]], [2**70, 1], ["1", "2"], [True, False],
    np.zeros(()), np.zeros((0, 2)),
    np.array(["a"]), np.array([None]), np.array([1, 2], object), np.array(1, "M8[s]"), np.ones((3, 3, 3, 3)),
    np.full((33, 49), 2**63, np.uint64), np.full((33, 49), -1), np.zeros((33, 49, 3)), np.ma.masked_all(4),
    torch.zeros(2), torch.zeros(2, device="meta"), torch.ones(2).requires_grad_(), torch.zeros(2, dtype=torch.bfloat16),
]  # fmt: skip


@pytest.mark.filterwarnings("error::RuntimeWarning")  # of NumPy
@pytest.mark.parametrize("index", range(len(VALUES)))
def test_any_value_works_or_is_an_input_error(exported, index):
    folder, runtime, _ = exported
    value, frame = VALUES[index], draw_texture(1)[0]
    calls = [
        lambda: runtime.fresh().step(value),
        lambda: runtime.fresh().step(frame, value),
        lambda: runtime.fresh().step(frame, prompts=value),
        lambda: runtime.fresh().prompt(value, {1: (5, 5)}),
        lambda: runtime.fresh().prompt(frame, value),
        *(
            lambda options=options: runtime.fresh().prompt(frame, {1: Prompt(**options)})
            for options in ({"points": value}, {"points": (5, 5), "labels": value}, {"box": value})
        ),
        lambda: runtime.fresh().forget(value),
        lambda: runtime.fresh().reset(value),
        lambda: runtime.fresh().load_state_dict(value),
        lambda: runtime.fresh().load_state_dict({"header": value}),
        lambda: Tracker(value),
        lambda: Graphs(value),
        lambda: Graphs(folder, provider=value),
    ]
    if isinstance(value, Hashable):
        calls.append(lambda: runtime.fresh().step(frame, MASKS[0], prompts={value: (5, 5)}))
    if value is not None and not (type(value) is int and 1 <= value <= 1024):
        calls.append(lambda: Graphs(folder, threads=value))
    for call in calls:
        with suppress(InputError):
            call()
