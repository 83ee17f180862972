"""Whole sequences against the reference implementation.

Tolerances: logits 1e-3 at most and 1e-4 on average, the bounds of the reference's README; the typical standard
deviation of a logit is 1.7, and one thread against two already differs by 4e-5.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aotlab.configs.load import load_config
from aotlab.configs.schema import InputConfig
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import FIFO
from aotlab.engine.tracking.groups import add_objects, mask_to_indices, merge_logits, split_by_group
from aotlab.engine.tracking.tracker import Tracker
from aotlab.networks.attention import sine_position
from aotlab.networks.preprocess import network_size
from aotlab_testing.frames import add_reference_frame, propagate_frame
from aotlab_testing.marks import slow
from tests.golden import synthetic
from tests.golden.references import SHIPPED_MODELS, golden_clip, golden_model, golden_recipe, list_maps, planes

DEAOT = ["deaott", "deaotl", "r50_deaotl"]
VARIANTS = [*SHIPPED_MODELS, *slow("aots", "aotl", "r101_aotl", "swinb_aotl", "deaotl")]
DEPTHS = [
    "aost/3",
    *slow("aost/1", "aost/2", *(f"{name}/{depth}" for name in ("aost_share", "r50_aost") for depth in "123")),
]
"""Variant of AOST and its depth."""


def assert_near_reference(found: torch.Tensor, reference: np.ndarray) -> None:
    difference = np.abs(found.numpy() - reference)
    assert difference.max() < 1e-3
    assert difference.mean() < 1e-4


@pytest.mark.parametrize("variant", [*VARIANTS, *DEPTHS])
@torch.inference_mode()
def test_variant_logits_equal_reference(variant: str, fast: bool) -> None:
    variant, _, depth = variant.partition("/")
    suffix = f"_d{depth}" if depth in ("1", "2") else ""
    arrays, meta = golden_recipe(variant)
    frames, masks = golden_clip(meta)
    images = torch.from_numpy(synthetic.normalize(frames))
    model = golden_model(variant, fast=fast)
    model = model.at_depth(int(depth)) if depth else model
    bank = MemoryBank(FIFO(meta["long_term_gap"]), meta["short_term_skip"])

    features = model.encode(images[:1])
    for name, found in zip(("enc_4x", "enc_8x", "enc_16x", "enc_proj"), features, strict=True):
        step = 4 if name == "enc_proj" else max(1, found.shape[1] // 32)
        assert_near_reference(found[0, ::step], arrays[name])
    size = (features.projected.shape[2], features.projected.shape[3])
    propagated = add_reference_frame(model, bank, features, planes(masks[0]))
    blocks = int(depth or model.config.stages[0].depth)
    assert len(propagated.states[0]) == blocks  # deeper blocks are not computed
    if "pos_emb" in arrays:
        assert_near_reference(sine_position(size, torch.empty(1, 1, 256))[0, :, ::4], arrays["pos_emb"])
        assert_near_reference(model.assign_identities(planes(masks[0]))[0][0, :, ::4], arrays["id_emb"])
        # AOT's embeddings begin with the blocks' input; recorded at full depth
        embeddings = [] if suffix else list_maps(model, propagated)[-blocks:]
        for layer, embedding in enumerate(embeddings, start=blocks - len(embeddings)):
            step = embedding.shape[1] // 32
            assert_near_reference(embedding[0].flatten(1).T[:, ::step], arrays[f"lstt_f0_l{layer}"])
        memory = bank.read()[0][0].long
        assert_near_reference(memory.key[0, :, :: memory.key.shape[2] // 32], arrays["mem_k_l0"])
        if variant in DEAOT:  # visual and identity values side by side
            assert_near_reference(memory.value[0, :, :512:16], arrays["mem_v_l0"])
            assert_near_reference(memory.value[0, :, 512::16], arrays["mem_idv_l0"])
        else:
            assert_near_reference(memory.value[0, :, ::8], arrays["mem_v_l0"])
    assert_near_reference(model.decode(propagated, features), arrays[f"logits{suffix}"][0])

    for index in range(1, len(frames)):
        # The reference's own mask is fed back, so that one flipped pixel does not move all later frames.
        features = model.encode(images[index : index + 1])
        logits = propagate_frame(model, bank, features, planes(arrays[f"pred{suffix}"][index]))
        assert_near_reference(logits, arrays[f"logits{suffix}"][index])
    assert bank.frames == [0, 2, 4]
    assert bank.read()[0][0].long.key.shape[1] == 3 * size[0] * size[1]


@torch.inference_mode()
def test_fewer_blocks_equal_first_blocks_exactly() -> None:
    model, image = golden_model("aost"), torch.zeros(1, 3, 33, 49)
    masks = planes(np.eye(33, 49))
    features, identities = model.encode(image), model.assign_identities(masks)
    whole = model.propagate(features, id_embeddings=identities)
    one, two = (
        shallow.decode(shallow.propagate(features, id_embeddings=identities), features)
        for shallow in map(model.at_depth, (1, 2))
    )
    for expected, found in zip((one, two), model.decode_depths(whole, features), strict=True):
        np.testing.assert_array_equal(found, expected)


class ReferenceOnTies(Tracker):
    """A tracker whose ties within rounding go to the reference's mask, or they would move later frames."""

    reference: np.ndarray

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.ties: list[float] = []

    def predict(self, *arguments, **options):
        predicted = super().predict(*arguments, **options)
        if not predicted.decoded_frames:
            return predicted
        expected = mask_to_indices(self.reference, self.ids)
        first, second = predicted.logits.topk(2, dim=0).values
        tied = (first - second < 1e-3) & (predicted.indices != expected)
        self.ties.append(tied.double().mean().item())
        return predicted._replace(indices=torch.where(tied, expected, predicted.indices))


@pytest.mark.parametrize("variant", [*VARIANTS, "odd_aott", "skip_aott"])
def test_tracker_masks_equal_reference(variant: str) -> None:
    arrays, meta = golden_recipe(variant)
    frames, masks = golden_clip(meta)
    config = load_config(
        meta["variant"],
        ["memory.policy=every_nth", f"memory.every={meta['long_term_gap']}",
         f"memory.short_term_lag={meta['short_term_skip']}"],
    )  # fmt: skip
    tracker = ReferenceOnTies(golden_model(meta["variant"]), config)
    for index, (frame, reference) in enumerate(zip(frames, arrays["pred"], strict=True)):
        tracker.reference = reference
        prediction = tracker.step(frame, None if index else masks[0])
        np.testing.assert_array_equal(prediction.labels, reference)
    # The reference's README has one such pixel in 24897.
    assert max(tracker.ties) <= 0.0005


def test_odd_size_is_resized_as_reference() -> None:
    arrays, meta = golden_recipe("odd_aott")
    frames, _ = golden_clip(meta)
    size = network_size(frames.shape[1:3], InputConfig(), align_corners=True)
    assert list(size) == meta["input_size"]
    frame = torch.from_numpy(frames[:1]).permute(0, 3, 1, 2).float()
    resized = F.interpolate(frame, size, mode="bicubic", align_corners=False)[0].permute(1, 2, 0).numpy()
    found = torch.from_numpy(synthetic.normalize(resized))[:, ::4, ::4]
    # OpenCV rounds its bicubic weights to float32 at other places: a thousandth of a gray level.
    assert np.abs(found.numpy() - arrays["input0"]).max() < 1e-3


@torch.inference_mode()
def test_late_object_equals_reference(fast: bool) -> None:
    arrays, meta = golden_recipe("late_aotl")
    frames, masks = golden_clip(meta)
    config = load_config("aotl", [f"memory.every={meta['long_term_gap']}"])
    tracker = Tracker(golden_model("aotl"), config, optimize=fast)
    for index, frame in enumerate(frames):
        mask = None
        if index == 0:
            mask = masks[0]
        elif index == 3:
            mask = np.where(masks[3] == 3, 3, 0)
        labels = tracker.step(frame, mask).labels
        assert (labels == arrays["pred"][index]).mean() >= 0.97
    assert tracker.ids == (1, 2, 3)
    assert tracker.state.groups[0].memory.frames == [0, 2, 3, 5]
    assert tracker.state.groups[0].memory.read()[0][0].long.key.shape[1] == meta["long_memory_tokens"][0]


@torch.inference_mode()
def test_14_objects_are_two_groups(fast: bool) -> None:
    arrays, meta = golden_recipe("many_aott")
    frames, masks = golden_clip(meta)
    images = torch.from_numpy(synthetic.normalize(frames))
    model = golden_model("aott", fast=fast)
    ids = range(1, meta["num_objects"] + 1)  # one of them is hidden on the first frame
    groups = add_objects([], ids, 10, lambda: MemoryBank(FIFO(meta["long_term_gap"])))

    def split(labels: np.ndarray) -> list[torch.Tensor]:
        return split_by_group(groups, mask_to_indices(labels, ids), labels.shape, 10)

    features = model.encode(images[:1])
    for place, (group, shown) in enumerate(zip(groups, split(masks[0]), strict=True)):
        logits = model.decode(add_reference_frame(model, group.memory, features, shown), features)
        assert_near_reference(logits, arrays["logits"][0][place : place + 1])
    for index in range(1, len(frames)):
        features = model.encode(images[index : index + 1])
        by_group = [
            propagate_frame(model, group.memory, features, shown)
            for group, shown in zip(groups, split(masks[index]), strict=True)
        ]
        assert_near_reference(torch.cat(by_group), arrays["logits"][index])
    merged = merge_logits(groups, by_group, frames.shape[1:3], align_corners=True)
    reference = torch.from_numpy(arrays["merged_logits"][: len(merged)])  # log-odds; ours are logarithms
    found = merged[:, ::4, ::4]
    assert (found.exp() - reference.sigmoid()).abs().max() < 1e-4  # rounding
    assert torch.equal(found.argmax(0), reference.argmax(0))
