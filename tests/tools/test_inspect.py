"""The ``inspect`` command, and the attention that it draws."""

import pytest
import torch
from PIL import Image

from aotlab.benchmark.inspection import compare_identities, measure_attention
from aotlab.engine.tracking.tracker import Tracker
from aotlab.tools.inspect_model import main
from aotlab_testing.files import SAMPLE
from aotlab_testing.small_model import build, draw_stripes, draw_texture

POND = SAMPLE / "JPEGImages" / "480p" / "pond"
MASK = SAMPLE / "Annotations" / "480p" / "pond" / "00000.png"


@pytest.mark.parametrize(("preset", "banks"), [("aott", 1), ("deaott", 1), ("msdeaott", 2), ("r50_aotl_rmem", 1)])
def test_attention_of_each_object_sums_to_one(preset, banks):
    tracker, frames = Tracker(*build(preset)), draw_texture(3)
    tracker.step(frames[0], draw_stripes([1, 7, 2]))
    tracker.step(frames[1])
    tracker.forget(7)
    objects = measure_attention(tracker, tracker.predict(frames[2]))
    assert [item.object_id for item in objects] == [1, 2]
    for item in objects:
        assert item.maps.shape[1:] == item.mask.shape == frames[2].shape[:2]
        torch.testing.assert_close(item.shares.sum(), torch.tensor(1.0))
    cosines = compare_identities(tracker.model)
    assert len(cosines) == banks
    torch.testing.assert_close(cosines[0].diag(), torch.ones(len(cosines[0])))


def test_images_are_written(tmp_path, run_expecting_error):
    pytest.importorskip("matplotlib")
    line = ["bundled", POND, "input.max_long_edge=160", "input.min_short_edge=null", "--mask", MASK]
    line += ["--output", tmp_path / "out", "--device", "cpu"]
    error = run_expecting_error(main, *line, "--frame", "999")
    assert "--frame 999: the folder has frames 0 to 39; give another" in error
    assert main([str(word) for word in [*line, "--frame", "2"]]) == 0
    for name in ("identities.png", "attention.png"):
        with Image.open(tmp_path / "out" / name) as image:
            assert min(image.size) > 100


def test_mask_of_the_first_frame_is_required(run_expecting_error):
    assert "Missing option '--mask'" in run_expecting_error(main, "bundled", POND)
