"""Models offered by the page, and loading of the chosen tracker."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab import InputError, TrackerOptions, list_models
from aotlab_studio.protocol import Choice, Setting

if TYPE_CHECKING:
    from aotlab import Tracker

_import_lock = threading.Lock()


def import_tracker() -> None:
    """Import PyTorch in one thread at a time: two that import torchvision at once fail with a deadlock."""
    with _import_lock:
        from aotlab import Tracker  # noqa: F401


@dataclass
class TrackerChoice:
    """Offered and chosen settings. A page sends a value of a list, never a path."""

    offered: Mapping[str, Mapping[str, str]]
    """label of each value, by setting and value"""
    chosen: dict[str, str]
    """by setting"""

    def choose(self, changes: Mapping[str, str]) -> None:
        """Set values; raise `InputError`, and change nothing, if one is not offered."""
        for name, value in changes.items():
            if name not in self.offered:
                raise InputError(
                    f"{name[:40]!r}: no such setting; give one of {', '.join(self.offered) or 'none'}"
                )
            if value not in self.offered[name]:
                raise InputError(
                    f"{name} {value[:40]!r}: not offered; give one of {', '.join(self.offered[name])}"
                )
        self.chosen.update(changes)

    def describe(self) -> dict[str, Setting]:
        """Return all settings."""
        return {
            name: Setting(self.chosen[name], [Choice(value, text) for value, text in values.items()])
            for name, values in self.offered.items()
        }


class TrackerLoader:
    """Loader of the chosen tracker; keeps the last one.

    Args:
        options: those of the command line; the page offers their checkpoints and `list_models`.
    """

    def __init__(self, options: TrackerOptions) -> None:
        self._options = options
        known = list_models()
        names = {path: name for name, path in known.items()}
        self._models: dict[str, Path] = {}
        for path in options.checkpoints:
            name = names.get(path, path.stem)
            self._models[name if name not in self._models else str(path)] = path
        for name, path in known.items():
            self._models.setdefault(name, path)
        models = {name: "the bundled model" if name == "bundled" else name for name in self._models}
        self.choice = TrackerChoice({"model": models}, {"model": next(iter(models))})
        self._lock = threading.Lock()
        self._loaded: tuple[dict[str, str], Tracker] | None = None

    def __call__(self) -> Tracker:
        """Return the tracker; raise `InputError` if it cannot be loaded."""
        with self._lock:
            chosen = dict(self.choice.chosen)
            if self._loaded is None or self._loaded[0] != chosen:
                self._loaded = None  # before the next one takes its memory
                checkpoint = self._models[chosen["model"]]
                options = replace(
                    self._options,
                    checkpoints=(checkpoint,),
                    config=self._options.config if checkpoint in self._options.checkpoints else None,
                )
                import_tracker()
                self._loaded = chosen, options.load()
            return self._loaded[1]

    def preload(self) -> threading.Thread:
        """Start loading in a thread, so that the first job need not wait; that job reports errors.

        Join the thread before Python exits: PyTorch aborts a program that ends while it is being loaded.
        """

        def load() -> None:
            with contextlib.suppress(InputError):
                self()

        thread = threading.Thread(target=load, name="load", daemon=True)
        thread.start()
        return thread
