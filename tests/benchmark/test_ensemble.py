"""Ensembles of trackers, compared with trackers run one by one."""

from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from aotlab.benchmark.ensemble import Branch, Ensemble, build_branches
from aotlab.configs.schema import Config
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.model import VOSModel
from aotlab_testing.drawn_clips import draw_box
from aotlab_testing.small_model import HEIGHT, WIDTH, build, draw_stripes, draw_texture, run_tracker

SCALES = (1.0, 1.5)
VIEWS = [(scale, flip) for scale in SCALES for flip in (False, True)]


@pytest.fixture(scope="module")
def model() -> tuple[VOSModel, Config]:
    model, config = build()
    return model.eval(), config


def ensemble(model: tuple[VOSModel, Config], *, fused: bool = False) -> Ensemble:
    return Ensemble(build_branches(*model, scales=SCALES, flip=True), fused_feedback=fused)


def flip_array(array: np.ndarray, flip: bool) -> np.ndarray:
    return np.ascontiguousarray(array[:, ::-1]) if flip else array


def flip_maps(maps: Tensor, flip: bool) -> Tensor:
    return maps.flip(-1) if flip else maps


def make_tracker(model: tuple[VOSModel, Config], scale: float) -> Tracker:
    network, config = model
    return Tracker(network, config.replace(input={"scale": scale}))


def track_view(model: tuple[VOSModel, Config], scale: float, flip: bool, frames, mask) -> list[Tensor]:
    """Probabilities of a whole clip from one view alone, flipped back."""
    flipped = [flip_array(frame, flip) for frame in frames]
    steps = run_tracker(make_tracker(model, scale), flipped, {0: flip_array(mask, flip)})
    return [flip_maps(step.probabilities, flip) for step in steps]


def test_ensemble_averages_views_with_separate_memory(model):
    frames, mask = draw_texture(5), draw_stripes([3, 7])
    views = [track_view(model, *view, frames, mask) for view in VIEWS]
    steps = run_tracker(ensemble(model), frames, {0: mask})
    for step, *parts in list(zip(steps, *views, strict=True))[1:]:
        mean = torch.stack(parts).mean(0)
        torch.testing.assert_close(step.probabilities, mean, atol=1e-6, rtol=0)  # sums in another order
        # equal but where the mean has a tie within rounding, which random weights do not give
        np.testing.assert_array_equal(step.labels, np.array([0, 3, 7])[mean.max(0).indices.numpy()])


@pytest.mark.parametrize("fused", [False, True], ids=["own", "fused"])
def test_branches_store_their_own_or_the_fused_masks(model, fused):
    """Against trackers that predict and commit each view by themselves, also when an object comes late."""
    late = draw_box((HEIGHT, WIDTH), (0, 10), (5, 20), 3, np.int64)
    masks, together = {0: draw_stripes([1, 2]), 3: late}, ensemble(model, fused=fused)
    views = [(make_tracker(model, scale), flip) for scale, flip in VIEWS]
    for index, frame in enumerate(draw_texture(6)):
        mask = masks.get(index)
        view_masks = [None if mask is None else flip_array(mask, flip) for _, flip in views]
        predictions = [tracker.predict(flip_array(frame, flip)) for tracker, flip in views]
        probabilities = [
            flip_maps(prediction.logits.softmax(0), flip)
            for prediction, (_, flip) in zip(predictions, views, strict=True)
        ]
        mean = torch.stack(probabilities).mean(0)
        labels = mean.max(0).indices  # ids are 1, 2, 3, as the channels
        for (tracker, flip), prediction, view_mask in zip(views, predictions, view_masks, strict=True):
            indices = flip_maps(labels, flip) if fused else prediction.indices
            tracker.commit(prediction._replace(indices=indices), view_mask)
        step = together.step(frame, mask)
        expected = labels.numpy() if mask is None else np.where(mask, mask, labels)
        np.testing.assert_array_equal(step.labels, expected)
    assert step.ids == (1, 2, 3)


@pytest.mark.parametrize("fused", [False, True], ids=["own", "fused"])
@pytest.mark.parametrize("size", [None, (9, 20), (2 * HEIGHT, 2 * WIDTH)])
def test_single_branch_ensemble_equals_tracker(model, fused, size):
    tracker, one = Tracker(*model), Ensemble(build_branches(*model), fused_feedback=fused)
    for index, frame in enumerate(draw_texture(5)):
        mask = {0: draw_stripes([4, 2]), 2: draw_stripes([2, 9])}.get(index)
        step, plain = one.step(frame, mask, size=size), tracker.step(frame, mask, size=size)
        np.testing.assert_array_equal(step.labels, plain.labels)
        assert step.ids == plain.ids
        if size is None:  # back and forth through a logarithm
            torch.testing.assert_close(step.probabilities, plain.probabilities, atol=1e-6, rtol=0)


def test_models_of_other_groups_and_weights_are_averaged(model):
    three_objects, frames, mask = build("aott", "model.max_objects=3"), draw_texture(4), draw_stripes(range(1, 6))
    together = Ensemble([Branch(Tracker(*model), weight=3), Branch(Tracker(*three_objects), weight=1)])
    steps = run_tracker(together, frames, {0: mask})
    parts = [run_tracker(Tracker(*one), frames, {0: mask})[-1].probabilities for one in (model, three_objects)]
    expected = 0.75 * parts[0] + 0.25 * parts[1]
    # the ensemble stores logarithms of the mean
    torch.testing.assert_close(steps[-1].probabilities, expected, atol=1e-6, rtol=0)


def test_several_scales_limit_the_short_edge_as_published(model):
    network, config = model
    half = config.replace(input={"scale": 0.5})
    branches = [*build_branches(network, half, scales=(1.0, 1.5)), *build_branches(*model)]
    inputs = [cast(Tracker, branch.tracker).config.input for branch in branches]
    assert [limits.max_short_edge for limits in inputs] == [624, 624, None]
    assert [limits.scale for limits in inputs] == [0.5, 0.75, 1.0]


def test_cut_of_one_branch_is_a_cut(model):
    network, config = model
    watching = config.replace(rules={"cuts": True})
    together = Ensemble([Branch(Tracker(network, each)) for each in (config, watching)])
    frames = [frame for seed in (0, 1) for frame in draw_texture(1, seed=seed) // 2 + 128 * (seed == 0)]
    assert [step.cut for step in run_tracker(together, frames, {0: draw_stripes([1])})] == [False, True]


def test_objects_hidden_in_all_views_are_hidden():
    model = build("aott", "model.max_objects=3", "rules.cuts=true", "rules.after_cut=end")
    bright, dark = draw_texture(2) // 2 + 128, draw_texture(1, seed=1) // 2
    before, _, after = run_tracker(ensemble(model), [*bright, *dark], {0: draw_stripes([1, 2])})
    assert (before.hidden, after.cut, after.hidden) == (set(), True, {1, 2})
