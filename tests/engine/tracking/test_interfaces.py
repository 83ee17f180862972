"""What any tracker needs to run as one of aotlab's: its prediction, its name and its settings."""

import numpy as np
import pytest
import torch

from aotlab import InputError, Prediction, Tracker, TrackerOptions, sdk
from aotlab.benchmark.ensemble import Branch, Ensemble, load_tracker
from aotlab_testing.repeating_tracker import RepeatingTracker
from aotlab_testing.small_model import build, draw_stripes, draw_texture, run_tracker

PLUGIN = """
from aotlab_testing.repeating_tracker import RepeatingTracker

class Loader:
    settings = ("compute.compile", "memory.every")

    def __init__(self, checkpoint, settings, device):
        self.made_by = {"tracker": checkpoint, "settings": settings}

    def fingerprint(self, digests=None):
        return self.made_by

    def load(self):
        return RepeatingTracker()

trackers = {"repeat": Loader}
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "repeating.py"
    path.write_text(PLUGIN)
    sdk.load_plugins([path])
    return path


def test_prediction_is_built_from_logits_of_any_model():
    logits = torch.tensor([[[0.0, 0.0]], [[2.0, -1.0]]])
    prediction = Prediction.from_logits([300], logits, temperature=2.0)
    assert prediction.labels.tolist() == [[300, 0]]
    assert prediction.confidence == pytest.approx({300: torch.sigmoid(torch.tensor(1.0)).item()})
    empty = Prediction.empty((2, 3))
    assert (empty.ids, empty.labels.tolist(), empty.confidence) == ((), [[0, 0, 0], [0, 0, 0]], {})
    assert empty.probabilities.tolist() == torch.ones(1, 2, 3).tolist()


def test_prediction_is_built_from_probabilities_of_any_model():
    prediction = Prediction.from_probabilities([300, 5], torch.tensor([[[0.5, 0.0]], [[0.2, 0.0]], [[0.3, 1.0]]]))
    assert prediction.labels.tolist() == [[0, 5]]
    torch.testing.assert_close(prediction.probabilities[:, 0, 0], torch.tensor([0.5, 0.2, 0.3]))
    assert prediction.confidence == {300: 0.0, 5: 1.0}


@pytest.mark.parametrize("name", ["logits", "probabilities"])
@pytest.mark.parametrize("shape", [(2, 4, 6), (4, 6), (1, 3, 4, 6)])
def test_prediction_with_other_channels_is_refused(name, shape):
    words = rf"{name}: expected 3×H×W, the background and then 2 objects, got shape \({shape[0]}, "
    with pytest.raises(InputError, match=words):
        getattr(Prediction, f"from_{name}")([7, 9], torch.ones(shape))


def test_mask_takes_its_pixels_and_its_objects_lose_all_others():
    logits = torch.tensor([[[0.0] * 4], [[1.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0, 0.0]]])
    mask = np.array([[0, 7, 7, 7]])
    prediction = Prediction.from_logits([7, 9], logits).with_mask(mask)
    assert prediction.labels.tolist() == [[0, 7, 7, 7]]
    assert Prediction.from_logits([9, 7], logits).with_mask(mask).labels.tolist() == [[9, 7, 7, 7]]
    assert prediction.confidence == {7: 1.0, 9: 0.0}


def test_name_of_a_plugin_loads_its_tracker_with_its_settings(plugin):
    options = TrackerOptions("repeat:small", overrides="memory.every=2")
    assert type(options.load()).__name__ == "RepeatingTracker"
    made_by = options.add_overrides(["compute.compile=true"]).fingerprint()
    assert made_by["settings"] == {"memory.every": 2, "compute.compile": True}
    assert made_by["tracker"] == "repeat:small"
    assert made_by["plugins"]["tracker"]["file"] == plugin.name


@pytest.mark.parametrize(("fields", "words"), [
    ({"config": "aott"}, "--config aott: repeat is not a model of aotlab"),
    ({"overrides": "memory.policy=rmem"}, "memory.policy: repeat has no such setting; it has compute.compile, memory"),
    ({"overrides": "memory.every=no"}, "memory.every"),
])  # fmt: skip
def test_settings_that_a_plugin_lacks_are_refused(plugin, fields, words):
    with pytest.raises(InputError, match=words):
        TrackerOptions("repeat", **fields).check()


def test_settings_of_a_plugin_cannot_be_printed(plugin):
    with pytest.raises(InputError, match="repeat: a plug-in's tracker"):
        TrackerOptions("repeat").read_settings()


def test_different_trackers_are_averaged_by_probabilities():
    frames, masks = draw_texture(4), {0: draw_stripes([3, 7]), 2: np.where(draw_stripes([3, 7]) == 7, 9, 0)}
    parts = [run_tracker(tracker, frames, masks) for tracker in (Tracker(*build()), RepeatingTracker())]
    together = run_tracker(Ensemble([Branch(Tracker(*build()), weight=3), Branch(RepeatingTracker())]), frames, masks)
    for index in (1, 3):
        mean = 0.75 * parts[0][index].probabilities + 0.25 * parts[1][index].probabilities
        torch.testing.assert_close(together[index].probabilities, mean)
    assert together[2].ids == (3, 7, 9)
    assert ((together[2].labels == 9) == (masks[2] == 9)).all()


@pytest.mark.parametrize(("views", "words"), [
    ({"flip": True}, "--flip: repeat is not a model of aotlab"),
    ({"scales": (1.0, 1.5)}, "--scales: repeat is not a model of aotlab"),
    ({"feedback": "fused"}, "--feedback fused: RepeatingTracker stores its own masks"),
])  # fmt: skip
def test_views_of_a_plugins_tracker_are_refused(plugin, views, words):
    arguments = {"flip": False, "scales": (1.0,), "feedback": "own"} | views
    with pytest.raises(InputError, match=words):
        load_tracker([("repeat", None, 1.0)], (), "cpu", **arguments)
