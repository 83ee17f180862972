"""Options for loading a tracker: checkpoint, settings and device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.networks.weights.zoo import resolve_checkpoint

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
    overrides: tuple[str, ...] = ()
    """Settings as ``key=value``."""
    device: str = "cpu"
    """Cpu, cuda, cuda:N or mps."""

    def resolve_checkpoint(self) -> Path:
        """Return the checkpoint's file, downloaded on first use; raise `InputError` if that fails."""
        return resolve_checkpoint(self.checkpoint)

    def read_settings(self) -> Config:
        """Return the settings of `load`, with bounded memory, without building the model.

        Raises:
            InputError: the checkpoint or settings cannot be read.
        """
        from aotlab.configs.protocol import apply_protocol
        from aotlab.engine.rules.rules import drop_unavailable_rules
        from aotlab.networks.weights.checkpoints import read_settings

        path = self.resolve_checkpoint()
        config = read_settings(path, config=self.config, overrides=self.overrides)
        config = apply_protocol(config, "bounded", self.overrides)
        return replace(config, rules=drop_unavailable_rules(config.rules))

    def check(self) -> None:
        """Raise `InputError` for a device or settings that `load` would refuse, without loading the model."""
        from aotlab.utils.devices import pick_device

        pick_device(self.device)
        self.read_settings()

    def settings_as_yaml(self) -> str:
        """Return the settings as ``--print-config`` prints them; raise `InputError` as `read_settings` does."""
        from aotlab.configs.load import to_yaml

        return to_yaml(self.read_settings())

    def load(self, overrides: tuple[str, ...] = ()) -> Tracker:
        """Return a tracker, with more overrides; raise `InputError` if it cannot be loaded."""
        from aotlab.engine.tracking.tracker import Tracker
        from aotlab.utils.devices import pick_device

        pick_device(self.device)  # before the model is read
        return Tracker.from_pretrained(
            self.checkpoint, config=self.config, overrides=(*self.overrides, *overrides), device=self.device
        )
