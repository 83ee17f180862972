"""Choice of model, memory policy and precision for tracking, from lists made by the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aotlab.annotation.protocol import Choice, Setting
from aotlab.utils.errors import InputError


@dataclass
class TrackerChoice:
    """Offered and chosen values of the settings. A page sends a value of a list, never a path."""

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
