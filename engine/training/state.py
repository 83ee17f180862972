"""State of a training phase: saved and loaded, and the model card of its weights."""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from aotlab.configs.load import build_config
from aotlab.configs.schema import Config
from aotlab.configs.upgrade import upgrade_settings
from aotlab.dataloaders.training.mixture import Mixture, describe_mixture, describe_source
from aotlab.dataloaders.training.phases import VALIDATION
from aotlab.engine.training.build import describe_start_weights
from aotlab.engine.training.model_card import ModelCard, PhaseRecord, parse_card
from aotlab.engine.training.schedule import EMA, parameter_groups
from aotlab.networks.fast.optimize import resolve_precision
from aotlab.networks.model import VOSModel
from aotlab.networks.weights.checkpoints import load_pickle
from aotlab.networks.weights.published_keys import rename_old_keys
from aotlab.utils.distributed import Distributed
from aotlab.utils.errors import InputError, RunStopped
from aotlab.utils.files import MALFORMED, reading, write_bytes

log = logging.getLogger(__name__)

STATE_NAME = re.compile(r"([0-9]+)_.+_([0-9]+)\.pt")
"""Pattern of a state's name: index and name of its phase, and step."""
FREE_SETTINGS = ("model.depth", ".drop_path")
"""Ends of the names of model settings that may change when a run is resumed."""
FIXED_SETTINGS = (".freeze_encoder_stages", ".encoder_lr_ratio", ".name", ".weight_decay")
"""Ends of the names of training settings that may not change, as the optimizer depends on them."""


class NonFiniteError(RunStopped):
    """Non-finite loss or gradient; the message names the clips of the step."""


class SavedState(NamedTuple):
    """A state of `PhaseState.state_dict` that fits the settings of a run."""

    phase: int
    """Index of its phase."""
    content: dict[str, Any]
    changes: dict[str, tuple[Any, Any]]
    """Saved and current value of each setting that has changed."""


class PhaseState:
    """A phase in progress, which starts from the current weights of the model.

    The clips of a step depend only on seed, phase and step number, so the step number suffices to resume. Drop-path
    masks also depend on the rank.
    """

    def __init__(
        self,
        config: Config,
        world: Distributed,
        model: VOSModel,
        mixture: Mixture,
        *,
        fingerprints: Mapping[str, str] | None = None,
        command: str = "",
        previous: PhaseState | None = None,
        start_phases: Sequence[PhaseRecord] = (),
    ) -> None:
        """Create the state before the first step.

        Args:
            mixture: data of the phase.
            fingerprints: those of the data, from `TrainingData.fingerprints`.
            command: command line, for the card.
            previous: the phase that was run before it.
            start_phases: phases of the checkpoint that the run starts from, for its first phase.
        """
        self.config, self.world, self.model, self.phase = config, world, model, mixture.phase
        self.command = command
        self.index = [phase.name for phase in config.train.phases].index(self.phase.name)
        groups = parameter_groups(model, self.phase.weight_decay, config.train.encoder_lr_ratio)
        self.optimizer = torch.optim.AdamW(groups, lr=self.phase.lr)
        half = config.train.precision == "float16"
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=half)
        self.ema = EMA(model, self.phase.steps, config.train.ema)
        self.step = 0
        """Number of finished optimizer steps."""
        self.skipped = 0
        """Number of non-finite steps in a row before this one, 0 again when the run is resumed."""
        self.best: float = previous.best if previous else -1.0
        """Best J&F of all validations so far on the same videos."""
        self.unreadable: Counter[str] = previous.unreadable if previous else Counter()
        """Unreadable items of all phases and ranks: one sentence each, with the number of draws."""
        self.seconds = 0.0
        """Seconds spent in the steps of this phase."""
        self.scores: dict[str, float] = {}
        """Last validation scores of this phase, in percent."""
        self.validated = 0
        """Step of the last validation of this phase."""
        self.resumed: list[str] = []
        """Sentences about settings and data that changed when the phase was resumed."""
        names = [*map(describe_source, self.phase.sources), VALIDATION]
        self.fingerprints = {name: fingerprints[name] for name in names} if fingerprints else {}
        """Fingerprints of this phase's sources and of the validation videos."""
        contents = [f"files of {name}: {value}" for name, value in self.fingerprints.items()]
        self.data = [*describe_mixture(mixture), *contents]
        """Training data of this phase, one line per source, and the fingerprints."""
        self.earlier_phases = previous.card().phases if previous else list(start_phases)
        """Phases that were trained before this one."""

    def card(self) -> ModelCard:
        """Return the card of the averaged weights up to the current step."""
        settings, phase, world = self.config.train, self.phase, self.world
        record = PhaseRecord(
            name=phase.name, steps=self.step, planned=phase.steps, hours=self.seconds / 3600, batch=phase.batch,
            clip_length=phase.clip_length, crop=phase.crop, data=self.data, seed=settings.seed,
            precision=resolve_precision(settings.precision, world.device),
            device=f"{world.ranks} × {world.device.type}",
            start=self.earlier_phases[-1].name if self.earlier_phases else describe_start_weights(self.config),
            command=self.command, scores=self.scores, resumed=self.resumed,
        )  # fmt: skip
        return ModelCard([*self.earlier_phases, record])

    def state_dict(self) -> dict[str, Any]:
        """Return the state for `resume`, with the settings it depends on."""
        return {
            "config": asdict(self.config),
            "fingerprints": self.fingerprints,
            "phase": self.index,
            "step": self.step,
            "model": self.model.state_dict(),
            "ema": self.ema.shadow,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best": self.best,
            "unreadable": dict(self.unreadable),
            "seconds": self.seconds,
            "scores": self.scores,
            "validated": self.validated,
            "resumed": self.resumed,
            "earlier": ModelCard(self.earlier_phases).to_json(),
        }

    def resume(self, saved: SavedState) -> None:
        """Continue from a saved state; log and record settings and data that changed since."""
        content, earlier = saved.content, saved.content["fingerprints"]
        changes = [f"{name}={now} (was {before})" for name, (before, now) in saved.changes.items()]
        changes += [
            f"other images or masks in {name}: {now} (was {earlier[name]})"
            for name, now in self.fingerprints.items()
            if name in earlier and now != earlier[name]
        ]
        self.resumed = content["resumed"] + [f"resumed at step {content['step']} with {change}" for change in changes]
        for sentence in self.resumed[len(content["resumed"]) :]:
            log.warning("%s", sentence)
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        if content["scaler"]:  # empty unless it was float16
            self.scaler.load_state_dict(content["scaler"])
        self.ema.shadow = {name: tensor.to(self.world.device) for name, tensor in content["ema"].items()}
        self.step, self.seconds = content["step"], content["seconds"]
        self.unreadable = Counter(content["unreadable"])
        if earlier[VALIDATION] == self.fingerprints[VALIDATION]:
            self.best, self.scores, self.validated = content["best"], content["scores"], content["validated"]
        card = parse_card(content["earlier"])
        self.earlier_phases = card.phases if card is not None else []


def save_state(state: PhaseState, output: Path) -> None:
    """Save the state in ``output``, and delete all but the ``train.keep`` newest states.

    Raises:
        RunStopped: the state cannot be written; earlier states are kept.
    """
    path = states_folder(output) / f"{state.index}_{state.phase.name}_{state.step:06d}.pt"
    buffer = io.BytesIO()  # writing to a file, PyTorch hides why it failed
    torch.save(state.state_dict(), buffer)
    try:
        write_bytes(path, buffer.getbuffer())
    except InputError as error:
        newest = next(iter(list_saved_states(output)), "the beginning, as no state was saved")
        raise RunStopped(f"{error}; the same command resumes from {newest}") from error
    for old in list_saved_states(output)[state.config.train.keep :]:
        old.unlink(missing_ok=True)


def load_state(output: Path, config: Config, phases: Container[int]) -> SavedState | None:
    """Return the newest state in ``output``, or None. ``phases``: indices of the phases to run.

    Raises:
        InputError: the state is damaged, of another phase, or was saved with other settings.
    """
    path = next(iter(list_saved_states(output)), None)
    if path is None:
        return None
    with reading(path, "delete it to resume from the one before it", *MALFORMED):
        content: dict[str, Any] = load_pickle(path)
        settings, index = content["config"], content["phase"]
        content |= {name: rename_old_keys(content[name]) for name in ("model", "ema")}
    saved_settings = flatten_settings(build_config(upgrade_settings(settings), f"{path}: its settings"), index)
    current_settings = flatten_settings(config, index)
    changes = {
        name: (saved_settings.get(name), current_settings.get(name))
        for name in saved_settings | current_settings
        if saved_settings.get(name) != current_settings.get(name)
    }
    for name, (value, _) in changes.items():
        is_fixed = name.endswith(FIXED_SETTINGS) or (name.startswith("model.") and not name.endswith(FREE_SETTINGS))
        if is_fixed:
            raise InputError(f"was saved with {name}={value}", subject=path, remedy="give another train.output")
    if index not in phases:
        name = config.train.phases[index].name
        raise InputError(
            f"holds a state of phase {name}, which train.run leaves out",
            subject=output,
            remedy="give another train.output",
        )
    return SavedState(index, content, changes)


def flatten_settings(config: Config, index: int) -> dict[str, Any]:
    """Return the settings of model, memory and training by name, ``a.b``; of the phases only phase ``index``."""
    train = asdict(config.train)
    train["phases"] = {number: phase for number, phase in enumerate(train["phases"]) if number == index}
    settings = {"model": asdict(config.model), "memory": asdict(config.memory), "train": train}
    return dict(item for name, values in settings.items() for item in _flatten(values, name))


def _flatten(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dicts and lists with their names."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        yield name, value
        return
    for key, item in value.items():
        yield from _flatten(item, f"{name}.{key}")


def states_folder(output: Path) -> Path:
    """Return the folder of a run's states."""
    return output / "states"


def list_saved_states(output: Path) -> list[Path]:
    """Return the saved states of a run, newest first; other files are ignored."""
    matches = [(STATE_NAME.fullmatch(path.name), path) for path in states_folder(output).glob("*.pt")]
    states = [(int(name[1]), int(name[2]), path) for name, path in matches if name is not None]
    return [path for *_, path in sorted(states, reverse=True)]
