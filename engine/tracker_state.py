"""A tracker in the middle of a video as plain lists, numbers and tensors, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aotlab.engine.memory import MemoryBank
from aotlab.engine.policies import build_policy
from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    from aotlab.engine.tracker import Tracker


def state_of(tracker: Tracker) -> dict[str, Any]:
    """See `Tracker.state_dict`."""
    return {
        "settings": _settings(tracker),
        "length": tracker._length,
        "ids": list(tracker._ids),
        "groups": [(groups.start, groups.stop) for groups in tracker._groups],
        "one_group_at_a_time": tracker.one_group_at_a_time,
        "frame_size": tracker._frame_size,
        "network_size": tracker._network_size,
        "banks": [bank.state_dict() for bank in tracker._banks],
    }


def restore(tracker: Tracker, state: dict[str, Any]) -> None:
    """See `Tracker.load_state_dict`."""
    own, given = _settings(tracker), state.get("settings", {})
    other = sorted(key for key in own if own[key] != given.get(key))
    if other:
        raise InputError(
            f"tracker state: was saved with other settings of {', '.join(other)}; load it with the model, "
            "--config and memory settings that it was saved with"
        )
    tracker.reset(state["length"])
    tracker._ids = list(state["ids"])
    tracker._groups = [range(*pair) for pair in state["groups"]]
    tracker.one_group_at_a_time = state["one_group_at_a_time"]
    tracker._frame_size = state["frame_size"] and tuple(state["frame_size"])
    tracker._network_size = tuple(state["network_size"])
    memory = tracker.config.memory
    for bank_state in state["banks"]:
        policy = build_policy(memory, length=state["length"])
        bank = MemoryBank(policy, memory.short_term_skip, memory.short_term_frames)
        bank.load_state_dict(bank_state, tracker.device)
        tracker._banks.append(bank)


def _settings(tracker: Tracker) -> dict[str, Any]:
    """What must be the same for a state to mean the same."""
    config = tracker.config
    return {"model": asdict(config.model), "memory": asdict(config.memory), "input": asdict(config.input)}
