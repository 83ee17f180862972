"""AOST at every depth against the reference implementation; tolerances as in `test_sequences`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aotlab.configs.load import load_config
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import EveryNthFrame
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.build import build_model
from aotlab.utils.errors import InputError
from tests.engine.frames import advance, begin
from tests.golden import filler
from tests.golden.test_sequences import assert_close, planes
from tests.shared import golden, golden_clip, golden_model, slow


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("variant", ["aost", *slow("aost_share", "r50_aost")])
@torch.inference_mode()
def test_depth_logits_equal_reference(variant: str, depth: int, fast: bool) -> None:
    arrays, meta = golden(variant)
    frames, masks = golden_clip(meta)
    images = torch.from_numpy(filler.normalise(frames))
    suffix = "" if depth == 3 else f"_d{depth}"
    model = golden_model(variant, fast=fast).at_depth(depth)
    bank = MemoryBank(EveryNthFrame(meta["long_term_gap"]), meta["short_term_skip"])
    features = model.encode(images[:1])
    assert_close(model.assign_identities(planes(masks[0]))[0][0, :, ::4], arrays["id_emb"])
    propagated = begin(model, bank, features, planes(masks[0]))
    assert len(propagated.states) == depth  # deeper blocks are not computed
    memory = bank.read()[0].long
    assert_close(memory.key[0, :, ::8], arrays["mem_k_l0"])
    assert_close(memory.value[0, :, ::8], arrays["mem_v_l0"])
    assert_close(model.decode(propagated, features), arrays[f"logits{suffix}"][0])
    for index in range(1, len(frames)):
        features = model.encode(images[index : index + 1])
        logits = advance(model, bank, features, planes(arrays[f"pred{suffix}"][index]))
        assert_close(logits, arrays[f"logits{suffix}"][index])


@torch.inference_mode()
def test_fewer_blocks_equal_first_blocks_exactly() -> None:
    model, image = golden_model("aost"), torch.zeros(1, 3, 33, 49)
    masks = planes(np.eye(33, 49))
    features, identities = model.encode(image), model.assign_identities(masks)
    whole = model.propagate(features, id_embeddings=identities)
    two = model.at_depth(2)
    found = two.decode(two.propagate(features, id_embeddings=identities), features)
    assert torch.equal(found, two.decode(whole, features))


def test_depth_can_change_between_videos() -> None:
    config = load_config("aost", ["model.depth=1"])
    torch.manual_seed(0)
    tracker = Tracker(build_model(config.model), config)
    frame, mask = np.zeros((40, 60, 3), np.uint8), np.eye(40, 60, dtype=np.uint8)
    for depth in (1, 3, 2):
        tracker.set_depth(depth)
        tracker.step(frame, mask)
        assert tracker.config.model.depth == depth
        assert len(tracker.banks[0].read()) == depth
        state = tracker.state_dict()
        tracker.load_state_dict(state)
    tracker.set_depth(3)
    with pytest.raises(InputError, match="tracker state"):
        tracker.load_state_dict(state)
    with pytest.raises(InputError, match=r"model\.depth must be 1 to 3"):
        tracker.set_depth(4)
    with pytest.raises(InputError, match=r"model\.depth: this model has one depth"):
        Tracker.from_checkpoint().set_depth(1)
