"""Train a model: ``aotlab train --config configs/recipes/mini.yaml data.root=FOLDER``.

On several GPUs or machines: ``torchrun --nproc-per-node 4 -m aotlab.tools.train --device cuda --config ...``.
"""

from __future__ import annotations

import logging
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

import click
from click import UsageError

from aotlab.tools.cli.command import Command, command, group
from aotlab.tools.cli.options import (
    config_option,
    device_options,
    dry_run,
    list_overrides,
    print_config,
    print_settings,
    restart,
    settings,
)
from aotlab.utils.errors import require_extra
from aotlab.utils.numbers import format_count

if TYPE_CHECKING:
    from aotlab.dataloaders.training.phases import Readers
    from aotlab.engine.training.trainer import TrainResult


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


def run(args: Namespace, recipe: str, readers: Readers | None) -> int:
    """Train through the phases of a recipe; return the exit status."""
    for text in args.overrides:
        if text.endswith((".yaml", ".yml")) and "=" not in text:
            raise UsageError(f"{text}: did you mean --config {text}?")
    from aotlab.configs.load import load_config

    config = load_config(
        args.config or recipe, [*args.overrides, *list_overrides(args, precision="train.precision")]
    )
    if args.print_config:
        print_settings(config)
        return 0
    require_extra("train")
    from aotlab.dataloaders.training.phases import READERS
    from aotlab.engine.training.dry_run import dry_run as estimate_run
    from aotlab.engine.training.trainer import train
    from aotlab.utils.devices import reserve_cores
    from aotlab.utils.distributed import join_process_group

    reserve_cores(config.data.workers)
    with join_process_group(args.device) as world:
        if not world.is_main:
            for name in (None, "aotlab"):
                logging.getLogger(name).setLevel(logging.ERROR)
        if args.dry_run:
            report = estimate_run(config, world, readers=readers or READERS)
            print(report if world.is_main else "", end="")
            return 0
        typed = click.get_current_context().meta["command_line"]
        trained = train(config, world, readers=readers or READERS, restart=args.restart, command=typed)
        return print_result(trained) if world.is_main else 0


def train_command(program: str, recipe: str, readers: Readers | None = None) -> Command:
    """Return the command that trains by a recipe.

    Args:
        program: how it is started, such as ``aotlab train``.
        recipe: settings without ``--config``.
        readers: readers of training data by ``kind``; None: those of the framework.
    """

    @command(program, "Train a model through the phases of a recipe.")
    @settings
    @dry_run
    @restart
    @device_options
    @group("model", config_option(unset=recipe), print_config)
    def main(args: Namespace) -> int:
        """Train; return the exit status."""
        return run(args, recipe, readers)

    return main


main = train_command("aotlab train", "configs/recipes/mini.yaml")


if __name__ == "__main__":
    sys.exit(main())
