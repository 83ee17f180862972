"""Settings as commands use and print them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aotlab.configs.protocol import with_protocol
from aotlab.configs.schema import Config


def bounded_settings(checkpoint: Path, config: str | None, overrides: Sequence[str]) -> Config:
    """Return the settings of a tracker with bounded long-term memory; raise `InputError` as `read_settings` does."""
    from aotlab.networks.weights.checkpoints import read_settings

    return with_protocol(read_settings(checkpoint, config=config, overrides=overrides), "bounded", overrides)


def print_settings(settings: Config) -> None:
    """Print settings as YAML, for ``--print-config``."""
    from aotlab.configs.load import to_yaml

    print(to_yaml(settings), end="")
