"""Tracking in half precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.kernels.tuning import Tuner, fastest_precision
from aotlab.networks.operations import use
from tests.engine.small_model import build, clip, stripes


def track(*overrides, count=2):
    model, config = build("aott", "model.max_objects=3", *overrides)
    tracker = Tracker(model, config)
    first = stripes(range(1, count + 1))
    return [tracker.step(frame, first if index == 0 else None) for index, frame in enumerate(clip())], tracker


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("count", [2, 5], ids=["one group", "two groups"])
def test_half_precision_says_nearly_the_same(precision, count):
    """8 bits of mantissa leave errors of a per cent or so, which random weights show as a few other labels.

    What is remembered of them makes later frames differ more.
    """
    half, tracker = track(f"compute.precision={precision}", count=count)
    full, _ = track(count=count)
    for ours, exact in zip(half[1:], full[1:], strict=True):
        assert ours.logits.dtype == torch.float32
        assert not ours.logits.isnan().any()
        assert not torch.equal(ours.logits, exact.logits)
    assert np.mean(half[1].labels == full[1].labels) > 0.95
    assert tracker.banks[0].read()[0][0].long.key.dtype in (torch.bfloat16, torch.float16)


def test_compiled_parts_are_those_of_the_tracked_model(monkeypatch):
    compiled = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda module, dynamic: compiled.append(type(module).__name__)
    )
    track("compute.compile=true")
    assert compiled == ["MobileNetV2", "LSTTBlock", "FPNDecoder"]


@pytest.mark.parametrize(("faster", "found"), [("plain", torch.float32), ("bfloat16", torch.bfloat16)])
def test_auto_is_what_is_faster_here(faster, found):

    def choose(operation, args):
        return faster if operation.name == "precision_product" else operation.rule(*args)

    with use(choose):
        _, tracker = track("compute.precision=auto")
    assert tracker.banks[0].read()[0][0].long.key.dtype == found


def test_auto_is_float32_where_nothing_is_timed():
    assert fastest_precision("auto", torch.device("cpu")) == "float32"


def test_auto_times_one_product_in_both_precisions():
    tuner = Tuner()
    with use(tuner):
        fastest_precision("auto", torch.device("cpu"))
    ((name, timing),) = tuner.timings.items()
    assert name.startswith("precision")
    assert set(timing.seconds) == {"plain", "bfloat16"}
