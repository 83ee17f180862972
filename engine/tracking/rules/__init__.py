"""Rules: corrections of predictions by earlier frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from aotlab.configs.schema import RulesConfig
from aotlab.engine.tracking.objects import ObjectTable
from aotlab.engine.tracking.rules.cuts import CutDetector
from aotlab.engine.tracking.rules.ownership import ComponentOwnership
from aotlab.engine.tracking.rules.rule import Rule

RULES: dict[str, type[Rule]] = {"cuts": CutDetector, "ownership": ComponentOwnership}
"""rules by their setting, in the order in which they correct"""


class Rules:
    """The rules of a video; methods as `Rule`."""

    def __init__(self, config: RulesConfig) -> None:
        self.active = [rule() for name, rule in RULES.items() if getattr(config, name)]

    def is_cut(self, frame: np.ndarray) -> bool:
        """Return whether a rule finds a cut before a frame."""
        return any(rule.is_cut(frame) for rule in self.active)

    def correct(
        self, frame: np.ndarray, logits: Tensor, channels: Tensor, objects: ObjectTable, *, cut: bool
    ) -> Tensor:
        """Apply the corrections of all rules in order; return the channels."""
        for rule in self.active:
            channels = rule.correct(frame, logits, channels, objects, cut=cut)
        return channels

    def observe(
        self, frame: np.ndarray, channels: Tensor, objects: ObjectTable, given: Sequence[int], *, cut: bool
    ) -> None:
        """Show a stored frame to all rules."""
        for rule in self.active:
            rule.observe(frame, channels, objects, given, cut=cut)

    def forget(self, object_id: int) -> None:
        """Forget an object in all rules."""
        for rule in self.active:
            rule.forget(object_id)
