"""Rules: corrections of predictions by earlier frames."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

from aotlab.configs.schema import RulesConfig
from aotlab.engine.tracking.rules.ownership import ComponentOwnership
from aotlab.engine.tracking.rules.rule import Rule

RULES: dict[str, type[Rule]] = {"ownership": ComponentOwnership}
"""rules by their setting, in the order in which they correct"""


def drop_unavailable_rules(config: RulesConfig) -> RulesConfig:
    """Return the settings without the rules that need OpenCV, if it is missing."""
    return config if find_spec("cv2") else replace(config, ownership=False)


def build_rules(config: RulesConfig) -> list[Rule]:
    """Return the rules of a video that are switched on."""
    return [rule() for name, rule in RULES.items() if getattr(config, name)]
