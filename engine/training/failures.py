"""Failures of training: the saved state and the message of a run that stops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aotlab.engine.training.journal import Journal
from aotlab.engine.training.state import NonFiniteError, PhaseState, save_state
from aotlab.utils.distributed import Distributed
from aotlab.utils.errors import InputError, RunStopped, is_out_of_memory
from aotlab.utils.signals import StopFlag


class Interrupted(RunStopped):
    """Ctrl-C or a signal, detected by all ranks after the same step."""


def stop_if_interrupted(stop: StopFlag, world: Distributed) -> None:
    """Raise `Interrupted` on all ranks if one of them has a signal."""
    if world.mean([float(stop.is_set())])[0] > 0:
        raise Interrupted("interrupted", signal_number=stop.signal_number)


@contextmanager
def save_on_failure(state: PhaseState, journal: Journal, output: Path) -> Iterator[None]:
    """On an error in the block, save the state and raise `RunStopped`; bad input before the first step is re-raised."""
    try:
        yield
    except (InputError, MemoryError, RuntimeError) as error:
        reason = describe_failure(error, state)
        if reason is None:
            raise
        journal.log_line({"event": "stopped", "phase": state.phase.name, "step": state.step, "reason": reason})
        number = error.signal_number if isinstance(error, Interrupted) else None
        if isinstance(error, NonFiniteError | Interrupted) and not state.world.is_main:
            # the main rank saves; otherwise it may be lost, and every rank saves
            raise RunStopped(reason, signal_number=number) from error
        try:
            save_state(state, output)
            outcome = (
                f"the state after step {state.step} of {state.phase.name} is saved in {output}, "
                "the same command resumes from it"
            )
        except RunStopped as failure:
            outcome = str(failure)
        raise RunStopped(f"{reason}; {outcome}", signal_number=number) from error


def describe_failure(error: BaseException, state: PhaseState) -> str | None:
    """Return why a run stops, or None for bad input before the first step and for internal errors."""
    if isinstance(error, NonFiniteError):
        return f"{error}; train.max_nonfinite_steps=5 skips up to 5 such steps in a row"
    if isinstance(error, InputError) and state.step == 0 and state.index == 0:
        return None
    if isinstance(error, InputError | RunStopped):
        return str(error)
    if is_out_of_memory(error):
        return "out of memory; raise train.accumulate, or set train.checkpoint_activations=true"
    return None
