"""What tracks: a model, a memory policy and a precision, each chosen from a list that the program made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aotlab.utils.errors import InputError

Offered = Mapping[str, str]
"""What a person reads of each value"""


@dataclass
class TrackerChoice:
    """The values of model, policy and precision that are offered, and those that are chosen.

    A page names a value of a list, never a path.
    """

    offered: Mapping[str, Offered]
    """by setting, then by value"""
    chosen: dict[str, str]
    """by setting"""

    def choose(self, changes: Mapping[str, Any]) -> None:
        """Set some of them; raises `InputError` for a setting or value that is not offered, and sets none then."""
        for name, value in changes.items():
            if name not in self.offered:
                raise InputError(
                    f"{str(name)[:40]!r}: no such setting; give one of {', '.join(self.offered) or 'none'}"
                )
            if not isinstance(value, str) or value not in self.offered[name]:
                raise InputError(
                    f"{name} {str(value)[:40]!r}: not offered; give one of {', '.join(self.offered[name])}"
                )
        self.chosen.update(changes)

    def describe(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            name: {
                "chosen": self.chosen[name],
                "offered": [{"value": value, "text": text} for value, text in values.items()],
            }
            for name, values in self.offered.items()
        }
