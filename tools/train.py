"""Train a model: ``python tools/train.py --config configs/recipes/mini.yaml data.root=FOLDER``."""

from __future__ import annotations

import sys

from configs.load import load_config, to_yaml
from configs.options import add_config_options
from engine.trainer import train
from utils.cli import Parser, command


@command
def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    parser = Parser(prog="train.py", description="Train a model through the phases of a recipe.")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--resume", action="store_true", help="go on from the last saved state")
    add_config_options(parser)
    args = parser.parse_args(argv)
    config = load_config(args.config or "configs/recipes/mini.yaml", args.overrides)
    if args.print_config:
        print(to_yaml(config), end="")
        return 0
    final = train(config, device=args.device, resume=args.resume)
    print(f"trained weights: {final}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
