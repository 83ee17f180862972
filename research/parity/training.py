"""Loss, gradients and a step of the optimizer of both codes, from the same weights, clips and identities."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from aotlab.configs.training import TrainConfig
from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.memory.policies import FIFO
from aotlab.engine.training.clip import ClipBatch, ClipOptions, clip_losses, draw_permutations
from aotlab.engine.training.losses import count_hard_pixels
from aotlab.engine.training.optimization import group_rate, learning_rate, parameter_groups, reference_loss_weight
from aotlab.export.synthetic_clip import draw_clip
from aotlab.networks.model import VOSModel
from aotlab.networks.weights.published_keys import map_published_names
from aotlab_trackers.authors import build_network, copy_weights
from research.parity.pairs import load_model

SETTINGS = TrainConfig()
CLIP_LENGTH, BATCH, SIDE = 5, 2, 129
SMALLEST_GRADIENT = 1e-4
"""Norm above which the step of a parameter is compared."""
MEAN, STD = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def compare_training(models: Sequence[str]) -> int:
    """Print how loss, gradients and a step of both codes differ at three points of the schedule; return the exit code.

    Dropout is off in both, as its draws differ.
    """
    print("| weights | step | loss, ours | theirs | largest relative difference of a gradient's norm | of a step's |\n"
          "|---|---|---|---|---|---|")  # fmt: skip
    for name in models:
        total = build_network(load_model(name)[1]).cfg.TRAIN_TOTAL_STEPS
        for step in (0, total // 2, total - 1):
            (loss, gradients, changes), theirs = run_ours(name, step), run_theirs(name, step)
            # Adam's first step has the sign of the gradient, also where that is zero but for rounding
            large = [key for key, value in theirs[1].items() if value.norm() > SMALLEST_GRADIENT]
            norms = compare_norms(gradients, theirs[1]), compare_norms(changes, theirs[2], large)
            print(f"| {name} | {step} | {loss:.6f} | {theirs[0]:.6f} | {norms[0]:.0e} | {norms[1]:.0e} |", flush=True)
    return 0


def compare_norms(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], names: Sequence[str] = ()) -> float:
    """Return the largest relative difference of the norms of tensors by name, by default of all.

    Norms that are zero but for rounding are compared with a thousandth of the largest norm.
    """
    if found.keys() != expected.keys():
        raise ValueError(f"only one code has {', '.join(sorted(found.keys() ^ expected.keys())[:5])}")
    largest = max(float(value.norm()) for value in expected.values())
    return max(
        abs(float(found[name].norm() - expected[name].norm())) / max(float(expected[name].norm()), 1e-3 * largest)
        for name in names or expected
    )


def draw_batch() -> tuple[ClipBatch, Tensor]:
    """Return two drawn clips, and the identities of their objects."""
    clips = [draw_clip(CLIP_LENGTH, SIDE, SIDE, seed=seed) for seed in range(BATCH)]
    images = torch.from_numpy(np.stack([frames for frames, _ in clips], 1)).movedim(-1, 2).float() / 255
    labels = torch.from_numpy(np.stack([masks for _, masks in clips], 1).astype(np.int64))
    batch = ClipBatch(images, labels, [int(labels[0, number].max()) for number in range(BATCH)])
    return batch, draw_permutations(BATCH, 10, torch.Generator().manual_seed(0))


def disable_dropout(model: nn.Module) -> None:
    """Set the probabilities of all kinds of dropout to 0."""
    for module in model.modules():
        for name in ("p", "drop_prob", "probability"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def run_ours(name: str, step: int) -> tuple[float, dict[str, Tensor], dict[str, Tensor]]:
    """Return the loss, the gradients and the changes of the parameters in a step, by published name."""
    model, preset = load_model(name)
    config = build_network(preset).cfg
    model.train()
    disable_dropout(model)
    for part in model.encoder.freezable_parts[:2]:
        part.requires_grad_(False)
    (batch, permutations), total = draw_batch(), config.TRAIN_TOTAL_STEPS
    use_predictions = step >= int(config.TRAIN_SEQ_TRAINING_START_RATIO * total)
    count = count_hard_pixels(
        SIDE**2, step, total, fraction=SETTINGS.hardest_pixels, reached_after=SETTINGS.hardest_pixels_after
    )
    bank = MemoryBank(FIFO(config.TRAIN_LONG_TERM_MEM_GAP), training=True)
    losses = clip_losses(model, bank, batch, ClipOptions(permutations, count, use_predictions))
    loss = reference_loss_weight(step, total, 1.0) * losses.reference.mean() + losses.tracked.mean()
    loss.backward()
    peak, final = config.TRAIN_LR, config.TRAIN_LR_MIN
    groups = parameter_groups(model, config.TRAIN_WEIGHT_DECAY, config.TRAIN_LR_ENCODER_RATIO)
    rate = learning_rate(step, total, peak=peak, final=final, warmup=SETTINGS.warmup, power=SETTINGS.power)
    for group in groups:
        group["lr"] = group_rate(rate, final=final, lr_ratio=float(str(group["lr_ratio"])))
    return loss.item(), *take_step(list_parameters(model), torch.optim.AdamW(groups), use_predictions)


def list_parameters(model: VOSModel) -> dict[str, nn.Parameter]:
    """Return the parameters of aotlab's model by published name."""
    names = map_published_names(model.state_dict())
    return {names[name]: parameter for name, parameter in model.named_parameters()}


def take_step(
    parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, freezes_identities: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the gradients, and the changes of the parameters by a step with clipped gradients."""
    trained = {name: x for name, x in parameters.items() if x.grad is not None}
    if freezes_identities:  # their rate is 0 there, here they have no gradient
        trained = {name: x for name, x in trained.items() if "patch_wise_id_bank" not in name}
    gradients = {name: x.grad.clone() for name, x in trained.items() if x.grad is not None}
    before = {name: x.detach().clone() for name, x in trained.items()}
    torch.nn.utils.clip_grad_norm_([x for x in parameters.values() if x.grad is not None], 5.0)
    optimizer.step()
    return gradients, {name: x.detach() - before[name] for name, x in trained.items()}


def run_theirs(name: str, step: int) -> tuple[float, dict[str, Tensor], dict[str, Tensor]]:
    """Return what `run_ours` does, by the authors' engine, loss and learning rates."""
    from aot.networks.engines import build_engine
    from aot.utils.learning import adjust_learning_rate, get_trainable_params

    model, preset = load_model(name)
    network: Any = build_network(preset)
    copy_weights(network, model)
    config, (batch, permutations) = network.cfg, draw_batch()
    total = config.TRAIN_TOTAL_STEPS
    use_predictions = step >= int(config.TRAIN_SEQ_TRAINING_START_RATIO * total)
    network.train()
    disable_dropout(network)
    engine: Any = build_engine(
        config.MODEL_ENGINE, phase="train", aot_model=network, gpu_id=None,
        long_term_mem_gap=config.TRAIN_LONG_TERM_MEM_GAP,
    ).train()  # fmt: skip
    engine.restart_engine(BATCH)
    engine.enable_id_shuffle = True  # its own permutation needs CUDA
    engine.id_shuffle_matrix = torch.nn.functional.one_hot(permutations, 11).float()
    images = ((batch.images - MEAN) / STD).flatten(0, 1)
    labels = batch.target_indices.flatten(0, 1)[:, None].float()
    # the engine imports its loss by the name that it had in the authors' repository
    names = {
        f"networks{part}": importlib.import_module(f"aot.networks{part}") for part in ("", ".layers", ".layers.loss")
    }
    with patch.dict(sys.modules, names):
        loss, *_ = engine(images, labels, BATCH, batch.object_counts, step=step, use_prev_pred=use_predictions)
    loss = loss.mean()
    loss.backward()
    with contextlib.redirect_stdout(io.StringIO()):  # it prints the number of parameters
        groups = get_trainable_params(
            network, config.TRAIN_LR, config.TRAIN_WEIGHT_DECAY, use_frozen_bn=config.MODEL_FREEZE_BN,
            no_wd_keys=config.TRAIN_WEIGHT_DECAY_EXEMPTION,
        )  # fmt: skip
    optimizer = torch.optim.AdamW(groups, lr=config.TRAIN_LR, weight_decay=config.TRAIN_WEIGHT_DECAY)
    adjust_learning_rate(
        optimizer, config.TRAIN_LR, config.TRAIN_LR_POWER, step, total,
        warm_up_steps=config.TRAIN_LR_WARM_UP_RATIO * total, min_lr=config.TRAIN_LR_MIN,
        encoder_lr_ratio=config.TRAIN_LR_ENCODER_RATIO,
        freeze_params=config.TRAIN_SEQ_TRAINING_FREEZE_PARAMS if use_predictions else [],
    )  # fmt: skip
    return loss.item(), *take_step(dict(network.named_parameters()), optimizer, use_predictions)
