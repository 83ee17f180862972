"""Options of several commands, and checks of their values."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.evaluation.benchmarks import BENCHMARKS, BUILT_IN, find_benchmark, select_videos
from aotlab.media.names import VIDEO_SUFFIXES
from aotlab.tools.cli.command import option_group
from aotlab.tools.cli.types import (
    Checkpoint,
    Choice,
    ConfigFile,
    Device,
    Folder,
    ParsedType,
    TrackerName,
    flag,
    list_option,
    option,
)
from aotlab.utils.shards import Shard
from aotlab.utils.tables import TABLE_FORMATS

if TYPE_CHECKING:
    from aotlab.configs.schema import Config
    from aotlab.dataloaders.labeled_video import Video
    from aotlab.evaluation.benchmark import Benchmark

Decorator = Callable[[Any], Any]

SETTING = re.compile(r"([a-z_][a-z0-9_]*)(\.[a-z0-9_]+)*=.*", re.DOTALL)
"""Syntax of a setting such as ``memory.every=2``."""
SETTINGS_METAVAR = "[KEY=VALUE]..."
SETTINGS_HELP = "settings to change, such as {}; write ./KEY=VALUE for a file of such a name"

device = option(
    "--device", type=Device, default="auto", help="cpu, cuda, cuda:N, mps, or auto: CUDA if available, else the CPU"
)
force_results = flag("--force", "overwrite results of a different run")
force_file = flag("--force", "replace an existing output")
plugin_files = option(
    "--plugin",
    metavar="FILE",
    multiple=True,
    expose_value=False,
    is_eager=True,
    callback=lambda ctx, param, paths: load_plugin_files(ctx, paths),
    help="Python file with your methods, memory policies, encoders, ...; it is run; repeatable",
)
"""Option of commands that load a model or settings; the names in its files exist before other options are read."""
strict = flag("--strict", "refuse a checkpoint if the code of its plug-ins has changed since it was trained")
measure_option = list_option("--measure", "measures of plug-ins to add to the scores, comma-separated")
format_option = option(
    "--format",
    "style",
    type=Choice(TABLE_FORMATS),
    default="text",
    help="format of the table; the best values are bold in latex and markdown, and notes go to standard error unless "
    "it is text",
)


def shard_option(verb: str, items: str) -> Decorator:
    """Return ``--shard``, a `Shard`, or None if unset."""
    return option(
        "--shard",
        metavar="I/N",
        type=ParsedType(Shard.parse),
        help=f"{verb} part I of N of the {items}, counted from 0",
    )


print_config = flag("--print-config", "print the resolved settings and stop")
settings = click.argument("overrides", metavar=SETTINGS_METAVAR, nargs=-1, help=SETTINGS_HELP.format("memory.every=2"))
root = option("--root", type=Folder, help="folder of the data set (default: in $AOTLAB_DATA or ./datasets)")


def dataset_option(*, help: str = "", **attributes: Any) -> Decorator:
    """Return ``--dataset``, the name of a benchmark, or help; None if unset."""
    return option(
        "--dataset",
        metavar="NAME",
        type=Dataset(),
        help=f"{help}one of {', '.join(BUILT_IN)}, or of a plug-in; help describes them",
        **attributes,
    )


class Dataset(click.ParamType):
    """Name of a benchmark; for help, describes all and exits."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value != "help":
            return Choice(tuple(BENCHMARKS), case_sensitive=False).convert(value, param, ctx)
        for benchmark in map(find_benchmark, BENCHMARKS):
            print(benchmark.name)
            if benchmark.source:
                print(f"  home     {benchmark.source}\n  license  {benchmark.license or 'see its home'}")
            print(f"  folder   {benchmark.folder or '--root'}: {benchmark.layout}")
        raise Exit(0)

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:
        return f"give one of {', '.join(BENCHMARKS)}"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        return Choice(tuple(BENCHMARKS)).shell_complete(ctx, param, incomplete)


def is_setting(text: str) -> bool:
    """Return whether an argument is a setting: ``KEY=VALUE`` that begins with a section of `Config`.

    A key of any other section is a misspelled one, unless the text looks like a file: it exists, has a slash or ends
    like a video.
    """
    match = SETTING.fullmatch(text)
    if match is None:
        return False
    from aotlab.configs.schema import Config  # takes as long to import as the rest of a command line

    if match[1] in {"base", *Config.model_fields}:
        return True
    return not ("/" in text or text.lower().endswith(VIDEO_SUFFIXES) or os.path.lexists(text))


def load_plugin_files(ctx: click.Context, paths: Sequence[str]) -> None:
    """Run the files of `plugin_files`, but not while a shell completes a command line."""
    if paths and not ctx.resilient_parsing:
        from aotlab.configs.plugins import load_plugins

        load_plugins(paths)


def checkpoint_option(
    *,
    multiple: str | None = None,
    untrained: bool = False,
    type: click.ParamType = Checkpoint,
    names: str = "`aotlab weights`",
) -> Decorator:
    """Return ``--checkpoint``, by default the bundled one; a tuple if repeatable, None if unset and ``untrained``.

    Args:
        multiple: purpose of repeating the option; None: it is given once.
        untrained: whether it may be unset.
        type: type of its value.
        names: names that it accepts, for the help.
    """
    repetition = f"; repeat it to {multiple}" if multiple else ""
    random = "; --config alone: random weights" if untrained else ""
    return option(
        "--checkpoint",
        type=type,
        multiple=multiple is not None,
        default=None if multiple or untrained else BUNDLED_CHECKPOINT,
        help=f"weights: a file, or a name of {names}{repetition} (default: the bundled model{random})",
    )


def tracker_option(*, multiple: str | None = None) -> Decorator:
    """Return ``--checkpoint`` of commands that run any tracker; see `checkpoint_option`."""
    return checkpoint_option(multiple=multiple, type=TrackerName, names="`aotlab weights` or of a plug-in's tracker")


def config_option(
    *, multiple: bool = False, required: bool = False, name: str = "preset (aott, aotl, r50_aotl, ...)"
) -> Decorator:
    """Return ``--config``, by default the checkpoint's settings unless it is required; ``name``: names for the help."""
    default = "" if required else " (default: the checkpoint's)"
    text = f"{name} or YAML file with the settings{default}"
    return option("--config", type=ConfigFile, multiple=multiple, required=required, help=text)


def tracker_options(*, multiple: str | None = None) -> Decorator:
    """Return the options of a tracker; ``multiple``: as in `checkpoint_option`."""
    return option_group(
        "model", tracker_option(multiple=multiple), config_option(), plugin_files, strict, device, print_config
    )


def print_settings(*settings: Config) -> int:
    """Print the settings of each model as a YAML document, for ``--print-config``; return the exit code."""
    from aotlab.configs.load import to_yaml

    print("---\n".join(map(to_yaml, settings)), end="")
    return 0


def benchmark_options(*others: Decorator) -> Decorator:
    """Return the options of a benchmark, and others in the same group."""
    return option_group(
        "benchmark",
        dataset_option(),
        root,
        option("--split", metavar="NAME", default="val", help="train, val, test, ..."),
        list_option("--sequence", "sequences to use, comma-separated (default: all)"),
        flag("--new-objects", "with --dataset folder: later masks add objects"),
        flag("--strict-protocol", "score objects that no annotation has, as the public evaluators do"),
        *others,
    )


def open_benchmark(
    dataset: str | None, root: Path | None, split: str, sequence: Sequence[str], flags: Sequence[str],
    measure: Sequence[str],
) -> tuple[Benchmark, list[Video], int]:  # fmt: skip
    """Return the benchmark of a command line, its videos to run on, and the number of videos in the split."""
    if not dataset:
        raise click.UsageError("--dataset: missing; give the benchmark to run on")
    benchmark = find_benchmark(dataset, flags, measures=measure)
    videos = benchmark.open_videos(root, split)
    return benchmark, select_videos(videos, sequence), len(videos)


def explain_no_score(benchmark: Benchmark, root: Path | None, split: str, results: Path) -> str | None:
    """Return why ``aotlab eval`` does not score the results, and what to do; None if it does."""
    if split not in benchmark.server_splits:
        return None
    folder = [] if root is None else ["--root", str(root)]
    files = ["--results", str(results), "--output", str(benchmark.name_submission(results))]
    options = shlex.join(["--dataset", benchmark.name, *folder, "--split", split, *files])
    reason = f"the masks of {benchmark.name} {split} are not public"
    return f"{reason}; write what is submitted with: aotlab submit {options}"
