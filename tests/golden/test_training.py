"""Training against the reference: losses, schedules, optimizer groups, input sizes, clip helpers.

Tolerances are those of the reference's README, each named where it is used.
"""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from aotlab.configs.files import list_presets
from aotlab.configs.load import load_config
from aotlab.configs.schema import InputConfig
from aotlab.configs.training import TrainConfig
from aotlab.dataloaders.training.clips import Clip, merge_clips, reflect_index, relabel
from aotlab.engine.training.clip import mean_iou
from aotlab.engine.training.losses import (
    FrameOutputs,
    bootstrapped_cross_entropy,
    count_hard_pixels,
    frame_loss,
    soft_jaccard,
)
from aotlab.engine.training.optimization import (
    average_weights,
    group_rate,
    learning_rate,
    parameter_groups,
    reference_loss_weight,
)
from aotlab.networks.build import build_model
from aotlab.networks.preprocess import network_size
from aotlab.networks.weights.published_keys import to_published_name
from aotlab_testing.marks import one_of_each_method
from tests.golden import synthetic
from tests.golden.references import golden_arrays, golden_recipe, golden_table

SETTINGS = TrainConfig()
HARD_PIXELS = {"fraction": SETTINGS.hardest_pixels, "reached_after": SETTINGS.hardest_pixels_after}


def schedule() -> dict:
    return golden_table("models/schedule")


def loss_arrays() -> tuple[dict[str, np.ndarray], list[dict]]:
    arrays = golden_arrays("models/loss")
    return arrays, json.loads(str(arrays.pop("cases")))


def test_losses_and_gradients_equal_reference():
    arrays, cases = loss_arrays()
    assert cases
    for case in cases:
        logits = torch.from_numpy(arrays[f"logits_{case['case']}"])[0].requires_grad_()
        labels = torch.from_numpy(arrays[f"label_{case['case']}"])
        count = count_hard_pixels(labels.numel(), case["step"], case["total_steps"], **HARD_PIXELS)
        resized = F.interpolate(logits[None], labels.shape, mode="bilinear", align_corners=True)[0]
        terms = frame_loss(FrameOutputs([resized], resized, [], count), labels)
        total = terms["cross_entropy"] + terms["jaccard"]
        (gradient,) = torch.autograd.grad(total, logits)
        found = {
            "ce": bootstrapped_cross_entropy(logits, labels, count),
            "jaccard": soft_jaccard(logits, labels),
            "total": total,
            "grad_norm": gradient.norm(),
            "grad_abs_sum": gradient.abs().sum(),
        }
        for name, value in found.items():
            place = case["case"], case["step"], name
            assert value.item() == pytest.approx(case[name], abs=1e-5, rel=1e-5), place


def test_learning_rates_equal_reference():
    tables = schedule()
    ratio = load_config("aott").train.encoder_lr_ratio
    for entry in tables["lr"]:
        final = entry["min_lr"]
        for step, lr, encoder_lr, *_ in entry["rows"]:
            now = learning_rate(
                step, entry["total_steps"], peak=entry["base_lr"], final=final,
                warmup=SETTINGS.warmup, power=SETTINGS.power,
            )  # fmt: skip
            # 1e-12 relative: only the order of float64 operations may differ.
            assert now == pytest.approx(lr, rel=1e-12)
            assert group_rate(now, final=final, lr_ratio=ratio) == pytest.approx(encoder_lr, rel=1e-12)


def test_reference_loss_weight_equals_reference():
    until = {"pre": 0.1}
    steps = {(entry["stage"], entry["model"]): entry["total_steps"] for entry in schedule()["lr"]}
    for entry in schedule()["aux_weight"]:
        total = steps[entry["stage"], entry["model"]]
        for step, weight in entry["rows"]:
            found = reference_loss_weight(step, total, until.get(entry["stage"], 1.0))
            # 1e-12: float64 rounding; near the end the weight is a difference of two large numbers.
            assert found == pytest.approx(weight, rel=1e-12, abs=1e-15)


def test_hardest_pixel_count_equals_reference():
    for case in schedule()["top_k"]:
        count = count_hard_pixels(case["pixels"], case["step"], case["total_steps"], **HARD_PIXELS)
        assert count == case["k"]
    count = count_hard_pixels(64, 100, 100, fraction=1e-9, reached_after=0.5)
    assert count == 1  # the mean of no pixel is not a number


def test_averaged_weights_equal_reference():
    table = schedule()["ema"]
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.tensor(table["initial"]))
    average = average_weights(model, table["total_steps"], table["ratio"])
    kept = {row[0]: row[2:] for row in table["rows"]}
    for step in range(1, max(kept) + 1):
        with torch.no_grad():  # the table's own update rule
            model.weight += torch.tensor([0.1, -0.05]) * (step % 7 - 3)
        average.update_parameters(model)
        if step in kept:
            # 1e-5: float32 sums
            found = [model.weight.tolist(), average.module.weight.tolist()]
            torch.testing.assert_close(found, kept[step], atol=1e-5, rtol=0)


def test_network_sizes_equal_reference():
    rows = golden_table("models/sizes")
    found = [
        [height, width, scale, align, short, *network_size(
            (height, width), InputConfig(max_short_edge=short and int(short), scale=scale), align_corners=align)]
        for height, width, scale, align, short, _, _ in rows
    ]  # fmt: skip
    assert found == rows


def same_up_to_numbering(found: np.ndarray, reference: np.ndarray) -> bool:
    """Whether two label maps part the pixels alike and agree on what is background."""
    pairs = {(int(a), int(b)) for a, b in zip(found.ravel(), reference.ravel(), strict=True)}
    one_to_one = len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    return one_to_one and (0, 0) in pairs


def test_frame_numbers_fold_back_as_reference():
    _, meta = golden_recipe("data")
    folded = meta["reflect"]
    assert [[length, index, reflect_index(index, length)] for length, index, _ in folded] == folded


def test_merged_clips_equal_reference():
    # Which of the kept objects gets which number is random in ours, so labels agree up to a renumbering.
    arrays, meta = golden_recipe("data")
    recipe = meta["merge"]
    clips = []
    for seed, objects in zip(recipe["seeds"], recipe["num_objects"], strict=True):
        clips.append(Clip(*synthetic.draw_clip(5, recipe["height"], recipe["width"], objects, seed), objects))
    merged = merge_clips(*clips, np.random.default_rng(0), max_objects=10)
    assert merged.num_objects == recipe["obj_num"]
    assert merged.frames.astype(np.int64).sum(axis=(1, 2, 3)).tolist() == arrays["merge_image_sum"].tolist()
    assert same_up_to_numbering(merged.labels, arrays["merge_label"])


def test_relabeled_objects_equal_reference():
    arrays, meta = golden_recipe("data")
    labels = arrays["crop_in"]
    clip = relabel(
        np.zeros((*labels.shape, 3), np.uint8), labels, np.random.default_rng(0), min_pixels=100, max_objects=10
    )
    assert clip.num_objects == meta["crop"]["obj_num"]
    assert same_up_to_numbering(clip.labels, arrays["crop_out"])


def test_logged_iou_equals_reference():
    arrays, meta = golden_recipe("data")
    labels, recipe = torch.from_numpy(arrays["merge_label"]), meta["iou"]
    assert recipe["value"] == pytest.approx(0.39605, abs=1e-5)
    # 1e-6: float32 divisions
    iou = mean_iou(labels[:2], labels[1:3], recipe["obj_nums"]).item()
    assert iou == pytest.approx(recipe["value"], abs=1e-6)


@pytest.mark.parametrize("variant", one_of_each_method(list_presets()))
def test_optimizer_groups_equal_reference(variant):
    def first_name(name: str) -> str:
        """The name of a shared parameter under which the reference registers it first."""
        if not getattr(config.model.stages[0], "shared", False):
            return to_published_name(name)
        published_name = to_published_name(name)
        return published_name.replace("layers.0.", "layer.").replace("decoder_norms.0.", "decoder_norm.")

    config = load_config(variant)
    with torch.device("meta"):
        model = build_model(config.model)
    for part in model.encoder.freezable_parts[: config.train.freeze_encoder_stages]:
        part.requires_grad_(False)
    reference = golden_table(f"keys/{variant}.optim")
    found = {}
    for group in parameter_groups(model, 0.07, config.train.encoder_lr_ratio):
        found[group["lr_ratio"], group["weight_decay"]] = set(map(first_name, group["names"]))
    assert found == {
        (group["lr_multiplier"], group["weight_decay"]): set(group["params"]) - {"LSTT.mask_token"}
        for group in reference
        if not group.get("frozen")
    }
    frozen = {to_published_name(name) for name, weight in model.named_parameters() if not weight.requires_grad}
    assert frozen == {name for group in reference if group.get("frozen") for name in group["params"]}
