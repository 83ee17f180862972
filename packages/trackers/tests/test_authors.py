"""The authors' own code of AOT and DeAOT beside aotlab's, with the same weights."""

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from aotlab import InputError, Tracker, TrackerOptions
from aotlab.configs.files import ROOT
from aotlab.configs.load import load_config
from aotlab.networks.weights.checkpoints import build_or_load
from aotlab_testing.marks import slow
from aotlab_testing.processes import RUN_SECONDS
from aotlab_trackers import loading
from trackers.tests.models import draw_frames, draw_mask

needs_authors = pytest.mark.skipif(not find_spec("aot"), reason="needs deaotpy: pip install --no-deps deaotpy")
pytestmark = pytest.mark.filterwarnings("ignore:.*meshgrid")  # of the authors' Swin
PLAIN = ("compute.precision=float32", "rules.cuts=false", "input.min_short_edge=null", "input.min_object=null")
FIRST = draw_mask(o1=(4, 24, 4, 30), o300=(28, 46, 34, 60))
LATER = draw_mask(o7=(30, 44, 4, 20))


@needs_authors
@pytest.mark.parametrize("name", ["aott", "deaott", *slow("aotl", "r50_deaotl", "swinb_aotl")])
def test_masks_of_both_codes_are_equal(name):
    from aotlab_trackers.authors import AuthorsTracker, build_network, copy_weights

    (model, _), network = build_or_load(None, config=name), build_network(name)
    copy_weights(network, model)
    theirs = AuthorsTracker(network, memory_every=2, device="cpu")
    ours = Tracker(model, load_config(name, [*PLAIN, "memory.policy=every_nth", "memory.every=2"]))
    for index, frame in enumerate(draw_frames(5)):
        mask = {0: FIRST, 2: LATER}.get(index)
        found, expected = ours.step(frame, mask), theirs.step(frame, mask)
        assert found.ids == expected.ids
        # rounding may exchange two logits that nearly tie
        assert np.mean(found.labels == expected.labels) >= 0.999


@needs_authors
def test_bundled_weights_are_loaded_by_name_and_one_object_stays():
    tracker = TrackerOptions("authors:aott:bundled", device="cpu").load()
    tracker.step(draw_frames(1)[0], FIRST)
    assert tracker.ids == (1, 300)
    with pytest.raises(InputError, match="cannot stop tracking one of several objects"):
        tracker.forget(300)
    tracker.reset()
    assert tracker.ids == ()


@needs_authors
def test_fingerprint_has_the_weights_and_the_version():
    found = TrackerOptions("authors:aott:bundled", device="cpu").fingerprint()
    assert "deaotpy 1." in str(found)
    assert "authors:aott" in str(found)


@pytest.mark.parametrize("checkpoint", ["authors", "authors:aott", "authors:resnet:bundled"])
def test_incomplete_name_rejected(checkpoint):
    with pytest.raises(InputError, match="expected authors:MODEL:CHECKPOINT with one of aott, aots"):
        loading.AuthorsLoader(checkpoint, {}, "cpu")


def test_missing_wheel_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="authors:aott:bundled: needs deaotpy; pip install --no-deps deaotpy"):
        loading.AuthorsLoader("authors:aott:bundled", {}, "cpu")


@needs_authors
def test_commands_start_beside_the_folder_tools_of_the_wheel(tmp_path):
    for words in (["-m", "aotlab", "eval"], [ROOT / "tools" / "eval.py"]):
        options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": RUN_SECONDS}
        done = subprocess.run([sys.executable, *words, "--help"], **options)
        assert done.stdout.startswith("Usage: aotlab eval"), done.stderr
