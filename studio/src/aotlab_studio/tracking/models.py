"""Models offered by the page, and loading of the chosen tracker."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab import InputError, TrackerOptions, list_models
from aotlab_studio.document.log import digest_values

if TYPE_CHECKING:
    from aotlab import Tracker

_import_lock = threading.Lock()


def import_tracker() -> None:
    """Import PyTorch in one thread at a time: two that import torchvision at once fail with a deadlock."""
    with _import_lock:
        from aotlab import Tracker  # noqa: F401


def describe_model(tracker: Tracker) -> str:
    """Return the name of a tracker's settings, digests of its checkpoint and settings, and the program's version."""
    checkpoint, settings = tracker.checkpoint_digest or "unknown", digest_values(tracker.fingerprint)
    program = f"aotlab {version('aotlab')}"
    return f"{tracker.config.name}, checkpoint {checkpoint[:16]}, settings {settings[:16]}, {program}"


class TrackerLoader:
    """Loader of the model that is chosen in the page; keeps the last tracker. Unusable options raise `InputError`.

    The page offers the checkpoint of the options, which is chosen first, ``checkpoints``, and those of `list_models`.
    """

    def __init__(self, options: TrackerOptions, checkpoints: Sequence[Path] = ()) -> None:
        self._options = options
        self._own = list(dict.fromkeys((options.resolve_checkpoint(), *checkpoints)))
        known_models, self._models = list_models(), dict[str, Path]()
        names = {path: name for name, path in known_models.items()}
        for path in self._own:
            name = names.get(path, path.stem)
            self._models[name if name not in self._models else str(path)] = path
        for name, path in known_models.items():
            self._models.setdefault(name, path)
        self.names = list(self._models)
        """Names of the models to choose from, the first the default."""
        self.chosen = self.names[0]
        self._lock = threading.Lock()
        if options != TrackerOptions(options.checkpoint):  # the default is not checked, as that loads PyTorch
            for path in self._own:
                replace(options, checkpoint=path).check()
        self._loaded: tuple[str, Tracker] | None = None

    def __call__(self) -> Tracker:
        """Return the tracker; raise `InputError` if it cannot be loaded."""
        with self._lock:
            chosen = self.chosen
            if self._loaded is None or self._loaded[0] != chosen:
                self._loaded = None  # before the next one takes its memory
                checkpoint = self._models[chosen]
                config = self._options.config if checkpoint in self._own else None
                import_tracker()
                self._loaded = chosen, replace(self._options, checkpoint=checkpoint, config=config).load()
            return self._loaded[1]

    def choose(self, name: str) -> None:
        """Choose one of ``names``; raise `InputError` for another one, such as a path."""
        if name not in self._models:
            raise InputError(f"model {name[:40]!r}: not offered; give one of {', '.join(self.names)}")
        self.chosen = name

    def preload(self) -> None:
        """Start loading in a thread, so that the first job need not wait; that job reports errors."""

        def load() -> None:
            with contextlib.suppress(InputError):
                self()

        # not a daemon, as Python must wait for it: PyTorch aborts a program that ends while it is being loaded
        threading.Thread(target=load, name="load").start()
