"""A training phase in progress, and its way to disk and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from configs.training import PhaseConfig
from engine.ema import EMA
from networks.vos_model import VOSModel
from utils.files import atomic_path


@dataclass
class Run:
    """A phase in progress."""

    phase: PhaseConfig
    model: VOSModel
    optimizer: torch.optim.AdamW
    ema: EMA
    device: torch.device
    step: int = 0
    """optimiser steps done"""


def save_state(run: Run, output: Path, index: int) -> None:
    """Write all that `restore` needs to ``last.pt``."""
    state = {
        "phase": index,
        "step": run.step,
        "model": run.model.state_dict(),
        "ema": run.ema.shadow,
        "optimizer": run.optimizer.state_dict(),
        "random": torch.get_rng_state(),
    }
    with atomic_path(output / "last.pt") as temporary:
        torch.save(state, temporary)


def load_state(output: Path) -> dict[str, Any] | None:
    """What `save_state` wrote, or None where there is nothing."""
    path = output / "last.pt"
    return torch.load(path, weights_only=True) if path.is_file() else None


def restore(run: Run, state: dict[str, Any]) -> None:
    """Put a phase back to where `save_state` left it."""
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.ema.shadow = state["ema"]
    run.step = state["step"]
    torch.set_rng_state(state["random"])
