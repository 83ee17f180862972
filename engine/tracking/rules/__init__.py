"""Rules: corrections of predictions by earlier frames."""

from __future__ import annotations

from aotlab.configs.schema import RulesConfig
from aotlab.engine.tracking.rules.cuts import CutDetector
from aotlab.engine.tracking.rules.ownership import ComponentOwnership
from aotlab.engine.tracking.rules.rule import Rule

RULES: dict[str, type[Rule]] = {"cuts": CutDetector, "ownership": ComponentOwnership}
"""rules by their setting, in the order in which they correct"""


def build_rules(config: RulesConfig) -> list[Rule]:
    """Return the rules of a video that are switched on."""
    return [rule() for name, rule in RULES.items() if getattr(config, name)]
