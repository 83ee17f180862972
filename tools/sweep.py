"""Train and evaluate a model for each combination of values of settings.

aotlab sweep mini memory.frames=1,2,4 train.seed=0,1,2 data.root=FOLDER -- eval --dataset davis2017
aotlab sweep memory.every=2,5 -- eval --dataset davis2017 --checkpoint r50_aotl     # without training
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click import UsageError

from aotlab.tools.cli.command import command, find_command, report_failures
from aotlab.tools.cli.options import device, format_option, open_benchmark, plugin_files, shard_option
from aotlab.tools.cli.processes import run_tool
from aotlab.tools.cli.types import Folder, PositiveInt, flag, option
from aotlab.utils.errors import require
from aotlab.utils.files import require_writable
from aotlab.utils.shards import Shard

if TYPE_CHECKING:
    from aotlab.benchmark.sweep import SweepRun
    from aotlab.utils.tables import TableFormat

OWN_OPTIONS = ("--output", "--config", "--device", "--plugin")
"""Options of eval that a sweep sets."""


def list_commands(
    run: SweepRun, config: str | None, evaluation: tuple[str, ...], device: str
) -> list[tuple[str, list[str]]]:
    """Return the commands of a run with their arguments: train, if there are weights to train, and eval."""
    presets, line = [f"--config={config}"] if config else [], [*evaluation, "--device", device]
    line += ["--output", str(run.results)]
    if run.checkpoint is None:
        return [("eval", [*line, *presets, *run.overrides])]
    training = [*presets, *run.overrides, f"train.output={run.checkpoint.parent}", "--device", device]
    return [("train", training), ("eval", [*line, f"--checkpoint={run.checkpoint}"])]


@command(
    "aotlab sweep",
    epilog="The arguments after -- are those of aotlab eval. A recipe is trained for each combination; without one, "
    "only aotlab eval runs. Both resume what is not finished. Runs that differ only in train.seed are one row of the "
    "table, with their mean and standard deviation.\n\n\b\nExample:\n"
    "  aotlab sweep mini memory.frames=1,2,4 train.seed=0,1,2 -- eval --dataset davis2017",
)
@click.argument(
    "arguments",
    metavar="[CONFIG] KEY=VALUE,VALUE... -- eval ...",
    nargs=-1,
    help="recipe, preset or YAML file; values of settings, and the evaluation",
)
@option("--output", type=Folder, default=Path("results/sweep"), help="folder with a folder for each combination")
@option("--ranks", type=PositiveInt, default=1, help="processes of each command, as of torchrun")
@shard_option("run", "combinations")
@device
@plugin_files
@format_option
@flag("--dry-run", "only print the commands")
def main(
    *, arguments: tuple[str, ...], output: Path, ranks: int, shard: Shard | None, device: str, style: TableFormat,
    dry_run: bool,
) -> int:  # fmt: skip
    if "eval" not in arguments:
        raise UsageError("-- eval: missing; give the evaluation, such as -- eval --dataset davis2017")
    place = arguments.index("eval")
    evaluation, settings = arguments[place + 1 :], [text for text in arguments[:place] if "=" in text]
    configs = [text for text in arguments[:place] if "=" not in text]
    if len(configs) > 1:
        raise UsageError(f"{configs[1]}: not KEY=VALUE; give one CONFIG, and settings")
    from aotlab.benchmark.sweep import list_runs, tabulate_runs

    config = configs[0] if configs else None
    runs = list_runs(config, settings, output)
    own = (*OWN_OPTIONS, *["--checkpoint"] * (runs[0].checkpoint is not None))
    for text in evaluation:
        require(text.partition("=")[0] not in own, "set by the sweep", subject=text, remedy="leave it out")
    with find_command("eval").make_context("aotlab eval", [*evaluation]) as context:  # before hours of training
        given = context.params
        flags = [name for name in ("new_objects", "strict_protocol", "all_frames") if given[name]]
        benchmark, *_ = open_benchmark(
            given["dataset"], given["root"], given["split"], given["sequence"], flags, given["measure"]
        )
    failures = {}
    for run in runs[shard.index :: shard.count] if shard else runs:
        commands = list_commands(run, config, evaluation, device)
        if dry_run:
            print(*(f"aotlab {tool} {' '.join(line)}" for tool, line in commands), sep="\n")
            continue
        require_writable(run.folder)
        try:
            for tool, line in commands:
                run_tool(tool, *line, ranks=ranks)
        except subprocess.CalledProcessError as error:
            failures[str(run.folder)] = f"exit code {error.returncode}"
    if not dry_run:
        print(tabulate_runs(benchmark, runs, style))
    return report_failures(failures)


if __name__ == "__main__":
    raise SystemExit(main())
