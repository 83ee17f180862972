"""Hooks that the settings ``rules`` turn on."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

from aotlab.configs.schema import RulesConfig
from aotlab.engine.hooks.cuts import CutDetection
from aotlab.engine.hooks.hook import Hook
from aotlab.engine.hooks.ownership import ComponentOwnership


def build_hooks(rules: RulesConfig) -> list[Hook]:
    """Return the hooks of the settings, in the order in which they run."""
    hooks: list[Hook] = [CutDetection(rules.after_cut)] if rules.cuts else []
    return [*hooks, ComponentOwnership()] if rules.ownership else hooks


def drop_unavailable_rules(rules: RulesConfig) -> RulesConfig:
    """Return the settings without ownership if OpenCV is missing."""
    return rules if find_spec("cv2") else replace(rules, ownership=False)
