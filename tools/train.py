"""Train a model: ``aotlab train --config configs/recipes/mini.yaml data.root=FOLDER``.

On several GPUs or machines: ``torchrun --nproc-per-node 4 -m aotlab train --device cuda --config ...``.
"""

from __future__ import annotations

import logging

import click

from aotlab.tools.cli.command import command, option_group
from aotlab.tools.cli.options import config_option, device, plugin_files, print_config, print_settings, settings
from aotlab.tools.cli.types import flag, list_option
from aotlab.utils.errors import require_modules


@command("aotlab train")
@settings
@flag("--dry-run", "check settings, folders and weights, and estimate the time; `aotlab check-data` reads every file")
@flag("--restart", "start over instead of resuming")
@list_option(
    "--log",
    "logs beside log.jsonl, comma-separated: csv, tensorboard, wandb, of plug-ins (default: tensorboard, if installed)",
)
@option_group(
    "model",
    config_option(name="recipe (finetune, mini, static, davis, ytvos, ytvos_davis, vost)", required=True),
    plugin_files,
    device,
    print_config,
)
def main(
    *, config: str, overrides: tuple[str, ...], print_config: bool, dry_run: bool, restart: bool,
    log: tuple[str, ...], device: str,
) -> int:  # fmt: skip
    from aotlab.configs.load import load_config

    recipe = load_config(config, overrides)
    if print_config:
        return print_settings(recipe)
    require_modules("scipy", "cv2", "pycocotools", "tqdm")
    from aotlab.engine.training.dry_run import dry_run as estimate_run
    from aotlab.engine.training.trainer import train
    from aotlab.utils.devices import leave_cores_free
    from aotlab.utils.distributed import join_process_group

    leave_cores_free(recipe.data.workers)
    with join_process_group(device) as world:
        if not world.is_main:
            for name in (None, "aotlab"):
                logging.getLogger(name).setLevel(logging.ERROR)
        if dry_run:
            report = estimate_run(recipe, world)
            print(report if world.is_main else "", end="")
            return 0
        command_line = click.get_current_context().meta["command_line"]
        record = train(recipe, world, restart=restart, command=command_line, logs=log or None)
        if not world.is_main:
            return 0
        print(f"trained weights: {record.checkpoint}")
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
