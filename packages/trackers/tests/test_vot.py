"""The tracker for the VOT toolkit: by itself, and over TraX."""

import subprocess
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aotlab_testing.drawn_clips import draw_disc
from aotlab_testing.processes import WAIT_SECONDS, start_python
from aotlab_testing.repeating_tracker import RepeatingTracker
from aotlab_trackers.vot_session import VotSession, fit_mask, serve

SIZE = (120, 160)
disc = partial(draw_disc, SIZE)


def frame():
    return np.zeros((*SIZE, 3), dtype=np.uint8)


def test_objects_keep_the_order_in_which_they_are_given():
    tracker = RepeatingTracker()
    session = VotSession(tracker)
    large, small, late = disc(60, 60, 40), disc(60, 70, 10), disc(100, 140, 9)
    found, confidence = session.step(frame(), [small, large])
    assert [mask.tolist() for mask in found] == [small.tolist(), large.tolist()]  # though they overlap
    assert len(confidence) == 2
    found, _ = session.step(frame())
    np.testing.assert_array_equal(found[0], small)
    np.testing.assert_array_equal(found[1], large & ~small)
    found, _ = session.step(frame(), [late])
    assert len(found) == 3
    np.testing.assert_array_equal(found[2], late)
    found, _ = VotSession(tracker).step(frame(), [late])  # a new sequence
    assert tracker.resets == 2
    assert [mask.tolist() for mask in found] == [late.tolist()]


def test_hidden_object_keeps_its_position_empty():
    session = VotSession(RepeatingTracker())
    session.step(frame(), [disc(60, 60, 10), np.zeros(SIZE, dtype=bool)])
    found, confidence = session.step(frame())
    assert [mask.any() for mask in found] == [True, False]
    assert confidence[1] == 0


def test_sequence_may_start_without_visible_objects():
    session = VotSession(RepeatingTracker())
    found, confidence = session.step(frame(), [np.zeros(SIZE, dtype=bool)])
    assert [mask.any() for mask in found] == [False]
    assert confidence == [0]
    found, _ = session.step(frame(), [disc(60, 60, 10)])
    assert [mask.any() for mask in found] == [False, True]


@pytest.mark.parametrize("shape", [(50, 90), (120, 160), (200, 300), (90, 300)], ids=str)
def test_masks_are_cropped_or_padded_to_frame(shape):
    whole = fit_mask(np.ones(shape, dtype=np.uint8), SIZE)
    assert whole.shape == SIZE
    assert whole.sum() == min(shape[0], SIZE[0]) * min(shape[1], SIZE[1])


class Toolkit:
    """The part of `trax.Server` that `serve` uses."""

    def __init__(self, requests):
        self.requests: Iterator[Any] = iter(requests)
        self.answers: list[list[tuple[np.ndarray, dict[str, str]]]] = []

    def wait(self):
        return next(self.requests)

    def status(self, objects):
        self.answers.append(objects)


def test_requests_get_masks_and_confidences(tmp_path):
    path = tmp_path / "1.png"
    Image.fromarray(frame()).save(path)
    image = {"color": SimpleNamespace(path=lambda: str(path))}
    regions = [
        (SimpleNamespace(array=lambda normalize, mask=mask: mask.astype(np.uint8)), {})
        for mask in (disc(30, 30, 9), disc(90, 90, 20))
    ]
    requests = [("initialize", regions[:1]), ("frame", None), ("frame", regions[1:]), ("quit", None)]
    toolkit = Toolkit(SimpleNamespace(type=kind, image=image, objects=objects) for kind, objects in requests)
    serve(toolkit, RepeatingTracker(), lambda mask: mask)
    assert [len(answer) for answer in toolkit.answers] == [1, 1, 2]
    mask, properties = toolkit.answers[2][0]
    assert (mask.dtype, int(mask.sum())) == (np.uint8, int(disc(30, 30, 9).sum()))
    assert 0 <= float(properties["confidence"]) <= 1


SERVER = """
import trax
from aotlab_trackers.vot_session import COLOR, serve
from aotlab_testing.repeating_tracker import RepeatingTracker
server = trax.Server([trax.Region.MASK], [trax.Image.PATH], [COLOR], tracker_name="repeating", multiobject=True)
serve(server, RepeatingTracker(), trax.Mask.create)
server.quit()
"""


@pytest.mark.slow
def test_trax_session_handles_boxes_and_late_objects(tmp_path):
    trax = pytest.importorskip("trax", reason="TraX is not installed: pip install 'aotlab[vot]'")
    connect = pytest.importorskip("trax.client").Client
    Image.fromarray(frame()).save(tmp_path / "1.png")
    image = {"color": trax.FileImage.create(str(tmp_path / "1.png"))}
    with start_python("-c", SERVER, stdin=subprocess.PIPE) as process:
        stream = (process.stdin.fileno(), process.stdout.fileno())  # type: ignore[union-attr]
        client = connect(stream=stream, log=lambda text: None)
        assert client.get("multiobject")
        found, _ = client.initialize(image, [(trax.Rectangle.create(10, 20, 30, 15), {})], {})
        box = found[0][0].array(normalize=True)
        np.testing.assert_array_equal(box[20:35, 10:40], 1)
        assert box.sum() == 30 * 15
        late = disc(90, 120, 12).astype(np.uint8)
        found, _ = client.frame(image, {}, [(trax.Mask.create(late), {})])
        assert len(found) == 2
        found, _ = client.frame(image, {}, [])
        np.testing.assert_array_equal(fit_mask(found[1][0].array(normalize=True), SIZE), late)
        assert found[1][1] == {"confidence": "1.0000"}
        client.quit()
        assert process.wait(WAIT_SECONDS) == 0
