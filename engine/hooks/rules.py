"""Hooks that the settings ``rules`` turn on."""

from __future__ import annotations

from aotlab.configs.schema import RulesConfig
from aotlab.engine.hooks.cuts import CutDetection
from aotlab.engine.hooks.hook import Hook


def build_hooks(rules: RulesConfig) -> list[Hook]:
    """Return the hooks of the settings."""
    return [CutDetection(rules.after_cut)] if rules.cuts else []
