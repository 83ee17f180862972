"""Train masks from clicks and boxes: ``aotlab train_prompts DATA --output DIR``."""

from __future__ import annotations

import logging
import sys
from argparse import Namespace
from pathlib import Path

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.tools.cli.numbers import AT_LEAST_ONE
from aotlab.tools.cli.options import add_checkpoint_option, add_restart_option
from aotlab.tools.cli.paths import require_model, require_paths
from aotlab.tools.cli.program import Parser, command
from aotlab.utils.files import remove, require_writable


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = Parser("train_prompts", description="Train the prompt network of a tracking model.")
    parser.add_argument("data", type=Path, metavar="DATA", help="folder that holds the recipe's data sets")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for state, log and weights"
    )
    add_restart_option(parser)
    add_checkpoint_option(parser)
    parser.add_argument(
        "--recipe", type=Path, metavar="FILE", help="settings (default: configs/recipes/prompts.yaml)"
    )
    parser.add_argument(
        "--steps", type=AT_LEAST_ONE, metavar="N", help="steps (default: those of the recipe)"
    )
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> int:
    """Train until the last step or Ctrl-C, and write the weights."""
    args = parse(argv)
    require_paths(args.data, *([args.recipe] if args.recipe else []))
    require_model(args.checkpoint, None)
    from aotlab.configs.prompts import RECIPE, load_prompt_training

    training = load_prompt_training(args.recipe or RECIPE, **({"steps": args.steps} if args.steps else {}))
    from aotlab.engine.training.prompt_training import PromptTrainer
    from aotlab.networks.weights.zoo import resolve

    require_writable(args.output)
    if args.restart:
        remove(args.output / "state.pt")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    path = PromptTrainer(
        resolve(args.checkpoint or BUNDLED_CHECKPOINT), args.data, args.output, training
    ).run()
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
