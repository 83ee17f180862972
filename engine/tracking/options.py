"""Options for loading a tracker: checkpoint, settings and device."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.networks.weights.zoo import resolve_checkpoint
from aotlab.utils.digests import InputDigests
from aotlab.utils.errors import InputError
from aotlab.utils.plugins import TRACKER_PLUGINS, describe_plugin, find_plugin, find_tracker_plugin

if TYPE_CHECKING:
    from aotlab.configs.protocol import MemoryProtocol
    from aotlab.configs.schema import Config
    from aotlab.engine.tracking.interfaces import TrackerLoader, VideoTracker


@dataclass(frozen=True)
class TrackerOptions:
    """Checkpoint, settings and device of a tracker; `load` reads the checkpoint's file."""

    checkpoint: str | Path = BUNDLED_CHECKPOINT
    """File, folder, name or address, as in `Tracker.from_pretrained`, or name of a plug-in's tracker."""
    config: str | None = None
    """Preset or YAML file with the settings; None means the checkpoint's."""
    overrides: Sequence[str] = ()
    """Settings as ``key=value``, kept as a tuple; a single string is accepted."""
    device: str = "auto"
    """Device: auto (CUDA if available, else the CPU), cpu, cuda, cuda:N or mps."""
    plugins: tuple[str | Path, ...] = ()
    """Plug-in files, which every process that loads the tracker runs (`load_plugins`)."""
    protocol: MemoryProtocol = "bounded"
    """Memory of the paper's benchmarks, ``published``, or for videos of any length, as in `load_model`."""

    def __post_init__(self) -> None:
        overrides = (self.overrides,) if isinstance(self.overrides, str) else tuple(self.overrides)
        object.__setattr__(self, "overrides", overrides)

    def add_overrides(self, overrides: Sequence[str]) -> TrackerOptions:
        """Return the options with more settings, which replace earlier ones."""
        return replace(self, overrides=(*self.overrides, *overrides))

    def resolve_checkpoint(self) -> str | Path:
        """Return the file of a model of aotlab, downloaded on first use, or the name of a plug-in's tracker.

        Raises:
            InputError: no such file or name, or it cannot be downloaded.
        """
        is_plugin = find_tracker_plugin(self.checkpoint) is not None
        return self.checkpoint if is_plugin else resolve_checkpoint(self.checkpoint)

    def read_settings(self) -> Config:
        """Return the settings of a model of aotlab, with the memory of ``protocol``, without building it.

        Raises:
            InputError: the checkpoint or settings cannot be read, or they are of a plug-in's tracker.
        """
        from aotlab.configs.protocol import apply_protocol
        from aotlab.networks.weights.checkpoints import read_settings

        if self.make_plugin_loader() is not None:
            raise InputError("a plug-in's tracker, without a file of settings", subject=self.checkpoint)
        path = resolve_checkpoint(self.checkpoint)
        settings = read_settings(path, config=self.config, overrides=self.overrides)
        return apply_protocol(settings, self.protocol, config=self.config, overrides=self.overrides)

    def make_plugin_loader(self) -> TrackerLoader | None:
        """Return the loader of a plug-in's tracker; None for a model of aotlab.

        Raises:
            InputError: the tracker lacks a setting, or its plug-in is broken.
        """
        from aotlab.configs.plugins import load_plugins

        load_plugins(self.plugins)
        name = find_tracker_plugin(self.checkpoint)
        if name is None:
            return None
        if self.config is not None:
            problem = f"{name} is not a model of aotlab"
            raise InputError(problem, subject=f"--config {self.config}", remedy="leave it out")
        make_loader = find_plugin(TRACKER_PLUGINS, name)
        settings = read_plugin_settings(self.overrides, getattr(make_loader, "settings", ()), name)
        return cast("TrackerLoader", make_loader(str(self.checkpoint), settings, self.device))

    def check(self) -> None:
        """Raise `InputError` for a device or settings that `load` would refuse, without loading the model."""
        from aotlab.utils.devices import pick_device

        pick_device(self.device)
        if self.make_plugin_loader() is None:
            self.read_settings()

    def require_trained_code(self) -> None:
        """Raise `InputError` if the code of the model's plug-ins has changed since it was trained."""
        from aotlab.networks.weights.checkpoints import require_trained_code

        if self.make_plugin_loader() is None and self.config is None:
            require_trained_code(resolve_checkpoint(self.checkpoint), self.overrides)

    def fingerprint(self, digests: InputDigests | None = None) -> dict[str, Any]:
        """Return the weights, the settings in effect and their plug-ins, as `TrackerLoader.fingerprint`.

        Raises:
            InputError: the checkpoint or settings cannot be read.
        """
        if (loader := self.make_plugin_loader()) is not None:
            name = find_tracker_plugin(self.checkpoint) or ""
            return {**loader.fingerprint(digests), "plugins": {"tracker": describe_plugin(TRACKER_PLUGINS, name)}}
        config = self.read_settings()
        return describe_model(config, (digests or InputDigests()).digest(resolve_checkpoint(self.checkpoint)))

    def load(self) -> VideoTracker:
        """Return the tracker; raise `InputError` if it cannot be loaded."""
        from aotlab.engine.tracking.tracker import Tracker
        from aotlab.utils.devices import pick_device

        loader = self.make_plugin_loader()
        pick_device(self.device)  # before the model is read
        if loader is not None:
            return loader.load()
        return Tracker.from_pretrained(
            self.checkpoint, config=self.config, overrides=self.overrides, device=self.device, protocol=self.protocol
        )


def read_plugin_settings(overrides: Sequence[str], accepted: Collection[str], tracker: str) -> dict[str, Any]:
    """Return the values of overrides ``key=value`` by key, checked by the schema of all settings.

    ``accepted``: keys that the plug-in's tracker has; others raise `InputError`.
    """
    from aotlab.configs.load import flatten_settings, load_config

    keys = [override.partition("=")[0] for override in overrides]
    for key in keys:
        if key not in accepted:
            remedy = f"it has {', '.join(sorted(accepted))}" if accepted else "leave it out"
            raise InputError(f"{tracker} has no such setting", subject=key, remedy=remedy)
    values = dict(flatten_settings(load_config(overrides=overrides).model_dump())) if keys else {}
    return {key: values[key] for key in keys}


def describe_tracker(tracker: VideoTracker) -> dict[str, Any]:
    """Return what the masks of a loaded tracker depend on; only the class of one of another kind."""
    from aotlab.engine.hooks.cuts import build_hooks
    from aotlab.engine.tracking.tracker import Tracker

    if not isinstance(tracker, Tracker):
        return {"tracker": f"{type(tracker).__module__}.{type(tracker).__qualname__}"}
    hooks = [type(hook).__name__ for hook in tracker.hooks[len(build_hooks(tracker.config.rules)) :]]
    digest = tracker.checkpoint_digest or str(tracker.fingerprint["weights"])
    return describe_model(tracker.config, digest) | ({"hooks": hooks} if hooks else {})


def describe_model(config: Config, digest: str) -> dict[str, Any]:
    """Return the weights, settings and plug-ins of a model of aotlab; ``digest``: SHA-256 of its checkpoint."""
    from aotlab.configs.load import flatten_settings
    from aotlab.configs.plugins import describe_plugins

    sections = {"model", "memory", "input", "rules", "compute", "confidence_temperature"}
    settings = dict(flatten_settings(config.model_dump(include=sections)))
    made_by = {"weights": {"name": config.name, "sha256": digest}, "settings": settings}
    plugins = describe_plugins(config)
    return made_by | ({"plugins": plugins} if plugins else {})
