"""Models, memory policies and precisions offered by the page, and loading of the chosen tracker."""

from __future__ import annotations

import contextlib
import threading
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.protocol import BOUNDED_POLICY
from aotlab.configs.schema import POLICIES
from aotlab.configs.training import PRECISIONS
from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    from aotlab.annotation.session import TrackerChoice
    from aotlab.engine.tracker import Tracker

OWN = "own"
"""value that keeps the setting of the model and command line"""


def offered_models(args: Namespace) -> dict[str, Path]:
    """Return the checkpoints that the page offers by name: given ones, the bundled one, and fetched weights."""
    from aotlab.networks.weights.zoo import published_weights, weights_folder

    models: dict[str, Path] = {}
    for path in [*args.checkpoint, BUNDLED_CHECKPOINT]:
        if path not in models.values():
            models[path.stem if path.stem not in models else str(path)] = path
    for name in published_weights():
        path = weights_folder() / f"{name}.safetensors"
        if path.is_file() and path not in models.values():
            models.setdefault(name, path)
    return models


def tracker_choice(args: Namespace) -> TrackerChoice:
    """Return what the page offers, and what the command line chose."""
    from aotlab.annotation.session import TrackerChoice

    models = {
        name: "the bundled model" if path == BUNDLED_CHECKPOINT else name
        for name, path in offered_models(args).items()
    }
    policies = {OWN: f"the model's own, or {BOUNDED_POLICY}"} | {name: name for name in POLICIES}
    precisions = {OWN: "as started"} | {name: name for name in PRECISIONS}
    chosen = {"model": next(iter(models)), "policy": args.memory or OWN, "precision": OWN}
    if chosen["policy"] not in policies:
        raise InputError(f"--memory {args.memory}: give one of {', '.join(POLICIES)}")
    return TrackerChoice({"model": models, "policy": policies, "precision": precisions}, chosen)


class Loading:
    """Loader of the chosen tracker; keeps the last one."""

    def __init__(self, args: Namespace, choice: TrackerChoice) -> None:
        self._args, self._choice = args, choice
        self._models = offered_models(args)
        self._lock = threading.Lock()
        self._loaded: tuple[dict[str, str], Tracker] | None = None

    def __call__(self) -> Tracker:
        """Return the tracker; raise `InputError` if it cannot be loaded."""
        from aotlab.engine.tracker import Tracker

        with self._lock:
            chosen = dict(self._choice.chosen)
            if self._loaded is None or self._loaded[0] != chosen:
                self._loaded = None  # before the next one takes its memory
                checkpoint = self._models[chosen["model"]]
                config = self._args.config if checkpoint in self._args.checkpoint else None
                overrides = self._overrides(chosen)
                tracker = Tracker.from_checkpoint(
                    checkpoint, config=config, overrides=overrides, device=self._args.device
                )
                self._loaded = chosen, tracker
            return self._loaded[1]

    def ahead(self) -> threading.Thread:
        """Start loading in a thread, so that the first job need not wait; that job reports errors.

        Join the thread before Python exits: PyTorch aborts a program that ends while it is being loaded.
        """

        def load() -> None:
            with contextlib.suppress(InputError):
                self()

        thread = threading.Thread(target=load, name="load", daemon=True)
        thread.start()
        return thread

    def _overrides(self, chosen: dict[str, str]) -> list[str]:
        """Return the overrides of the command line, then the chosen ones."""
        keys = {"policy": "memory.policy", "precision": "compute.precision"}
        picked = [f"{key}={chosen[name]}" for name, key in keys.items() if chosen[name] != OWN]
        return [*self._args.overrides, *picked]
