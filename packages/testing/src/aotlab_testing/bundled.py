"""The bundled model on short clips."""

from aotlab import Tracker
from aotlab.evaluation.metrics import region_similarity


def assert_follows(frames, truth):
    """Track a clip with four objects from its first annotation, and compare its last frame with the annotation."""
    tracker = Tracker.from_pretrained(overrides=["input.max_long_edge=480"])
    labels = [tracker.step(frame, None if index else truth[0]).labels for index, frame in enumerate(frames)]
    assert tracker.ids == (1, 2, 3, 4)
    for number in tracker.ids:
        # Far above what standing still or guessing gives; the real figure is near 0.9.
        assert region_similarity(truth[-1] == number, labels[-1] == number) > 0.7
