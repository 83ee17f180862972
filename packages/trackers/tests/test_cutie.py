"""Cutie against `InferenceCore` driven by hand; loading."""

import numpy as np
import pytest
import torch

from aotlab import InputError, TrackerOptions
from aotlab.utils.files import sha256
from trackers.tests.models import HEIGHT, WIDTH, build_cutie, draw_frames, draw_mask

pytest.importorskip("cutie", reason="needs rf-cutie (./packages/trackers[cutie])")

from cutie.inference.inference_core import InferenceCore

from aotlab_trackers.cutie import CutieTracker, build_network, load_weights, make_config

FRAMES = 32
"""More than five stored frames, one of every five."""
FIRST = draw_mask(o1=(4, 24, 4, 30), o300=(28, 46, 34, 60))


def to_image(frame):
    return torch.from_numpy(frame.copy()).permute(2, 0, 1).float() / 255


@torch.inference_mode()
def drive_core(config, masks, forget=()):
    core, found = InferenceCore(build_cutie()[0], config), []
    for index, frame in enumerate(draw_frames(FRAMES)):
        for object_id in (object_id for at, object_id in forget if at == index):
            channel = core.object_manager.all_obj_ids.index(object_id)
            core.delete_objects([object_id])
            # the core reads the last mask by the new positions of the objects
            core.last_mask = core.last_mask[:, [n for n in range(core.last_mask.shape[1]) if n != channel]]
        mask = masks.get(index)
        given = () if mask is None else (torch.from_numpy(mask), [int(i) for i in np.unique(mask) if i])
        found.append(core.step(to_image(frame), *given))
    return found


def run(tracker, masks, forget=()):
    predictions = []
    for index, frame in enumerate(draw_frames(FRAMES)):
        for object_id in (object_id for at, object_id in forget if at == index):
            tracker.forget(object_id)
        predictions.append(tracker.step(frame, masks.get(index)))
    return predictions


@pytest.mark.parametrize("short_edge", [None, 32])
def test_probabilities_equal_a_core_driven_by_hand(short_edge):
    network, config = build_cutie()
    config = config.copy()
    config.max_internal_size = short_edge or -1
    masks, forget = {0: FIRST, 11: draw_mask(o400=(0, 10, 50, 64)), 21: FIRST * (FIRST == 300) + 0}, [(16, 1)]
    masks[21][:10, 50:] = 400
    expected = drive_core(config, masks, forget)
    predictions = run(CutieTracker(network, config, device="cpu"), masks, forget)
    for index in set(range(FRAMES)) - masks.keys():
        assert torch.equal(predictions[index].logits, expected[index].float().clamp(min=1e-7).log())
    assert predictions[-1].ids == (300, 400)


def test_placeholder_does_not_change_the_other_objects():
    """A correction of one object, as the core makes it if the mask has all objects with their predicted pixels."""
    network, config = build_cutie()
    corrected = draw_mask(o300=(0, 10, 50, 64))
    found = run(CutieTracker(network, config, device="cpu"), {0: FIRST, 6: corrected})
    assert found[6].ids == found[-1].ids == (1, 300)
    assert (found[6].labels[corrected > 0] == 300).all()


def test_file_of_weights_is_loaded_by_name(tmp_path):
    network = build_network(make_config("small"))
    path = tmp_path / "mine.pth"
    torch.save(network.state_dict(), path)
    options = TrackerOptions(f"cutie_small:{path}", overrides="input.max_short_edge=48", device="cpu")
    tracker = options.load()
    assert tracker.config.max_internal_size == 48
    assert options.fingerprint()["weights"] == {"name": "cutie_small", "sha256": sha256(path)}
    assert all(map(torch.equal, tracker.network.state_dict().values(), network.state_dict().values()))
    with pytest.raises(InputError, match=r"mine\.pth"):
        TrackerOptions(f"cutie_base:{path}", device="cpu").load()


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"other\.pth: .*lacks .*; give weights of Cutie"):
        load_weights(build_cutie()[0], path)


def test_base_is_the_published_configuration():
    config = make_config("base")
    assert (config.model.pixel_encoder.type, config.mem_every, config.max_mem_frames) == ("resnet50", 5, 5)
    assert (config.use_long_term, config.max_internal_size, config.top_k) == (False, 480, 30)
    assert FIRST.shape == (HEIGHT, WIDTH)
