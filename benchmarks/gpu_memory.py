"""Memory of training steps on GPUs of several sizes: ``python -m benchmarks.gpu_memory``.

Prints a Markdown table for all recipes with the same step, from tensors without values; no GPU is needed. A cell holds
the smallest ``train.accumulate`` with which a step fits; * with ``train.checkpoint_activations=true``; - if one clip
does not fit.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from aotlab.configs.files import preset_names
from aotlab.configs.load import load_config
from aotlab.configs.protocol import resolve_training
from aotlab.configs.schema import Config
from aotlab.configs.training import PhaseConfig
from aotlab.engine.memory_forecast import GB, StepForecast, step_forecast

CARDS = (12, 16, 24, 80)
"""sizes in GB"""
RECIPES = ("static", "ytvos", "ytvos_davis", "davis", "vost", "finetune")


def resolved(preset: str, recipe: str) -> tuple[Config, PhaseConfig]:
    """Return the settings of a recipe with a preset, and its last phase; earlier ones have the same step."""
    config = resolve_training(load_config(f"configs/recipes/{recipe}.yaml", [f"base={preset}"]))
    return config, config.train.phases[-1]


def same_steps(recipes: Sequence[str], preset: str) -> dict[str, list[str]]:
    """Return the recipes by the step that they run with a preset, described."""
    found: dict[str, list[str]] = {}
    for recipe in recipes:
        config, phase = resolved(preset, recipe)
        step = (
            f"{phase.batch} clips of {phase.clip_length} frames of {phase.crop}×{phase.crop} pixels "
            f"in {config.train.precision}"
        )
        found.setdefault(step, []).append(recipe)
    return found


def cells(preset: str, recipe: str) -> str:
    """Return the figures of a preset and recipe as cells of the table."""
    config, phase = resolved(preset, recipe)
    plain = step_forecast(config, phase)
    parts = {card: parts_text(plain, phase, card) for card in CARDS}
    if "-" in parts.values():
        saving = step_forecast(
            replace(config, train=replace(config.train, checkpoint_activations=True)), phase
        )
        with_saving = {card: parts_text(saving, phase, card, mark="*") for card in CARDS}
        parts = {card: with_saving[card] if cell == "-" else cell for card, cell in parts.items()}
    figures = f"{plain.peak(phase.batch) / GB:.1f} | {plain.fixed / GB:.2f} | {plain.per_clip / GB:.2f}"
    return f"{figures} | {' | '.join(parts.values())}"


def parts_text(forecast: StepForecast, phase: PhaseConfig, card: int, mark: str = "") -> str:
    """Return the smallest number of parts that fits a card of so many GB."""
    parts = forecast.parts(phase.batch, int(card * GB))
    return f"{parts}{mark}" if parts else "-"


def table(presets: Sequence[str], recipe: str) -> str:
    """Return the table of a recipe; presets with the same figures share a row."""
    rows: dict[str, list[str]] = {}
    for preset in presets:
        rows.setdefault(cells(preset, recipe), []).append(f"`{preset}`")
    cards = " | ".join(f"{card} GB" for card in CARDS)
    head = [f"| preset | step, GB | fixed, GB | per clip, GB | {cards} |", "|---" * (4 + len(CARDS)) + "|"]
    return "\n".join([*head, *(f"| {', '.join(names)} | {row} |" for row, names in rows.items())])


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", default=preset_names(), help="presets (default: all)")
    parser.add_argument(
        "--recipes", nargs="+", default=RECIPES, help=f"recipes (default: {' '.join(RECIPES)})"
    )
    args = parser.parse_args(argv)
    for step, recipes in same_steps(args.recipes, args.presets[0]).items():
        names = ", ".join(f"`{recipe}`" for recipe in recipes)
        print(f"{names}: {step}\n\n{table(args.presets, recipes[0])}\n", flush=True)


if __name__ == "__main__":
    main()
