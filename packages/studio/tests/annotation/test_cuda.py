"""Spans on a CUDA device that no machine needs: shapes and devices, no values."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from aotlab.configs.load import load_config
from aotlab_studio.tracking.spans import Span, track_span
from aotlab_testing.fake_cuda import record_transfers
from aotlab_testing.small_model import draw_stripes, tiny_settings


def track(tracker, frames):
    nothing = np.zeros(frames[0].shape[:2], np.uint8)
    snapshot = SimpleNamespace(
        drawn_frames=[0], labels=lambda _: draw_stripes([1]), drawn_labels=lambda _: nothing,
        drawn_masks=lambda index: {} if index else {1: ""},
    )  # fmt: skip
    video = SimpleNamespace(count=len(frames), read=lambda index, _: frames[index])
    results = track_span(tracker, video, snapshot, Span(range(1, len(frames))), Path())
    found = [(each.index, each.prediction.labels.max(), each.prediction.confidence) for each in results]
    assert found == [(1, 0, {1: 0}), (2, 0, {1: 0})]


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")  # by deepcopy
def test_labels_and_confidence_come_one_frame_later(monkeypatch):
    config = load_config("aott", [*tiny_settings("aott"), "compute.precision=float32"])
    expected = ["sent"] * 3 + ["waited for 2"] * 2 + ["waited for 3"] * 2
    assert record_transfers(config, track, monkeypatch) == expected
