"""Exports and states that released versions have written."""

import numpy as np
import pytest
from PIL import Image

from aotlab_runtime import Tracker
from aotlab_testing.stored_files import MIN_EQUAL, read_masks, stored

__all__ = ["stored"]


@pytest.mark.parametrize("start", [0, 3])
def test_stored_export_tracks(stored, start):
    tracker, expected = Tracker.from_export("exported", threads=1), read_masks(stored / "whole" / "masks")
    if start:
        tracker.load_state_dict(np.load("exported_state.npz"))
    frames = [np.asarray(Image.open(path).convert("RGB")) for path in sorted((stored / "video").iterdir())][start:]
    found = [tracker.step(frame, expected[0] if index == 0 else None) for index, frame in enumerate(frames, start)]
    labels = np.stack([prediction.labels for prediction in found])
    assert (labels == expected[start:]).mean() >= MIN_EQUAL
