"""Train a model: ``aotlab train --config configs/recipes/mini.yaml data.root=FOLDER``.

On several GPUs or machines: ``torchrun --nproc-per-node 4 -m aotlab.tools.train --device cuda --config ...``.
"""

from __future__ import annotations

import logging
import shlex
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from aotlab.tools.cli.options import (
    add_config_options,
    add_device_options,
    add_shared_options,
    list_overrides,
    print_settings,
)
from aotlab.tools.cli.parser import CommandParser, command, require_model
from aotlab.utils.errors import require_extra
from aotlab.utils.numbers import format_count

if TYPE_CHECKING:
    from aotlab.dataloaders.training.phases import Readers
    from aotlab.engine.training.trainer import TrainResult


RECIPE = "configs/recipes/mini.yaml"


def parse(argv: list[str] | None, recipe: str) -> Namespace:
    """Read the command line."""
    parser = CommandParser("train", "Train a model through the phases of a recipe.")
    add_shared_options(parser, "--dry-run", "--restart")
    add_device_options(parser)
    add_config_options(parser, parser.add_argument_group("model"), unset=recipe)
    args = parser.parse_args(argv)
    for text in args.overrides:
        if text.endswith((".yaml", ".yml")) and "=" not in text:
            parser.error(f"{text}: did you mean --config {text}?")
    args.overrides += list_overrides(args, precision="train.precision")
    return args


def print_result(trained: TrainResult) -> int:
    """Print the file of the weights, and what could not be read; return the exit status."""
    print(f"trained weights: {trained.checkpoint}")
    if not trained.replaced:
        return 0
    items = format_count(len(trained.replaced), "item")
    print(f"{items} could not be read and were replaced by others:", file=sys.stderr)
    for sentence, times in sorted(trained.replaced.items()):
        print(f"  {sentence} (drawn {times} times)", file=sys.stderr)
    return 1


def run(argv: list[str] | None, recipe: str, program: str, readers: Readers | None = None) -> int:
    """Train as the command line says; return the exit status.

    Args:
        recipe: settings without ``--config``.
        program: first words of the command, for the model card.
        readers: readers of training data by ``kind``; None: those of the framework.
    """
    args = parse(argv, recipe)
    recipe = args.config or recipe
    require_model(None, recipe)
    from aotlab.configs.load import load_config

    config = load_config(recipe, args.overrides)
    if args.print_config:
        print_settings(config)
        return 0
    require_extra("train")
    from aotlab.dataloaders.training.phases import READERS
    from aotlab.engine.training.dry_run import dry_run
    from aotlab.engine.training.trainer import train
    from aotlab.utils.devices import reserve_cores
    from aotlab.utils.distributed import join_process_group

    reserve_cores(config.data.workers)
    with join_process_group(args.device) as world:
        if not world.is_main:
            for name in (None, "aotlab"):
                logging.getLogger(name).setLevel(logging.ERROR)
        if args.dry_run:
            report = dry_run(config, world, readers=readers or READERS)
            print(report if world.is_main else "", end="")
            return 0
        typed = shlex.join(sys.argv[1:] if argv is None else argv)
        trained = train(
            config, world, readers=readers or READERS, restart=args.restart, command=f"{program} {typed}"
        )
        return print_result(trained) if world.is_main else 0


@command
def main(argv: list[str] | None = None) -> int:
    """Train; return the exit status."""
    return run(argv, RECIPE, "aotlab train")


if __name__ == "__main__":
    sys.exit(main())
