"""Parameters, FLOPs, time and memory of a model: ``aotlab profile r50_aotl --device cuda --size 1280x720``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from aotlab.tools.cli.command import command
from aotlab.tools.cli.options import device, format_option, plugin_files, settings
from aotlab.tools.cli.types import ConfigFile, Size, option

if TYPE_CHECKING:
    from aotlab.utils.tables import TableFormat


@command(
    "aotlab profile",
    epilog="encode, propagate, decode and memorize are the steps of a frame with one object and one frame in long-term "
    "memory. Times are medians of ten runs of the optimized model with random weights; MB is the largest size of a "
    "step's tensors at a time, beside weights and inputs, without buffers of kernels.",
)
@click.argument("config", metavar="CONFIG", type=ConfigFile, help="preset (aott, r50_aotl, ...) or YAML file")
@settings
@option("--size", type=Size, default=(854, 480), help="WIDTHxHEIGHT of the frame (default: 854x480)")
@device
@plugin_files
@format_option
def main(*, config: str, overrides: tuple[str, ...], size: tuple[int, int], device: str, style: TableFormat) -> int:
    from aotlab.configs.load import load_config
    from aotlab.tools.cli.model_report import describe_model, measure_steps

    loaded, (width, height) = load_config(config, overrides), size
    costs = measure_steps(loaded, (height, width), device)
    title, table = describe_model(loaded, (height, width), costs, style)
    print(title, file=sys.stdout if style == "text" else sys.stderr)
    print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
