"""State of a training phase, with saving and restoring."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from aotlab.configs.load import to_yaml
from aotlab.configs.schema import Config
from aotlab.engine.training.build import architecture, first_weights
from aotlab.engine.training.schedule import EMA, parameter_groups
from aotlab.networks.kernels.tuning import fastest_precision
from aotlab.networks.vos_model import VOSModel
from aotlab.networks.weights.model_card import AVERAGED, ModelCard, PhaseRecord, card_from_json
from aotlab.utils.distributed import World
from aotlab.utils.errors import InputError, RunStopped
from aotlab.utils.files import atomic_file, is_file
from aotlab.utils.versioned_json import Kind, reading_own, unwrap, wrap


class NotFinite(RunStopped):
    """Non-finite loss, gradient or weight; nothing was changed. The message names the clips."""


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors with non-finite values."""
    return [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]


log = logging.getLogger(__name__)
STATES = Kind(
    "training state",
    1,
    "delete it to resume from the one before it, or start again with another train.output",
)
FIXED = ("precision", "freeze_encoder_stages", "encoder_lr_ratio")
"""training settings on which the optimiser's state depends"""
STATE = re.compile(r"([0-9]+)_.+_([0-9]+)\.pt")
"""pattern of a state's name: index and name of its phase, and step"""


class PhaseState:
    """A phase in progress, which starts from the current weights of the model.

    Randomness and data of a step depend only on seed, phase and step number, so the step number suffices to resume.
    """

    def __init__(self, config: Config, world: World, index: int, model: VOSModel) -> None:
        """``index``: of the phase in the recipe."""
        self.config, self.world, self.index, self.model = config, world, index, model
        self.phase = phase = config.train.phases[index]
        # The previous phase may have frozen the identity bank.
        for stage in model.stages:
            stage.train_identities(True)
        groups = parameter_groups(model, phase.weight_decay, config.train.encoder_lr_ratio)
        self.optimizer = torch.optim.AdamW(groups, lr=phase.lr)
        half = config.train.precision == "float16"
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=half)
        self.ema = EMA(model, phase.steps, config.train.ema)
        self.step = 0
        """number of finished optimiser steps"""
        self.best = -1.0
        """best J&F of all validations so far"""
        self.replaced: Counter[str] = Counter()
        """unreadable items of all phases: one sentence each, with the number of draws"""
        self.seconds = 0.0
        """seconds spent in the steps of this phase"""
        self.scores: dict[str, float] = {}
        """last validation scores of this phase, in percent"""
        self.data: list[str] = []
        """training data of this phase, one line per source"""
        self.earlier: list[PhaseRecord] = []
        """phases recorded in the initial weights"""


def save_state(state: PhaseState, output: Path) -> None:
    """Save the state for `restore`, and delete all but the ``train.keep`` newest states.

    Raises:
        InputError: the state cannot be written; earlier states are kept.
        NotFinite: weights or their average are not finite; nothing is written.
    """
    content = {
        "config": to_yaml(state.config),
        "architecture": str(architecture(state.config)),
        "phase": state.index,
        "step": state.step,
        "model": state.model.state_dict(),
        "ema": state.ema.shadow,
        "optimizer": state.optimizer.state_dict(),
        "scaler": state.scaler.state_dict(),
        "best": state.best,
        "replaced": dict(state.replaced),
        "seconds": state.seconds,
        "scores": state.scores,
        "earlier": ModelCard(state.earlier).to_json(),
    }
    broken = broken_weights(content)
    if broken:
        raise NotFinite(
            f"the weights after step {state.step} of {state.phase.name} are not finite ({broken[0]})"
        )
    path = states_folder(output) / f"{state.index}_{state.phase.name}_{state.step:06d}.pt"
    with atomic_file(path) as file:
        torch.save(wrap(STATES, content), file)
    for old in saved_states(output)[state.config.train.keep :]:
        old.unlink(missing_ok=True)


def card_of(state: PhaseState, command: str) -> ModelCard:
    """Return the card of the averaged weights of a phase, up to its current step."""
    settings, phase, world = state.config.train, state.phase, state.world
    precision = fastest_precision(settings.precision, world.device)
    start = state.earlier[-1].name if state.earlier else first_weights(state.config)
    record = PhaseRecord(
        name=phase.name, steps=state.step, planned=phase.steps, hours=state.seconds / 3600,
        batch=phase.batch, clip_length=phase.clip_length, crop=phase.crop, data=state.data, seed=settings.seed,
        precision=precision, device=f"{world.ranks} × {world.device.type}", start=start, command=command,
        scores=state.scores,
    )  # fmt: skip
    return ModelCard([*state.earlier, record], AVERAGED)


def broken_weights(content: dict[str, Any]) -> list[str]:
    """Return the names of non-finite weights, averages and moments."""
    moments = {
        f"optimizer {number} {name}": value
        for number, values in content["optimizer"]["state"].items()
        for name, value in values.items()
        if isinstance(value, torch.Tensor)
    }
    return not_finite(content["model"]) + not_finite(content["ema"]) + not_finite(moments)


def states_folder(output: Path) -> Path:
    """Return the folder of a run's states."""
    return output / "states"


def saved_states(output: Path) -> list[Path]:
    """Return the saved states of a run, newest first; other files are ignored."""
    found = []
    for path in states_folder(output).glob("*.pt"):
        name = STATE.fullmatch(path.name)
        if name is not None and is_file(path):
            found.append((int(name[1]), int(name[2]), path))
    return [path for *_, path in sorted(found, reverse=True)]


def load_state(output: Path, config: Config) -> dict[str, Any] | None:
    """Return the newest usable state, or None without states; unusable ones are logged.

    Raises:
        InputError: no state is usable, or architecture or phases differ.
    """
    paths = saved_states(output)
    for path in paths:
        content = read_state(path)
        if content is not None:
            require_fitting(path, content, config)
            return content
    if paths:
        raise InputError(
            f"{states_folder(output)}: none of the saved states ({len(paths)}) can be used; start again with another "
            "train.output"
        )
    return None


def read_state(path: Path) -> dict[str, Any] | None:
    """Return a saved state; None with a warning if it is damaged or its weights are not finite."""
    try:
        with reading_own(path, STATES):
            found = torch.load(path, map_location="cpu", weights_only=True)
            content = unwrap(STATES, found) if "kind" in found else found  # earlier versions had no seal
            broken = broken_weights(content)
            if broken:
                raise ValueError(f"weights that are not finite, {broken[0]}")
            return content
    except InputError as error:
        log.warning("%s", error)
        return None


def require_fitting(path: Path, content: dict[str, Any], config: Config) -> None:
    """Check that a state belongs to the recipe; raises `InputError` if architecture, phases or settings differ."""
    advice = "resume with its own recipe, or give another train.output"
    with reading_own(path, STATES):
        index, phases = content["phase"], config.train.phases
        same = content["architecture"] == str(architecture(config))
        listed = index < len(phases) and path.stem.startswith(f"{index}_{phases[index].name}_")
        saved = yaml.safe_load(content["config"])["train"]
    if not same:
        raise InputError(f"{path}: trained with another architecture than this recipe's; {advice}")
    if not listed:
        raise InputError(f"{path}: phase {index} of this recipe is another one; {advice}")
    pairs = {f"train.{name}": (saved[name], getattr(config.train, name)) for name in FIXED}
    decay = saved["phases"][index]["weight_decay"], phases[index].weight_decay
    pairs[f"train.phases.{index}.weight_decay"] = decay
    if "float16" not in pairs["train.precision"]:
        del pairs["train.precision"]
    other = [f"{name}={before}" for name, (before, now) in pairs.items() if before != now]
    if other:
        raise InputError(
            f"{path}: was saved with {', '.join(other)}; resume with the same, other training settings may change"
        )


def restore(state: PhaseState, content: dict[str, Any]) -> None:
    """Restore a phase from the content of `save_state`; raises `InputError` for another phase's state."""
    with reading_own(f"state of {state.phase.name}", STATES):
        state.model.load_state_dict(content["model"])
        state.optimizer.load_state_dict(content["optimizer"])
        state.scaler.load_state_dict(content["scaler"])
        state.ema.shadow = {name: tensor.to(state.world.device) for name, tensor in content["ema"].items()}
        state.step, state.best = content["step"], content["best"]
        state.replaced = Counter(content["replaced"])
        state.seconds, state.scores = content.get("seconds", 0.0), content.get("scores", {})
        card = card_from_json(content.get("earlier"))
        state.earlier = card.phases if card is not None else []
