"""Options for loading a tracker: checkpoint, settings and device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.networks.weights.zoo import resolve_checkpoint
from aotlab.utils.digests import InputDigests

if TYPE_CHECKING:
    from aotlab.configs.schema import Config
    from aotlab.engine.tracking.tracker import Tracker


@dataclass(frozen=True)
class TrackerOptions:
    """Checkpoint, settings and device of a tracker; `load` and `read_settings` read the checkpoint's file."""

    checkpoint: str | Path = BUNDLED_CHECKPOINT
    """File, folder, name or address, as in `Tracker.from_pretrained`."""
    config: str | None = None
    """Preset or YAML file with the settings; None means the checkpoint's."""
    overrides: Sequence[str] = ()
    """Settings as ``key=value``, kept as a tuple; a single string is accepted."""
    device: str = "auto"
    """Device: auto (CUDA if available, else the CPU), cpu, cuda, cuda:N or mps."""
    plugins: tuple[str | Path, ...] = ()
    """Plug-in files, which every process that loads the tracker runs (`load_plugins`)."""

    def __post_init__(self) -> None:
        overrides = (self.overrides,) if isinstance(self.overrides, str) else tuple(self.overrides)
        object.__setattr__(self, "overrides", overrides)

    def resolve_checkpoint(self) -> Path:
        """Return the checkpoint's file, downloaded on first use; raise `InputError` if that fails."""
        return resolve_checkpoint(self.checkpoint)

    def read_settings(self) -> Config:
        """Return the settings of `load`, with bounded memory, without building the model.

        Raises:
            InputError: the checkpoint or settings cannot be read.
        """
        from aotlab.configs.plugins import load_plugins
        from aotlab.configs.protocol import apply_protocol
        from aotlab.networks.weights.checkpoints import read_settings

        load_plugins(self.plugins)
        path = self.resolve_checkpoint()
        config = read_settings(path, config=self.config, overrides=self.overrides)
        return apply_protocol(config, "bounded", self.overrides)

    def check(self) -> None:
        """Raise `InputError` for a device or settings that `load` would refuse, without loading the model."""
        from aotlab.utils.devices import pick_device

        pick_device(self.device)
        self.read_settings()

    def load(self, overrides: tuple[str, ...] = ()) -> Tracker:
        """Return a tracker, with more overrides; raise `InputError` if it cannot be loaded."""
        from aotlab.configs.plugins import load_plugins
        from aotlab.engine.tracking.tracker import Tracker
        from aotlab.utils.devices import pick_device

        load_plugins(self.plugins)
        pick_device(self.device)  # before the model is read
        return Tracker.from_pretrained(
            self.checkpoint, config=self.config, overrides=(*self.overrides, *overrides), device=self.device
        )


class TrackerLoader:
    """Tracker of one or several jobs, loaded on demand and reloaded if the overrides change."""

    def __init__(self, tracker: TrackerOptions | Tracker) -> None:
        self._tracker = tracker
        load = tracker.load if isinstance(tracker, TrackerOptions) else lambda overrides: tracker
        self.load: Callable[[tuple[str, ...]], Tracker] = lru_cache(1)(load)
        """Return the tracker, with the overrides of a job if it is loaded from options."""

    def fingerprint(self, overrides: tuple[str, ...] = (), digests: InputDigests | None = None) -> dict[str, Any]:
        """Return the weights, the settings in effect and their plug-ins as inputs of a run, without building the model.

        ``digests``: those of the other inputs of the run.

        Raises:
            InputError: the checkpoint or settings cannot be read.
        """
        from aotlab.configs.load import flatten_settings
        from aotlab.configs.plugins import describe_plugins
        from aotlab.engine.hooks.cuts import build_hooks

        tracker, hooks = self._tracker, []
        if isinstance(tracker, TrackerOptions):
            config = replace(tracker, overrides=(*tracker.overrides, *overrides)).read_settings()
            digest = (digests or InputDigests()).digest(tracker.resolve_checkpoint())
        else:
            config = tracker.config
            hooks = [type(hook).__name__ for hook in tracker.hooks[len(build_hooks(config.rules)) :]]
            digest = tracker.checkpoint_digest or str(tracker.fingerprint["weights"])
        sections = {"model", "memory", "input", "rules", "compute", "confidence_temperature"}
        settings = dict(flatten_settings(config.model_dump(include=sections)))
        made_by = {"weights": {"name": config.name, "sha256": digest}, "settings": settings}
        extensions = {"plugins": describe_plugins(config), "hooks": hooks}
        return made_by | {name: value for name, value in extensions.items() if value}
