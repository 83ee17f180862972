"""Saved states of a run, from which it resumes, also after a failure."""

from __future__ import annotations

import io
import re
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel, NonNegativeInt

from aotlab.configs.files import resolve_path
from aotlab.configs.load import build_config, drop_unknown_records, flatten_settings
from aotlab.configs.schema import Config
from aotlab.engine.training.build import BEST
from aotlab.engine.training.listener import TrainingListener
from aotlab.engine.training.logs import CSV_NAMES, LOG_NAME
from aotlab.engine.training.record import RunRecord
from aotlab.engine.training.state import TrainState
from aotlab.utils.distributed import Distributed
from aotlab.utils.errors import InputError, RunStopped, is_out_of_memory, require
from aotlab.utils.files import reading, write_bytes
from aotlab.utils.signals import StopFlag
from aotlab.utils.versioned_files import load_pickle

STATES = "states"
"""Name of the folder of saved states in that of the run."""
STATE_NAME = re.compile(r"([0-9]+)_.+_([0-9]+)\.pt")
"""Pattern of a state's name: index and name of its phase, and step."""
FREE_SETTINGS = ("model.depth", ".drop_path")
"""Suffixes of model settings that may change when a run is resumed."""
FIXED_SETTINGS = (".freeze_encoder_stages", ".encoder_lr_ratio", ".name", ".weight_decay")
"""Suffixes of training settings that may not change, because the optimizer depends on them."""


class SharedStop(RunStopped):
    """A reason to stop that all ranks detect at the same step."""


class UnsavedStateError(RunStopped):
    """A state cannot be written."""


class StateHead(BaseModel):
    """Values of a state that decide whether it is loaded."""

    config: dict[str, Any]
    phase: NonNegativeInt


class SavedState(NamedTuple):
    """A saved state that fits the settings of a run."""

    content: dict[str, Any]
    """Values of `TrainState.state_dict` and `RunRecord.state_dict`."""
    changes: dict[str, tuple[Any, Any]]
    """Saved and current value of each setting that has changed."""
    path: Path


def stop_if_interrupted(stop: StopFlag, world: Distributed) -> None:
    """Raise `SharedStop` on all ranks if one of them has received a signal."""
    if world.mean([float(stop.is_set())])[0] > 0:
        raise SharedStop("interrupted", signal_number=stop.signal_number)


@contextmanager
def save_on_failure(state: TrainState, record: RunRecord, listeners: Sequence[TrainingListener]) -> Iterator[None]:
    """On an error in the block, save the state and raise `RunStopped`; call `ended` of the listeners in any case.

    Bad input before the first step is raised unchanged.
    """
    reason = None
    try:
        yield
    except (InputError, MemoryError, RuntimeError) as error:
        reason = describe_failure(error, state)
        if reason is None or isinstance(error, UnsavedStateError):
            raise
        number = error.signal_number if isinstance(error, RunStopped) else None
        if isinstance(error, SharedStop) and not state.world.is_main:
            # the main rank saves; otherwise it may be lost, and every rank saves
            raise RunStopped(reason, signal_number=number) from error
        try:
            save_state(state, record, listeners)
            outcome = (
                f"the state after step {state.step} of {state.phase.name} is saved in {state.output}, "
                "the same command resumes from it"
            )
        except UnsavedStateError as failure:
            outcome = str(failure)
        raise RunStopped(f"{reason}; {outcome}", signal_number=number) from error
    finally:
        for listener in listeners:
            listener.ended(state, reason)


def describe_failure(error: BaseException, state: TrainState) -> str | None:
    """Return why a run stops, or None for bad input before the first step and for internal errors."""
    if isinstance(error, InputError) and state.step == 0 and state.index == 0:
        return None
    if isinstance(error, InputError | RunStopped):
        return str(error)
    if is_out_of_memory(error):
        return "out of memory; raise train.accumulate, or set train.checkpoint_activations=true"
    return None


def save_state(state: TrainState, record: RunRecord, listeners: Sequence[TrainingListener] = ()) -> None:
    """Save the state, delete all but the ``train.keep`` newest ones, and call the listeners.

    Raises:
        UnsavedStateError: the state cannot be written; earlier states are kept.
    """
    path = state.output / STATES / f"{state.index}_{state.phase.name}_{state.step:06d}.pt"
    buffer = io.BytesIO()  # writing to a file, PyTorch hides why it failed
    torch.save({**state.state_dict(), **record.state_dict(state)}, buffer)
    try:
        write_bytes(path, buffer.getbuffer())
    except InputError as error:
        newest = next(iter(list_saved_states(state.output)), None)
        remedy = f"the same command resumes from {newest}" if newest else "no state is saved; --restart starts over"
        raise UnsavedStateError(f"{error}; {remedy}") from error
    for old in list_saved_states(state.output)[state.config.train.keep :]:
        old.unlink(missing_ok=True)
    for listener in listeners:
        listener.saved(state, path)


def load_state(output: Path, config: Config, phases: Container[int]) -> SavedState | None:
    """Return the newest state in ``output``, or None in a new folder. ``phases``: indices of the phases to run.

    Raises:
        InputError: the state is damaged, of another phase, or was saved with other settings; or the folder has weights
            or a log, but no state.
    """
    path = next(iter(list_saved_states(output)), None)
    if path is None:
        results = [*output.glob("*.safetensors"), *output.glob(LOG_NAME)]
        require(
            not results,
            f"holds {', '.join(sorted(file.name for file in results))} of an earlier run, but no saved state",
            subject=output,
            remedy="give another train.output, or replace them with --restart",
        )
        return None
    with reading(path, "delete it to resume from the one before it"):
        content: dict[str, Any] = load_pickle(path)
        head = StateHead.model_validate(content)
    settings, index = drop_unknown_records(head.config, path), head.phase
    saved_settings = list_run_settings(build_config(settings, f"{path}: its settings"), index)
    current_settings = list_run_settings(config, index)
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
    return SavedState(content, changes, path)


def list_run_settings(config: Config, index: int) -> dict[str, Any]:
    """Return the settings of model, memory and training by name, ``a.b``; of the phases only phase ``index``."""
    train = config.train.model_dump()
    train["phases"] = {number: phase for number, phase in enumerate(train["phases"]) if number == index}
    settings = {"model": config.model.model_dump(), "memory": config.memory.model_dump(), "train": train}
    return dict(flatten_settings(settings))


def list_saved_states(output: Path) -> list[Path]:
    """Return the saved states of a run, newest first; other files are ignored."""
    matches = [(STATE_NAME.fullmatch(path.name), path) for path in (output / STATES).glob("*.pt")]
    states = [(int(name[1]), int(name[2]), path) for name, path in matches if name is not None]
    return [path for *_, path in sorted(states, reverse=True)]


def list_earlier_files(config: Config, output: Path) -> list[Path]:
    """Return the states, logs and best weights of an earlier run; other files in their folders are kept.

    Raises `InputError` if the new run starts from one of them.
    """
    logs = [output / name for name in (LOG_NAME, *CSV_NAMES.values(), "wandb/wandb-resume.json")]
    logs += (output / "tensorboard").glob("events.out.tfevents.*")
    files = [*logs, output / f"{BEST}.safetensors", *list_saved_states(output)]
    for start in filter(None, (config.train.start_from, config.train.warm_start)):
        is_removed = resolve_path(start).resolve() in {path.resolve() for path in files}
        require(
            not is_removed, "--restart would remove it", subject=start, remedy="copy it, or give another train.output"
        )
    return files
