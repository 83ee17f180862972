"""The ComfyUI nodes as plain classes, and the example workflow run in its order."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from aotlab import InputError, Tracker
from aotlab.engine.export.synthetic_clip import draw_clip

FOLDER = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def nodes():
    """The package's nodes, imported as ComfyUI does: by the path of the folder."""
    spec = importlib.util.spec_from_file_location(
        "aotlab_comfyui", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.NODE_CLASS_MAPPINGS


@pytest.fixture(scope="module")
def clip():
    """IMAGE B×H×W×3 in 0 to 1, and id masks B×H×W, of a synthetic clip."""
    frames, masks = draw_clip(24, 96, 128, seed=3)
    return torch.from_numpy(frames).float() / 255, masks


def test_masks_match_tracker_both_ways(nodes, clip):
    """The clip is longer than the interval between stored frames, so that settings of memory show."""
    images, masks = clip
    (tracker,) = nodes["AotlabLoadTracker"]().load("bundled", "cpu")
    given = torch.stack([torch.from_numpy(masks[2] == number).float() for number in (1, 2)])
    union, each = nodes["AotlabTrackMasks"]().track(tracker, images, given, 2, True)
    assert union.shape == (24, 96, 128)
    assert each.shape == (48, 96, 128)
    assert torch.equal(union, each[:24] + each[24:])
    frames = (images * 255).round().byte().numpy()
    for order in (range(2, 24), (2, 1, 0)):
        expected = Tracker.from_pretrained()
        first = np.where(masks[2] <= 2, masks[2], 0)
        for index in order:
            labels = expected.step(frames[index], first if index == 2 else None).labels
            np.testing.assert_array_equal(each[index].numpy() > 0, labels == 1)
            np.testing.assert_array_equal(each[24 + index].numpy() > 0, labels == 2)


def test_frames_in_memory_set_the_bound(nodes):
    (tracker,) = nodes["AotlabLoadTracker"]().load("bundled", "cpu", frames_in_memory=5)
    assert (tracker.config.memory.frames, tracker.config.memory.max_tracked) == (5, None)


def test_workflow_runs_with_types_of_its_inputs(nodes, clip):
    images = clip[0][:6]
    workflow = json.loads((FOLDER / "workflow.json").read_text())
    workflow["3"]["inputs"]["points"] = "[[35, 27]]"
    results = {"7": (images,)}
    types = {("7", 0): "IMAGE"}
    for number in "234":
        node = workflow[number]
        kind = nodes[node["class_type"]]
        accepted = {name: spec for group in kind.INPUT_TYPES().values() for name, spec in group.items()}
        assert set(node["inputs"]) <= set(accepted)
        values = {}
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                assert types[value[0], value[1]] == accepted[name][0]
                value = results[value[0]][value[1]]
            values[name] = value
        results[number] = getattr(kind(), kind.FUNCTION)(**values)
        types |= {(number, place): kind_of for place, kind_of in enumerate(kind.RETURN_TYPES)}
    assert results["4"][0].shape == images.shape[:3]
    assert results["4"][0].any()


@pytest.mark.parametrize(
    ("box", "words"),
    [("1,2", r"^box \(1.0, 2.0\): expected left, top, width and height"), ("", "give a box")],
)
def test_unusable_prompts_refused(nodes, clip, box, words):
    with pytest.raises(InputError, match=words):
        nodes["AotlabFirstMask"]().segment(Tracker.from_pretrained(), clip[0], 0, "[]", "[]", box)


@pytest.mark.parametrize("second", [np.s_[:0], np.s_[:]], ids=["empty", "covering the first"])
def test_masks_without_a_pixel_refused(nodes, clip, second):
    masks = torch.zeros(2, 96, 128)
    masks[0, 20:40, 20:40] = 1
    masks[1, second] = 1
    with pytest.raises(InputError, match=r"mask [12] of 2: no pixel above 0.5, or all covered by later masks"):
        nodes["AotlabTrackMasks"]().track(Tracker.from_pretrained(), clip[0], masks, 0, False)
