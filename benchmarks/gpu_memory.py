"""Memory of training steps on GPUs of several sizes: ``python -m benchmarks.gpu_memory``.

Prints a Markdown table of presets and recipes, from tensors without values; no GPU is needed. A cell holds the smallest
``train.accumulate`` with which a step fits; * with ``train.checkpoint_activations=true``; - if one clip does not fit.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from aotlab.configs.files import preset_names
from aotlab.configs.load import load_config
from aotlab.configs.published import resolve_training
from aotlab.configs.training import PhaseConfig
from aotlab.engine.memory_forecast import GB, StepForecast, step_forecast

CARDS = (12, 16, 24, 80)
"""sizes in GB"""
RECIPES = ("ytvos_davis", "vost", "finetune")


def row(preset: str, recipe: str) -> str:
    """Return the line of a preset and recipe; phases of one shape count once."""
    config = resolve_training(load_config(f"configs/recipes/{recipe}.yaml", [f"base={preset}"]))
    phase = config.train.phases[-1]
    plain = step_forecast(config, phase)
    cells = {card: parts_text(plain, phase, card) for card in CARDS}
    if "-" in cells.values():
        saving = step_forecast(
            replace(config, train=replace(config.train, checkpoint_activations=True)), phase
        )
        with_saving = {card: parts_text(saving, phase, card, mark="*") for card in CARDS}
        cells = {card: with_saving[card] if cell == "-" else cell for card, cell in cells.items()}
    figures = f"{plain.peak(phase.batch) / GB:.1f} | {plain.fixed / GB:.2f} | {plain.per_clip / GB:.2f}"
    shape = f"{phase.batch} × {phase.clip_length} × {phase.crop}, {config.train.precision}"
    return f"| {preset} | {recipe}: {shape} | {figures} | {' | '.join(cells[card] for card in CARDS)} |"


def parts_text(forecast: StepForecast, phase: PhaseConfig, card: int, mark: str = "") -> str:
    """Return the smallest number of parts that fits a card of so many GB."""
    parts = forecast.parts(phase.batch, int(card * GB))
    return f"{parts}{mark}" if parts else "-"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", default=preset_names(), help="presets (default: all)")
    parser.add_argument(
        "--recipes", nargs="+", default=RECIPES, help=f"recipes (default: {' '.join(RECIPES)})"
    )
    args = parser.parse_args(argv)
    cards = " | ".join(f"{card} GB" for card in CARDS)
    print(f"| preset | recipe: batch × frames × crop | step, GB | fixed, GB | per clip, GB | {cards} |")
    print("|---" * (5 + len(CARDS)) + "|")
    for recipe in args.recipes:
        for preset in args.presets:
            print(row(preset, recipe), flush=True)


if __name__ == "__main__":
    main()
