"""Training against the reference: losses, gradients, schedules, optimiser groups, input sizes, clip helpers.

Tolerances are those of the reference's README, each named where it is used.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from configs.load import load_config, preset_names
from dataloaders.clips import Clip, merge, reflect, relabel
from dataloaders.preprocess import network_size
from engine.clip_training import ClipBatch, Lesson, clip_losses
from engine.ema import EMA
from engine.losses import bootstrapped_cross_entropy, frame_loss, hardest_count, soft_jaccard
from engine.memory import EveryNthFrame, MemoryBank
from engine.schedule import learning_rate, parameter_groups, reference_loss_weight
from networks.encoders import freeze_stages
from networks.official import official_name
from networks.vos_model import VOSModel
from tests.shared import GOLDEN, fill_module, golden, golden_model, needs_golden

pytestmark = needs_golden


def schedule() -> dict:
    return json.loads((GOLDEN / "models" / "schedule.json").read_text())


def loss_arrays() -> tuple[dict[str, np.ndarray], list[dict]]:
    with np.load(GOLDEN / "models" / "loss.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return arrays, json.loads(str(arrays.pop("cases")))


def test_losses_and_their_gradients_are_the_references():
    arrays, cases = loss_arrays()
    assert cases
    for case in cases:
        logits = torch.from_numpy(arrays[f"logits_{case['case']}"])[0].requires_grad_()
        labels = torch.from_numpy(arrays[f"label_{case['case']}"])
        count = hardest_count(labels.numel(), case["step"], case["total_steps"])
        total = frame_loss(logits, labels, count, align_corners=True)
        (gradient,) = torch.autograd.grad(total, logits)
        ours = {
            "ce": bootstrapped_cross_entropy(logits, labels, count),
            "jaccard": soft_jaccard(logits, labels),
            "total": total,
            "grad_norm": gradient.norm(),
            "grad_abs_sum": gradient.abs().sum(),
        }
        for name, value in ours.items():
            assert value.item() == pytest.approx(case[name], abs=1e-5, rel=1e-5), (
                case["case"],
                case["step"],
                name,
            )


@pytest.mark.parametrize("table", range(6))
def test_learning_rates_are_the_references(table):
    entry = schedule()["lr"][table]
    peak, final, total = entry["base_lr"], entry["min_lr"], entry["total_steps"]
    ratio = load_config("aott").train.encoder_lr_ratio
    for step, lr, encoder_lr, projector_lr, _ in entry["rows"]:
        now = learning_rate(step, total, peak=peak, final=final)
        # 1e-12 relative: only the order of float64 operations may differ.
        assert now == pytest.approx(lr, rel=1e-12)
        assert now == pytest.approx(projector_lr, rel=1e-12)
        assert final + (now - final) * ratio == pytest.approx(encoder_lr, rel=1e-12)


def test_the_weight_of_the_reference_loss_is_the_references():
    until = {"pre": 0.1}
    steps = {(entry["stage"], entry["model"]): entry["total_steps"] for entry in schedule()["lr"]}
    for entry in schedule()["aux_weight"]:
        total = steps[entry["stage"], entry["model"]]
        for step, weight in entry["rows"]:
            ours = reference_loss_weight(step, total, until.get(entry["stage"], 1.0))
            # 1e-12: float64 rounding; near the end the weight is a difference of two large numbers.
            assert ours == pytest.approx(weight, rel=1e-12, abs=1e-15)


def test_the_number_of_hardest_pixels_is_exactly_the_references():
    for case in schedule()["top_k"]:
        assert hardest_count(case["pixels"], case["step"], case["total_steps"]) == case["k"]


def test_averaged_weights_are_the_references():
    table = schedule()["ema"]
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.tensor(table["initial"]))
    average = EMA(model, table["total_steps"], table["ratio"])
    assert average.decay == table["decay"]
    kept = {row[0]: row[2:] for row in table["rows"]}
    for step in range(1, max(kept) + 1):
        with torch.no_grad():  # the table's own update rule
            model.weight += torch.tensor([0.1, -0.05]) * (step % 7 - 3)
        average.update(model, step)
        if step in kept:
            # 1e-5: float32 sums
            ours = [model.weight.tolist(), average.shadow["weight"].tolist()]
            torch.testing.assert_close(ours, kept[step], atol=1e-5, rtol=0)


def test_network_sizes_are_exactly_the_references():
    rows = json.loads((GOLDEN / "models" / "sizes.json").read_text())
    ours = [
        [height, width, scale, align, short, *network_size(
            (height, width), align_corners=align, max_short_edge=short, scale=scale)]
        for height, width, scale, align, short, _, _ in rows
    ]  # fmt: skip
    assert ours == rows


def same_up_to_numbering(ours: np.ndarray, reference: np.ndarray) -> bool:
    """Whether two label maps part the pixels alike and agree on what is background."""
    pairs = {(int(a), int(b)) for a, b in zip(ours.ravel(), reference.ravel(), strict=True)}
    one_to_one = len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    return one_to_one and (0, 0) in pairs


def test_frame_numbers_fold_back_as_in_the_reference():
    _, meta = golden("data")
    assert [[length, index, reflect(index, length)] for length, index, _ in meta["reflect"]] == meta[
        "reflect"
    ]


def test_merging_two_clips_gives_the_references_pixels_and_objects():
    # Which of the kept objects gets which number is random in ours, so labels agree up to a renumbering.
    arrays, meta = golden("data")
    recipe = meta["merge"]
    clips = []
    for seed, objects in zip(recipe["seeds"], recipe["num_objects"], strict=True):
        clips.append(Clip(*fill_module().clip(5, recipe["height"], recipe["width"], objects, seed), objects))
    merged = merge(*clips, np.random.default_rng(0))
    assert merged.objects == recipe["obj_num"]
    assert merged.frames.astype(np.int64).sum(axis=(1, 2, 3)).tolist() == arrays["merge_image_sum"].tolist()
    assert same_up_to_numbering(merged.labels, arrays["merge_label"])


def test_relabelling_keeps_the_references_objects():
    arrays, meta = golden("data")
    labels = arrays["crop_in"]
    clip = relabel(np.zeros((*labels.shape, 3), np.uint8), labels, np.random.default_rng(0), minimum=100)
    assert clip.objects == meta["crop"]["obj_num"]
    assert same_up_to_numbering(clip.labels, arrays["crop_out"])


@pytest.mark.parametrize("variant", preset_names())
def test_optimiser_groups_are_the_references(variant):
    config = load_config(variant)
    with torch.device("meta"):
        model = VOSModel(config.model)
    freeze_stages(model.encoder, config.train.freeze_encoder_stages)
    reference = json.loads((GOLDEN / "keys" / f"{variant}.optim.json").read_text())
    ours = {}
    for group in parameter_groups(model, 0.07, config.train.encoder_lr_ratio):
        ours[group["lr_ratio"], group["weight_decay"]] = {official_name(name) for name in group["names"]}
    assert ours == {
        (group["lr_multiplier"], group["weight_decay"]): set(group["params"])
        for group in reference
        if not group.get("frozen")
    }
    frozen = {
        official_name(name) for name, parameter in model.named_parameters() if not parameter.requires_grad
    }
    assert frozen == {name for group in reference if group.get("frozen") for name in group["params"]}


def training_batch(meta: dict, slots: np.ndarray) -> tuple[ClipBatch, torch.Tensor]:
    """The reference's clips, and the identities its permutation matrices give."""
    clips = [
        fill_module().clip(5, meta["height"], meta["width"], objects, seed)
        for objects, seed in zip(meta["obj_nums"], meta["seeds"], strict=True)
    ]
    images = np.stack([fill_module().normalise(frames) for frames, _ in clips], axis=1)
    labels = np.stack([masks for _, masks in clips], axis=1).astype(np.int64)
    batch = ClipBatch(torch.from_numpy(images), torch.from_numpy(labels), meta["obj_nums"])
    return batch, torch.from_numpy(slots).argmax(2)


class Reference:
    """A training step of ours on the reference's clips, before and after the optimiser."""

    def __init__(self, variant: str, run: str) -> None:
        arrays, meta = golden(f"train_{variant}")
        self.meta = meta[run]
        self.arrays = {
            key.removeprefix(f"{run}/"): value for key, value in arrays.items() if key.startswith(f"{run}/")
        }
        torch.manual_seed(0)
        self.model = golden_model(variant, ("model.stages.0.drop_path=0",)).train()
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout2d):
                module.p = 0
        freeze_stages(self.model.encoder, 2)
        batch, slots = training_batch(self.meta, arrays["id_shuffle"])
        own = self.meta["use_prev_pred"]
        for stage in self.model.stages:
            stage.train_identities(not own)
        step, total = self.meta["step"], self.meta["total_steps"]
        self.losses = clip_losses(
            self.model, MemoryBank(EveryNthFrame(self.meta["long_term_gap"])), batch,
            Lesson(slots, hardest_count(batch.labels[0, 0].numel(), step, total), own),
        )  # fmt: skip
        weight = reference_loss_weight(step, total, 1.0)
        self.loss = weight * self.losses.reference.mean() + self.losses.tracked.mean()
        self.loss.backward()
        self.gradients = {
            official_name(name): parameter.grad.clone()
            for name, parameter in self.model.named_parameters()
            if parameter.grad is not None
        }
        self.changes = self.optimise()

    def optimise(self) -> dict[str, torch.Tensor]:
        """One AdamW step as the trainer does it; returns what changed, by published name."""
        meta = self.meta
        peak, final = meta["lr_config"]
        before = {official_name(n): p.detach().clone() for n, p in self.model.named_parameters()}
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        groups = parameter_groups(self.model, meta["weight_decay"], 0.1)
        now = learning_rate(meta["opt_step"], meta["total_steps"], peak=peak, final=final)
        for group in groups:
            group["lr"] = final + (now - final) * group["lr_ratio"]
        torch.optim.AdamW(groups).step()
        return {
            official_name(n): p.detach() - before[official_name(n)] for n, p in self.model.named_parameters()
        }


@pytest.fixture(scope="module", params=["aott/a", "aott/b", "deaotl/a", "deaotl/b"])
def step(request) -> Reference:
    return Reference(*request.param.split("/"))


def test_training_losses_are_the_references(step):
    # 1e-4 relative; with own masks fed back a flipped pixel may change losses by 1e-3.
    tolerance = 1e-3 if step.meta["use_prev_pred"] else 1e-4
    assert step.loss.item() == pytest.approx(float(step.arrays["loss"]), rel=tolerance)
    ours = torch.cat([step.losses.reference[None], step.losses.tracked]).detach().numpy()
    np.testing.assert_allclose(ours, step.arrays["frame_losses"], rtol=tolerance)


def test_training_masks_are_the_references(step):
    ours = torch.stack(step.losses.predictions).numpy()
    # Ties within rounding: a few pixels of each mask.
    assert (ours == step.arrays["pred"]).mean() > 0.999


def test_gradient_norms_are_the_references(step):
    norms = dict(zip(step.arrays["grad_names"].tolist(), step.arrays["grad_norms"].tolist(), strict=True))
    assert norms
    for name, norm in norms.items():
        name = name.removeprefix("AOT.").removeprefix("module.")
        if norm < 0:
            assert name not in step.gradients
        elif norm > 1e-4:
            # 1e-2 relative; smaller ones, the key biases of self-attention, are zero but for rounding.
            assert step.gradients[name].norm().item() == pytest.approx(norm, rel=1e-2), name
    total = torch.stack([gradient.norm() for gradient in step.gradients.values()]).norm().item()
    assert total == pytest.approx(float(step.arrays["total_grad_norm"]), rel=1e-2)


def test_the_gradient_of_the_last_layer_is_the_references(step):
    reference = step.arrays["grad_conv_out"]
    ours = step.gradients["decoder.conv_out.weight"].numpy()
    # 1e-3 of its largest entry
    assert np.abs(ours - reference).max() < 1e-3 * np.abs(reference).max()


def test_the_same_parameters_get_no_gradient(step):
    names = {
        name.removeprefix("AOT.").removeprefix("module.") for name in step.arrays["no_grad_params"].tolist()
    }
    trainable = {official_name(n) for n, _ in step.model.named_parameters()} - {
        official_name(n)
        for n, p in step.model.encoder.named_parameters(prefix="encoder")
        if not p.requires_grad
    }
    assert trainable - set(step.gradients) == names


def test_an_optimiser_step_changes_weights_as_in_the_reference(step):
    peak, final = step.meta["lr_config"]
    now = learning_rate(step.meta["opt_step"], step.meta["total_steps"], peak=peak, final=final)
    assert now == pytest.approx(float(step.arrays["lr"]), rel=1e-12)
    reference = step.arrays["delta_conv_out"]
    difference = np.abs(step.changes["decoder.conv_out.weight"].numpy() - reference)
    # The first step of Adam is about lr·sign(gradient): 1 % of the elements, near zero, may go the other way.
    assert (difference > 1e-2 * now).mean() < 0.01
    rows = zip(step.arrays["grad_names"], step.arrays["grad_norms"], step.arrays["delta_norms"], strict=True)
    for name, gradient, norm in rows:
        if gradient > 1e-4:
            name = str(name).removeprefix("AOT.").removeprefix("module.")
            assert step.changes[name].norm().item() == pytest.approx(norm, rel=1e-2), name
