"""Models to choose from, and the loader of the chosen tracker."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aotlab import InputError, TrackerOptions, list_models, sdk
from aotlab_studio.document.log import digest_values
from aotlab_studio.protocol import ModelEvent

if TYPE_CHECKING:
    from aotlab import VideoTracker

_import_lock = threading.Lock()


def import_tracker() -> None:
    """Import PyTorch in one thread at a time, as two threads that import torchvision at once cause a deadlock."""
    with _import_lock:
        from aotlab import Tracker  # noqa: F401


class LoadedTracker(NamedTuple):
    """A tracker and its model."""

    tracker: VideoTracker
    model: str
    """Result of `describe_model`."""


def describe_model(name: str, made_by: Mapping[str, Any]) -> str:
    """Return a text that identifies a model: its name, digests of checkpoint and settings, and our version.

    ``made_by``: `TrackerOptions.fingerprint`; without weights, its settings have them.
    """
    weights = made_by.get("weights", {})
    parts = [weights.get("name", name), *([f"checkpoint {weights['sha256'][:16]}"] if "sha256" in weights else [])]
    settings = digest_values({key: value for key, value in made_by.items() if key != "weights"})
    return ", ".join([*parts, f"settings {settings[:16]}", f"aotlab {version('aotlab')}"])


def _check(options: TrackerOptions) -> None:
    """Raise `InputError` for unusable options; only doubtful ones load PyTorch, which takes seconds."""
    if options.device in ("auto", "cpu"):
        with contextlib.suppress(InputError):
            sdk.load_config(options.config or "aott", options.overrides)
            return
    options.check()  # with the settings of the checkpoint


class TrackerLoader:
    """Loads the model that is chosen in the page, and keeps its tracker. Unusable options raise `InputError`.

    The models to choose from are the checkpoint of the options, ``checkpoints``, and those of `list_models`.
    """

    def __init__(self, options: TrackerOptions, checkpoints: Sequence[str | Path] = ()) -> None:
        self._options = options
        known_models, own_models = list_models(), dict[str, str | Path]()
        names: dict[str | Path, str] = {path: name for name, path in known_models.items()}
        for path in dict.fromkeys((options.resolve_checkpoint(), *checkpoints)):
            name = names.get(path, path.stem if isinstance(path, Path) else path)
            own_models[name if name not in own_models else str(path)] = path
            _check(replace(options, checkpoint=path))
        self._own = list(own_models.values())
        self.models = own_models | {name: path for name, path in known_models.items() if name not in own_models}
        """Checkpoints by the name of the model; the first one is the default."""
        self.chosen = next(iter(self.models))
        self.listeners: set[Callable[[ModelEvent], None]] = set()  # called when another model is chosen
        self._lock = threading.Lock()
        self._loaded: tuple[str, LoadedTracker] | None = None

    def __call__(self) -> LoadedTracker:
        """Return the tracker of the chosen model; raise `InputError` if it cannot be loaded."""
        with self._lock:
            chosen = self.chosen
            if self._loaded is None or self._loaded[0] != chosen:
                self._loaded = None  # frees the memory for the next one
                checkpoint = self.models[chosen]
                config = self._options.config if checkpoint in self._own else None
                import_tracker()
                options = replace(self._options, checkpoint=checkpoint, config=config)
                self._loaded = chosen, LoadedTracker(options.load(), describe_model(chosen, options.fingerprint()))
            return self._loaded[1]

    def load_fresh(self) -> LoadedTracker:
        """Return another tracker of the chosen model, for one job; raise `InputError` if it cannot be loaded."""
        loaded = self()
        return loaded._replace(tracker=loaded.tracker.fresh())

    def choose(self, name: str) -> None:
        """Choose one of ``models``; raise `InputError` for any other name."""
        if name not in self.models:
            raise InputError(f"model {name[:40]!r}: not offered; give one of {', '.join(self.models)}")
        self.chosen = name
        for listener in [*self.listeners]:
            listener(ModelEvent(name))

    def preload(self) -> None:
        """Start to load the tracker in a thread. If loading fails, the first job reports the error."""

        def load() -> None:
            with contextlib.suppress(InputError):
                self()

        # not a daemon: a program that ends while PyTorch is being imported would abort
        threading.Thread(target=load, name="load").start()
