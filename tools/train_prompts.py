"""Train masks from clicks and boxes: ``aotlab train_prompts DATA --output DIR``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from aotlab.configs.files import PROMPT_RECIPE
from aotlab.tools.cli.options import add_checkpoint_option, add_shared
from aotlab.tools.cli.parser import AT_LEAST_ONE, CommandParser, command, require_model, require_paths
from aotlab.utils.files import remove, require_writable


@command
def main(argv: list[str] | None = None) -> int:
    """Train until the last step or Ctrl-C, and write the weights."""
    parser = CommandParser("train_prompts", "Train the prompt network of a tracking model.")
    parser.add_argument("data", metavar="DATA", type=Path, help="folder that holds the recipe's data sets")
    parser.add_argument(
        "--output", metavar="DIR", type=Path, required=True, help="folder for state, log and weights"
    )
    add_shared(parser, "--restart")
    add_checkpoint_option(parser)
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        type=Path,
        default=PROMPT_RECIPE,
        help="settings (default: configs/recipes/prompts.yaml)",
    )
    parser.add_argument(
        "--steps", metavar="N", type=AT_LEAST_ONE, help="steps (default: those of the recipe)"
    )
    args = parser.parse_args(argv)
    require_paths(args.data, args.recipe)
    require_model(args.checkpoint, None)
    from aotlab.configs.prompts import load_prompt_training

    training = load_prompt_training(args.recipe, **({"steps": args.steps} if args.steps else {}))
    from aotlab.engine.training.prompt_training import PromptTrainer

    require_writable(args.output)
    if args.restart:
        remove(args.output / "state.pt")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    print(PromptTrainer(args.checkpoint, args.data, args.output, training).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
