"""The runtime with numpy and onnxruntime only: these tests import nothing of aotlab and no PyTorch."""

import io
from pathlib import Path

import numpy as np
import pytest

from aotlab_runtime import InputError, Tracker
from aotlab_runtime.export import MemorySettings
from aotlab_runtime.memory import MemoryBank, StoredFrame, score_frames

HEIGHT, WIDTH = 33, 49
MASK = np.repeat([0, 1, 2], (16, 16, 17))[None].repeat(HEIGHT, 0)
"""Three stripes: background, object 1, object 2."""


AREAS = [(528, 561, 0), (127, 66, 0), (187, 75, 0), (87, 85, 528), (180, 82, 98), (196, 79, 101)]
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


def test_areas_of_objects_equal_pytorch(stored):
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
        lambda: tracker.graphs.encode(draw_frames(1)[0].astype(np.float32)),
        lambda: tracker.graphs.propagate(tracker.graphs.encode(draw_frames(1)[0]), {}),
    ):
        with pytest.raises(InputError, match=r"^[^\n]*$"):
            call()
    assert tracker.ids == ()


def test_scores_equal_those_by_hand():
    # n = (3, 3, 2), ln 8 = 2.0794: 0.5 + 1.5·√(2.0794 / 11), 0.3 + 1.5·√(2.0794 / 11), 0.28 + 1.5·√(2.0794 / 10)
    frames = [
        StoredFrame({}, relevance=relevance, updates=updates) for relevance, updates in ((0.5, 7), (0.3, 3), (0.28, 2))
    ]
    np.testing.assert_allclose(score_frames(frames), [1.1522, 0.9522, 0.9640], atol=1e-4)


def test_restricted_memory_evicts_the_lowest_score():
    settings = MemorySettings(
        policy="restricted", frames=3, every=1, max_tracked=3, max_stored=None, score_early=False, short_term_skip=1
    )
    memory = MemoryBank(settings, None)
    stored = []
    for index, relevance in enumerate(
        [
            None,  # the reference frame
            None,
            None,
            [0.5, 0.2, 0.3],  # equal n: frame 1 has the lowest relevance
            [0.5, 0.1, 0.4],  # R of frame 2 is 0.8·0.1 + 0.2·0.3 = 0.14
            [0.445, 0.275, 0.28],  # R of frame 3 is 0.8·0.275 + 0.2·0.4 = 0.30, n = 3; of frame 4 0.28, n = 2
            [0, 0, 0],  # no object: the oldest
        ]
    ):
        value = np.full((1, 1, 1), index)
        frame = {"memory_0_long_key": value}, {"memory_0_short_key": value}
        if index:
            memory.add(*frame, lambda read, scores=relevance: np.array(scores))
        else:
            memory.add_reference(*frame)
        stored.append(memory.read()["memory_0_long_key"].ravel().tolist())
    assert stored[2:] == [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5], [0, 5, 6]]
