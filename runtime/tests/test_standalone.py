"""The runtime with numpy and onnxruntime only: these tests import nothing of aotlab and no PyTorch."""

import io
from pathlib import Path

import numpy as np
import pytest

from aotlab_runtime import InputError, Tracker

HEIGHT, WIDTH = 33, 49
MASK = np.repeat([0, 1, 2], (16, 16, 17))[None].repeat(HEIGHT, 0)
"""Three stripes: background, object 1, object 2."""


AREAS = [
    (528, 561, 0), (127, 66, 0), (187, 75, 0), (87, 85, 528), (180, 82, 98), (196, 79, 101)
]  # fmt: skip
"""Pixels of the objects 1, 2 and 7 in each frame, as tracked with PyTorch."""


@pytest.fixture(scope="module")
def stored():
    return Tracker.from_export(Path(__file__).parent / "export", threads=1)


def draw_frames(count):
    """Frames T×H×W×3 of random tiles that slide to the left."""
    random = np.random.default_rng(0)
    tiles = random.integers(0, 256, (HEIGHT // 8 + 1, WIDTH // 8 + 2, 3), dtype=np.uint8)
    wide = tiles.repeat(8, 0).repeat(8, 1)
    return [wide[:HEIGHT, index : index + WIDTH] for index in range(count)]


def count_pixels(prediction):
    return [int((prediction.labels == object_id).sum()) for object_id in (1, 2, 7)]


def test_areas_of_objects_are_those_of_pytorch(stored):
    tracker, areas = stored.fresh(), []
    for index, frame in enumerate(draw_frames(6)):
        masks = {0: MASK, 3: np.where(MASK == 1, 7, 0)}
        areas.append(count_pixels(tracker.step(frame, masks.get(index))))
    assert tracker.ids == (1, 2, 7)
    np.testing.assert_allclose(areas, AREAS, atol=3)  # ties on outlines


def test_state_file_resumes_a_video(stored):
    tracker, other, file = stored.fresh(), stored.fresh(), io.BytesIO()
    frames = draw_frames(4)
    tracker.step(frames[0], MASK)
    tracker.step(frames[1])
    np.savez(file, **tracker.state_dict())
    file.seek(0)
    other.load_state_dict(np.load(file))
    for frame in frames[2:]:
        assert np.array_equal(tracker.step(frame).logits, other.step(frame).logits)


def test_forgotten_object_has_no_pixel_and_its_id_is_free(stored):
    tracker, frames = stored.fresh(), draw_frames(3)
    tracker.step(frames[0], MASK)
    tracker.forget(1)
    prediction = tracker.step(frames[1])
    assert prediction.ids == (2,)
    assert not (prediction.labels == 1).any()
    assert tracker.step(frames[2], np.where(MASK == 1, 1, 0)).ids == (2, 1)


def test_unusable_input_changes_nothing(stored):
    tracker = stored.fresh()
    for call in (
        lambda: tracker.step(np.zeros((HEIGHT, WIDTH), np.uint8)),
        lambda: tracker.step(draw_frames(1)[0], MASK[1:]),
        lambda: tracker.prompt(draw_frames(1)[0], {1: (20, 16)}),  # no prompt network
        lambda: tracker.forget(3),
        lambda: tracker.load_state_dict({}),
        lambda: tracker.graphs.run("prompt", {}),
    ):
        with pytest.raises(InputError, match=r"^[^\n]*$"):
            call()
    assert tracker.ids == ()
