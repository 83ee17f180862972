"""Several trackers as one, against twins that run each view by itself, written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.configs.schema import Config, InputConfig
from aotlab.engine.benchmark.ensemble import Branch, Ensemble, build_branches
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import build_policy
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.identity_bank import one_hot
from aotlab.networks.model import VOSModel
from aotlab.networks.preprocess import network_size, normalize
from aotlab.utils.errors import InputError
from tests.engine.small_model import HEIGHT, WIDTH, build, clip, run, stripes

SCALES = (1.0, 1.5)
VIEWS = [(scale, flip) for scale in SCALES for flip in (False, True)]


@pytest.fixture(scope="module")
def model() -> tuple[VOSModel, Config]:
    model, config = build()
    return model.eval(), config


def ensemble(model: tuple[VOSModel, Config], *, fused: bool = False) -> Ensemble:
    return Ensemble(build_branches(*model, scales=SCALES, flip=True), fused_feedback=fused)


@pytest.mark.parametrize("size", [(9, 20), (2 * HEIGHT, 2 * WIDTH)])
def test_ensemble_of_one_equals_its_tracker_at_other_sizes(model, size):
    frames, tracker = clip(4), Tracker(*model)
    one = Ensemble(build_branches(*model))
    for index, frame in enumerate(frames):
        mask = None if index else stripes([3, 7])
        assert (one.step(frame, mask, size=size).labels == tracker.step(frame, mask, size=size).labels).all()


def flip_array(array: np.ndarray, flip: bool) -> np.ndarray:
    return np.ascontiguousarray(array[:, ::-1]) if flip else array


def track_view(model: tuple[VOSModel, Config], scale: float, flip: bool, frames, mask) -> list[Tensor]:
    """Probabilities of a whole clip as one view sees it by itself, turned back."""
    network, config = model
    tracker = Tracker(network, replace(config, input=replace(config.input, scale=scale)))
    steps = run(tracker, [flip_array(frame, flip) for frame in frames], {0: flip_array(mask, flip)})
    return [step.probabilities.flip(-1) if flip else step.probabilities for step in steps]


def test_ensemble_averages_views_with_separate_memory(model):
    frames, mask = clip(5), stripes([3, 7])
    views = [track_view(model, *view, frames, mask) for view in VIEWS]
    steps = run(ensemble(model), frames, {0: mask})
    for step, *parts in list(zip(steps, *views, strict=True))[1:]:
        mean = torch.stack(parts).mean(0)
        torch.testing.assert_close(step.probabilities, mean, atol=1e-6, rtol=0)  # sums in another order
        # equal but where the mean has a tie within rounding, which random weights do not give
        np.testing.assert_array_equal(step.labels, np.array([0, 3, 7])[mean.max(0).indices.numpy()])


class View:
    """One view by hand: the verbs of the model and a bank, one mask, no groups."""

    def __init__(self, model: VOSModel, config: Config, scale: float, flip: bool) -> None:
        self.model, self.flip = model, flip
        self.size = network_size(
            (HEIGHT, WIDTH), InputConfig(max_short_edge=624, scale=scale), align_corners=True
        )
        self.bank = MemoryBank(build_policy(config.memory))

    def see(self, frame: np.ndarray):
        image = torch.from_numpy(flip_array(frame, self.flip)).permute(2, 0, 1)[None] / 255
        image = F.interpolate(image, self.size, mode="bicubic", align_corners=False)
        return self.model.encode(normalize(image))

    def identities(self, labels: Tensor, objects: int):
        labels = labels.flip(-1) if self.flip else labels
        small = F.interpolate(labels[None, None].float(), self.size, mode="nearest")[0, 0]
        return self.model.assign_identities(one_hot(small, objects + 1)[None])

    def add_reference(self, frame: np.ndarray, labels: Tensor, objects: int) -> None:
        identities = self.identities(labels, objects)
        propagated = self.model.propagate(self.see(frame), id_embeddings=identities)
        self.bank.add_reference(self.model.memorize(propagated, identities))

    def read_memory(self, frame: np.ndarray, objects: int) -> Tensor:
        features = self.see(frame)
        self.propagated = self.model.propagate(features, self.bank.read())
        logits = self.model.decode(self.propagated, features)[:, : objects + 1]
        logits = F.interpolate(logits, (HEIGHT, WIDTH), mode="bilinear", align_corners=True)
        return (logits.flip(-1) if self.flip else logits)[0].softmax(0)

    def write_memory(self, labels: Tensor, objects: int) -> None:
        self.bank.add(self.model.memorize(self.propagated, self.identities(labels, objects)))


@pytest.mark.parametrize("fused", [False, True], ids=["own", "fused"])
@torch.inference_mode()
def test_new_objects_override_fused_prediction(model, fused):
    frames, first = clip(6), torch.from_numpy(stripes([1, 2]))
    late = torch.zeros_like(first)
    late[:10, 5:20] = 3
    views = [View(*model, scale, flip) for scale, flip in VIEWS]
    tracker = ensemble(model, fused=fused)
    tracker.step(frames[0], first.numpy())
    for view in views:
        view.add_reference(frames[0], first, 2)
    objects = 2
    for index, frame in enumerate(frames[1:], start=1):
        answers = [view.read_memory(frame, objects) for view in views]
        common = torch.stack(answers).mean(0).max(0).indices
        kept = [common if fused else answer.max(0).indices for answer in answers]
        if index == 3:
            objects = 3
            common = torch.where(late > 0, late, common)
            for view, own in zip(views, kept, strict=True):
                view.add_reference(frame, torch.where(late > 0, late, own), objects)
        else:
            for view, own in zip(views, kept, strict=True):
                view.write_memory(own, objects)
        step = tracker.step(frame, late.numpy() if index == 3 else None)
        np.testing.assert_array_equal(step.labels, common.numpy(), err_msg=f"frame {index}")
    assert step.ids == (1, 2, 3)


@pytest.mark.parametrize("fused", [False, True], ids=["own", "fused"])
def test_single_branch_ensemble_equals_tracker(model, fused):
    frames, masks = clip(5), {0: stripes([4, 2]), 2: stripes([2, 9])}
    ours = run(Ensemble(build_branches(*model), fused_feedback=fused), frames, masks)
    for step, plain in zip(ours, run(Tracker(*model), frames, masks), strict=True):
        np.testing.assert_array_equal(step.labels, plain.labels)
        assert step.ids == plain.ids
        # back and forth through a logarithm
        torch.testing.assert_close(step.probabilities, plain.probabilities, atol=1e-6, rtol=0)


def test_models_of_other_groups_and_weights_are_averaged(model):
    few, frames, mask = build("aott", "model.max_objects=3"), clip(4), stripes(range(1, 6))
    together = Ensemble([Branch(Tracker(*model), weight=3), Branch(Tracker(*few), weight=1)])
    steps = run(together, frames, {0: mask})
    parts = [run(Tracker(*one), frames, {0: mask})[-1].probabilities for one in (model, few)]
    expected = 0.75 * parts[0] + 0.25 * parts[1]
    torch.testing.assert_close(steps[-1].probabilities, expected, atol=1e-6, rtol=0)


def test_several_scales_limit_the_short_edge_as_published(model):
    branches = build_branches(*model, scales=(1.0, 1.3))
    assert [branch.tracker.config.input.max_short_edge for branch in branches] == [624, 624]
    assert [branch.tracker.config.input.scale for branch in branches] == [1.0, 1.3]
    assert build_branches(*model)[0].tracker.config.input.max_short_edge is None


def test_failed_commit_of_a_branch_needs_a_reset(model, monkeypatch):
    frames, mask = clip(3), stripes([3, 7])
    tracker = ensemble(model)
    tracker.step(frames[0], mask)
    with pytest.raises(InputError, match="but the video began with"):
        tracker.step(frames[1][:-4])
    last = tracker.branches[-1].tracker
    with monkeypatch.context() as patch:
        patch.setattr(last, "commit", lambda *args, **kwargs: torch.empty(-1))
        with pytest.raises(RuntimeError, match="negative"):
            tracker.step(frames[1])
    with pytest.raises(InputError, match="reset"):
        tracker.step(frames[1])
    tracker.reset()
    assert tracker.step(frames[0], mask).ids == (3, 7)
