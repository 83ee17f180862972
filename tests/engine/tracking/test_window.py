"""Windows that follow small objects: place, memory, and the ways back to the whole frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.engine.tracking import window
from aotlab.engine.tracking.objects import ObjectTable
from aotlab.engine.tracking.tracker import Tracker
from aotlab.engine.tracking.view import WholeFrame
from aotlab.engine.tracking.window import (
    FrameWithObjects,
    Window,
    WindowSelector,
    choose_window,
    find_box,
    require_window_support,
)
from aotlab.utils.errors import InputError
from tests.engine.small_model import assert_resumes, build, clip, run

SIZE = HEIGHT, WIDTH = 129, 209
WHOLE = Window.from_size(SIZE, 1)


@pytest.fixture(scope="module")
def model():
    return build("aott", "model.max_objects=3", "input.window=true")


@pytest.fixture(autouse=True)
def small_margin(monkeypatch):
    """Windows of few tokens, and no waiting for lost objects."""
    monkeypatch.setattr(window, "MARGIN", 2)
    monkeypatch.setattr(window, "ZOOMS", (1.0,))


def square(row, column, object_id=1):
    mask = np.zeros(SIZE, np.int64)
    mask[row : row + 16, column : column + 16] = object_id
    return mask


def place(rows=5, columns=6, top=2, left=3):
    return Window(SIZE, SIZE, 1, top, left, rows, columns)


def choose(*masks, scale=1):
    """Choose a window for masks on frames that are larger than in the network by a factor."""
    image = np.zeros((scale * HEIGHT, scale * WIDTH, 3), np.uint8)
    return choose_window([FrameWithObjects(image, mask) for mask in masks], WHOLE)


def test_pasted_crop_is_the_map():
    part, logits = place(), torch.randn(1, 3, 33, 53)
    whole = part.paste(part.crop(logits, 4))
    assert whole.shape == logits.shape
    assert torch.equal(part.crop(whole, 4), part.crop(logits, 4))
    assert part.crop(torch.zeros(1, 3, *SIZE)).shape[2:] == (4 * 16 + 1, 5 * 16 + 1)


@pytest.mark.parametrize("stride", [16, 8])
def test_shifted_tokens_keep_their_place_in_the_frame(stride):
    old, new = place(top=2, left=3), place(top=3, left=1)
    height, width = ((side - 1) // stride + 1 for side in SIZE)
    maps = torch.arange(height * width).view(1, 1, height, width).float()
    tokens = old.crop(maps, stride).flatten(2).transpose(1, 2)
    moved = old.shift(tokens, new, stride).transpose(1, 2)
    expected = new.crop(maps, stride).flatten(2)
    shared = torch.isin(expected, tokens)
    assert shared.any()
    assert torch.equal(moved[shared], expected[shared])


def test_window_stays_in_the_frame_and_follows():
    part = place().around((0.0, 0.0, 0.1, 0.1))
    assert (part.top, part.left) == (0, 0)
    followed = part.follow((0.9, 0.9, 1.0, 1.0))
    assert (followed.top + followed.rows, followed.left + followed.columns) == part.grid
    assert part.follow((0.0, 0.0, 0.9, 0.1)) is None


@pytest.mark.parametrize("scale", [0.6, 1.0, 3.7])
def test_window_of_a_frame_is_resized_as_the_frame(scale):
    pixels = torch.randint(0, 256, (1, 3, *(round(side * scale) for side in SIZE)), dtype=torch.uint8)
    whole = WHOLE.resize(pixels)
    for part in (place(), place(top=0, left=0), place(top=4, left=8)):
        assert torch.allclose(part.resize(pixels), part.crop(whole), atol=1e-4)


def test_large_objects_get_the_whole_frame():
    large = np.zeros(SIZE, np.int64)
    large[13:116, 21:188] = 1
    assert choose(large).is_whole_frame
    assert not choose(square(50, 80)).is_whole_frame
    assert choose(square(50, 80), large).is_whole_frame
    assert choose(square(50, 80), np.zeros(SIZE, np.int64)).is_whole_frame


def test_small_objects_are_scaled_up_within_the_cost(monkeypatch):
    monkeypatch.setattr(window, "ZOOMS", (2.0, 1.0))
    part = choose(square(50, 80))
    assert part.size == (257, 417)
    assert part.whole_frame == WHOLE
    assert part.rows * part.columns <= window.MAX_AREA_RATIO * WHOLE.rows * WHOLE.columns


def test_frames_scaled_up_already_are_not_scaled_twice(monkeypatch):
    monkeypatch.setattr(window, "ZOOMS", (2.0, 1.0))
    monkeypatch.setattr(window, "MAX_ENLARGEMENT", 1.5)
    assert choose(square(50, 80)).size == SIZE
    assert choose(square(50, 80), scale=2).size == (257, 417)


def select(masks):
    """Return the windows after a square of 16×16 pixels and each of the masks."""
    image = np.zeros((*SIZE, 3), np.uint8)
    frames = [FrameWithObjects(image, mask) for mask in (square(50, 80), *masks)]
    windows = [choose_window(frames[:1], WHOLE)]
    selector = WindowSelector.start(windows[0], frames[0], 1)
    for frame in frames[1:]:
        windows.append(selector.select(windows[-1], frame, [True]))
    return windows


def grow(side):
    mask = np.zeros(SIZE, np.int64)
    mask[50 : 50 + side, 80 : 80 + side] = 1
    return mask


def test_growing_object_leaves_the_window():
    assert [part.is_whole_frame for part in select([grow(20), grow(22), grow(24), grow(16)])] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_window_returns_once_objects_stop_growing(monkeypatch):
    monkeypatch.setattr(window, "SETTLED_FRAMES", 2)
    sides = [24, 30, 36, 36, 36]
    assert [part.is_whole_frame for part in select(map(grow, sides))] == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]


def test_objects_outside_the_window_are_background(model):
    tracker, frames = Tracker(*model), clip(2, *SIZE)
    tracker.step(frames[0], square(50, 60))
    part = tracker.view.window
    assert not part.is_whole_frame
    labels = tracker.step(frames[1]).labels
    outside = np.ones(SIZE, bool)  # but for 3 pixels, as logits of stride 4 are interpolated
    rows, columns = (
        slice(part.top * 16 - 3, (part.top + part.rows) * 16 + 3),
        slice(part.left * 16 - 3, (part.left + part.columns) * 16 + 3),
    )
    outside[rows, columns] = False
    assert not labels[outside].any()


def test_without_small_objects_nothing_changes(model):
    mask = np.zeros(SIZE, np.int64)
    mask[5:120, 5:200] = 1
    plain = replace(model[1], input=replace(model[1].input, window=False))
    frames = clip(3, *SIZE)
    expected, found = (
        run(Tracker(model[0], plain), frames, {0: mask}),
        run(Tracker(*model), frames, {0: mask}),
    )
    assert all(torch.equal(a.logits, b.logits) for a, b in zip(expected, found, strict=True))


def test_later_mask_ends_the_window(model):
    tracker = Tracker(*model)
    found = run(tracker, clip(4, *SIZE), {0: square(50, 60), 2: square(10, 170, 2)})
    assert tracker.view == WholeFrame(SIZE)
    assert (found[2].labels == 2).sum() == 16 * 16
    assert found[3].ids == (1, 2)


def test_lost_object_is_searched_in_the_whole_frame(model, monkeypatch):
    monkeypatch.setattr(window, "LOST_FRAMES", 1)
    tracker = Tracker(*model)
    run(tracker, clip(1, *SIZE), {0: square(50, 60)})
    monkeypatch.setattr(ObjectTable, "merge", lambda *_, **__: torch.zeros(2, *SIZE))
    tracker.step(clip(1, *SIZE)[0])
    assert tracker.view.window.is_whole_frame
    assert len(tracker.banks) == 1


def test_video_in_a_window_resumes(model, tmp_path):
    assert_resumes(*model, clip(6, *SIZE), {0: square(50, 60)}, 3, tmp_path)


def test_box_is_relative_to_the_frame():
    assert find_box(square(0, 0)) == pytest.approx((0, 0, 16 / HEIGHT, 16 / WIDTH))
    assert find_box(np.zeros(SIZE)) is None


def test_models_of_other_strides_have_no_windows():
    config = load_config("r50_paotl", ["input.window=true"]).model
    require_window_support(config)
    with pytest.raises(InputError, match=r"input\.window: needs a model that ends at stride 4, not 8"):
        require_window_support(replace(config, stages=config.stages[:3]))


def test_stored_frames_are_copies(model):
    tracker, frame = Tracker(*model), clip(1, *SIZE)[0]
    tracker.step(frame, square(50, 60))
    kept = frame.copy()
    frame[:] = 0
    np.testing.assert_array_equal(tracker.view.selector.reference.image, kept)
