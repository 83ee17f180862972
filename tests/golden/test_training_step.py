"""One training step against the reference: losses, masks, gradients, and what the optimizer changes.

Tolerances are those of the reference's README, each named where it is used.
"""

import numpy as np
import pytest
import torch

from aotlab.configs.training import TrainConfig
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import FIFO
from aotlab.engine.training.clip import ClipBatch, ClipOptions, clip_losses
from aotlab.engine.training.losses import count_hard_pixels
from aotlab.engine.training.optimization import group_rate, learning_rate, parameter_groups, reference_loss_weight
from aotlab.networks.fast.optimize import optimize_training
from aotlab.networks.weights.published_keys import map_published_names
from aotlab_testing.marks import slow
from tests.golden import synthetic
from tests.golden.references import golden_model, golden_recipe

SETTINGS = TrainConfig()


def training_batch(meta: dict, identities: np.ndarray) -> tuple[ClipBatch, torch.Tensor]:
    """The reference's clips, and the identities its permutation matrices give."""
    clips = [
        synthetic.draw_clip(5, meta["height"], meta["width"], objects, seed)
        for objects, seed in zip(meta["obj_nums"], meta["seeds"], strict=True)
    ]
    images = np.stack([np.moveaxis(frames, -1, -3) / np.float32(255) for frames, _ in clips], axis=1)
    labels = np.stack([masks for _, masks in clips], axis=1).astype(np.int64)
    batch = ClipBatch(torch.from_numpy(images), torch.from_numpy(labels), meta["obj_nums"])
    return batch, torch.from_numpy(identities).argmax(2)


class Reference:
    """A training step of ours on the reference's clips, before and after the optimizer."""

    def __init__(self, variant: str, run: str, *, fast: bool) -> None:
        arrays, meta = golden_recipe(f"train_{variant}")
        self.meta = meta[run]
        self.arrays = {key.removeprefix(f"{run}/"): value for key, value in arrays.items() if key.startswith(f"{run}/")}
        torch.manual_seed(0)
        self.model = golden_model(variant, ("model.stages.0.drop_path=0",)).train()
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout2d):
                module.p = 0
        if fast:
            optimize_training(self.model)
        for part in self.model.encoder.freezable_parts[:2]:
            part.requires_grad_(False)
        batch, identities = training_batch(self.meta, arrays["id_shuffle"])
        own = self.meta["use_prev_pred"]
        step, total = self.meta["step"], self.meta["total_steps"]
        hard_pixels = count_hard_pixels(
            batch.target_indices[0, 0].numel(), step, total,
            fraction=SETTINGS.hardest_pixels, reached_after=SETTINGS.hardest_pixels_after,
        )  # fmt: skip
        self.losses = clip_losses(
            self.model, MemoryBank(FIFO(self.meta["long_term_gap"]), training=True), batch,
            ClipOptions(identities, hard_pixels, own),
        )  # fmt: skip
        weight = reference_loss_weight(step, total, 1.0)
        self.loss = weight * self.losses.reference.mean() + self.losses.tracked.mean()
        self.loss.backward()
        self.gradients = {
            name: parameter.grad.clone() for name, parameter in self.parameters().items() if parameter.grad is not None
        }
        self.changes = self.optimize()

    def optimize(self) -> dict[str, torch.Tensor]:
        """One AdamW step as the trainer does it; returns what changed, by published name."""
        meta = self.meta
        peak, final = meta["lr_config"]
        before = {name: parameter.detach().clone() for name, parameter in self.parameters().items()}
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        groups = parameter_groups(self.model, meta["weight_decay"], 0.1)
        self.learning_rate = learning_rate(
            meta["opt_step"], meta["total_steps"], peak=peak, final=final, warmup=SETTINGS.warmup, power=SETTINGS.power
        )
        for group in groups:
            group["lr"] = group_rate(self.learning_rate, final=final, lr_ratio=group["lr_ratio"])
        torch.optim.AdamW(groups).step()
        return {name: parameter.detach() - before[name] for name, parameter in self.parameters().items()}

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """Parameters by published name."""
        names = map_published_names(self.model.state_dict())
        return {names[name]: parameter for name, parameter in self.model.named_parameters()}


RUNS = [f"{name}/{run}" for name in ("aott", "deaotl", "aost", "aost_share") for run in "ab"]


# tests/networks/test_fast.py compares the plain and the fast
@pytest.fixture(scope="module", params=["aott/a/fast", *slow(*(f"{run}/plain" for run in RUNS))])
def step(request) -> Reference:
    variant, run, kind = request.param.split("/")
    return Reference(variant, run, fast=kind == "fast")


def test_training_losses_equal_reference(step):
    # 1e-4 relative; with own masks fed back a flipped pixel may change losses by 1e-3.
    tolerance = 1e-3 if step.meta["use_prev_pred"] else 1e-4
    assert step.loss.item() == pytest.approx(float(step.arrays["loss"]), rel=tolerance)
    found = torch.cat([step.losses.reference[None], step.losses.tracked]).detach().numpy()
    np.testing.assert_allclose(found, step.arrays["frame_losses"], rtol=tolerance)


def test_training_masks_equal_reference(step):
    found = torch.stack(step.losses.predictions).numpy()
    # Ties within rounding: a few pixels of each mask.
    assert (found == step.arrays["pred"]).mean() > 0.999


def test_gradient_norms_equal_reference(step):
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


def test_last_layer_gradient_equals_reference(step):
    reference = step.arrays["grad_conv_out"]
    found = step.gradients["decoder.conv_out.weight"].numpy()
    # 1e-3 of its largest entry
    assert np.abs(found - reference).max() < 1e-3 * np.abs(reference).max()


def test_unused_parameters_equal_reference(step):
    unused = (name.removeprefix("AOT.") for name in step.arrays["no_grad_params"].tolist())
    names = {name.removeprefix("module.") for name in unused}
    trainable = {
        name
        for name, parameter in step.parameters().items()
        if parameter.requires_grad or not name.startswith("encoder.")
    }
    assert trainable - set(step.gradients) == names - {"LSTT.mask_token"}


def test_optimizer_step_equals_reference(step):
    assert step.learning_rate == pytest.approx(float(step.arrays["lr"]), rel=1e-12)
    reference = step.arrays["delta_conv_out"]
    difference = np.abs(step.changes["decoder.conv_out.weight"].numpy() - reference)
    # The first step of Adam is about lr·sign(gradient): 1 % of the elements, near zero, may go the other way.
    assert (difference > 1e-2 * step.learning_rate).mean() < 0.01
    rows = zip(step.arrays["grad_names"], step.arrays["grad_norms"], step.arrays["delta_norms"], strict=True)
    for name, gradient, norm in rows:
        if gradient > 1e-4:
            name = str(name).removeprefix("AOT.").removeprefix("module.")
            assert step.changes[name].norm().item() == pytest.approx(norm, rel=1e-2), name
