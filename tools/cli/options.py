"""Options shared by commands: each has one name, one meaning and one help text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from aotlab.configs.protocol import with_protocol
from aotlab.configs.schema import BOUNDED_POLICIES, POLICIES, Config
from aotlab.configs.training import PRECISIONS
from aotlab.tools.cli.numbers import INTEGER
from aotlab.tools.cli.program import argument_type
from aotlab.utils.errors import InputError
from aotlab.utils.numbers import COUNT, POSITIVE, read_number
from aotlab.utils.text import byte_count, size_text


def checkpoint(text: str) -> Path:
    """Return the file of a path, hf://owner/repository, or name of published weights, fetched on first use."""
    from aotlab.networks.weights.zoo import resolve

    return resolve(text)


CHECKPOINT = argument_type(checkpoint)


BYTES = argument_type(byte_count)
SIZE = argument_type(size_text)
Options = argparse._ActionsContainer
"""a parser, or a group of its options"""


def add_checkpoint_option(options: Options, *, several: str | None = None, untrained: bool = False) -> None:
    """Add ``--checkpoint``.

    Args:
        several: what repeating the option means; None: it is given once.
        untrained: whether ``--config`` without a checkpoint means random weights.
    """
    repeated = f"; may be repeated: {several}" if several else ""
    random = "; random weights if only --config is given" if untrained else ""
    options.add_argument(
        "--checkpoint",
        type=CHECKPOINT,
        action="append" if several else "store",
        metavar="FILE|NAME",
        help=f"weights: a file, or a name of `aotlab weights`{repeated} (default: the bundled model{random})",
    )


def add_config_options(
    parser: argparse.ArgumentParser,
    options: Options | None = None,
    *,
    several: bool = False,
    unset: str = "the checkpoint's",
) -> None:
    """Add ``--config`` (``several``: a list), ``--print-config`` and the ``key=value`` overrides.

    ``unset``: the settings of a command line without ``--config``, as the help states them.
    """
    options = parser if options is None else options
    options.add_argument(
        "--config",
        metavar="NAME",
        action="append" if several else "store",
        help=f"preset (aott, aotl, r50_aotl, ...) or YAML file with the settings (default: {unset})",
    )
    options.add_argument("--print-config", action="store_true", help="print the resolved settings and stop")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings to change, for example memory.every=2"
    )


def add_model_options(
    parser: argparse.ArgumentParser,
    *,
    several: str | None = None,
    several_configs: bool = False,
    untrained: bool = False,
) -> None:
    """Add the group "model": ``--checkpoint``, ``--config``, ``--print-config`` and overrides.

    Arguments as `add_checkpoint_option`; ``several_configs``: ``--config`` may be repeated too.
    """
    group = parser.add_argument_group("model")
    add_checkpoint_option(group, several=several, untrained=untrained)
    add_config_options(parser, group, several=several_configs)


def add_device_option(options: Options) -> None:
    """Add ``--device``."""
    options.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps")


def add_precision_option(options: Options) -> None:
    """Add ``--precision``."""
    options.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="sets the precision of the computation; auto: bfloat16 if it is faster here (default: as in the settings)",
    )


def add_depth_option(options: Options) -> None:
    """Add ``--depth``, an int, or for ``auto:FPS`` the rate as a float."""
    options.add_argument(
        "--depth",
        type=argument_type(_depth),
        metavar="N|auto:FPS",
        help="blocks to use of an AOST model; auto:FPS: the most that keep up with FPS, measured on the first frame "
        "with a mask (default: all)",
    )


def _depth(text: str) -> int | float:
    rate = text.removeprefix("auto:")
    return float(read_number(rate, POSITIVE)) if rate != text else int(read_number(text, COUNT))


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add the group "device and precision"."""
    group = parser.add_argument_group("device and precision")
    add_device_option(group)
    add_precision_option(group)


def add_output_options(parser: argparse.ArgumentParser, what: str, *, restart: bool = False) -> None:
    """Add the group "output", in which ``--output`` is described by ``what``; ``restart``: the command resumes."""
    group = parser.add_argument_group("output")
    group.add_argument("--output", type=Path, metavar="DIR", help=what)
    add_force_option(group)
    if restart:
        add_restart_option(group)


def add_force_option(options: Options) -> None:
    """Add ``--force``."""
    options.add_argument("--force", action="store_true", help="replace existing results of another run")


def add_restart_option(options: Options) -> None:
    """Add ``--restart``."""
    options.add_argument("--restart", action="store_true", help="start over instead of resuming")


def add_dry_run_options(options: Options) -> None:
    """Add ``--dry-run`` and ``--gpu-memory``."""
    options.add_argument(
        "--dry-run", action="store_true", help="check all inputs, forecast time and memory, and write nothing"
    )
    options.add_argument(
        "--gpu-memory",
        type=BYTES,
        metavar="SIZE",
        help="with --dry-run: what fits a GPU of this size, for example 24GB; needs none",
    )


def add_levels_option(options: Options) -> None:
    """Add ``--levels``."""
    options.add_argument(
        "--levels",
        metavar="auto|LOW,HIGH",
        help="values shown as black and white in all frames of an image folder or TIFF stack; auto: percentiles of the "
        "video (default: 8-bit images unchanged, others auto)",
    )


def add_dataset_options(
    parser: argparse.ArgumentParser, names: Sequence[str], *, split: str | None, required: bool = True
) -> argparse._ArgumentGroup:
    """Add the group "benchmark": ``--dataset``, ``--root`` and ``--split``; return it for more.

    Args:
        split: default; None: the split that the server scores.
        required: whether ``--dataset`` must be given.
    """
    group = parser.add_argument_group("benchmark")
    group.add_argument("--dataset", metavar="NAME", required=required, help=f"one of {', '.join(names)}")
    group.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="folder of the data set (default: $AOTLAB_<NAME>, else in $AOTLAB_DATA or ./datasets)",
    )
    server = "" if split else " (default: the one the server scores)"
    group.add_argument("--split", default=split, metavar="NAME", help=f"train, val, test, ...{server}")
    return group


def add_memory_options(parser: argparse.ArgumentParser, *, bounded: bool, budget: bool = False) -> None:
    """Add the group "memory": ``--memory`` and ``--memory-frames``, with ``budget`` also ``--memory-budget``.

    ``bounded``: whether the command bounds memory by itself.
    """
    group = parser.add_argument_group("memory")
    replaced = ", but restricted instead of every_nth" if bounded else ""
    group.add_argument(
        "--memory",
        metavar="POLICY",
        help=f"sets memory.policy: {', '.join(POLICIES)} (default: as in the settings{replaced})",
    )
    size = group.add_mutually_exclusive_group()
    size.add_argument(
        "--memory-frames",
        type=INTEGER,
        metavar="N",
        help="sets memory.frames: most frames in long-term memory, the reference frame included (default: as in the "
        "settings)",
    )
    if budget:
        size.add_argument(
            "--memory-budget",
            type=BYTES,
            metavar="SIZE",
            help="store as many frames as fit, for example 2GB",
        )


WITHOUT_NEWEST = "memory.newest=null"
"""the override by which `memory.frames` alone sets how many frames are kept"""


SIZES = {"fast": 0.6, "balanced": 0.8, "full": 1.0}
"""names of ``--size`` to `input.scale`"""


def add_size_option(options: Options) -> None:
    """Add ``--size``."""
    options.add_argument(
        "--size",
        choices=SIZES,
        help="sets input.scale to 0.6, 0.8 or 1: smaller is faster and less accurate (default: full)",
    )


def size_overrides(args: argparse.Namespace) -> list[str]:
    """Return the settings that ``--size`` stands for."""
    return [] if args.size is None else [f"input.scale={SIZES[args.size]}"]


def option_overrides(args: argparse.Namespace, *, precision: str = "compute.precision") -> list[str]:
    """Return the settings that ``--memory``, ``--memory-frames``, ``--precision`` and a fixed ``--depth`` stand for.

    A number of frames replaces a model's `memory.newest`. ``precision``: key that ``--precision`` sets.
    """
    depth = getattr(args, "depth", None)
    given = {
        "model.depth": None if isinstance(depth, float) else depth,
        "memory.policy": getattr(args, "memory", None),
        "memory.frames": getattr(args, "memory_frames", None),
        precision: getattr(args, "precision", None),
    }
    overrides = [f"{key}={value}" for key, value in given.items() if value is not None]
    return overrides if given["memory.frames"] is None else [*overrides, WITHOUT_NEWEST]


def require_bounded(config: Config, option: str) -> None:
    """Raise `InputError` if ``config`` has a policy that does not read ``option``."""
    if config.memory.policy not in BOUNDED_POLICIES:
        raise InputError(
            f"{option}: no effect with memory.policy {config.memory.policy}, which keeps all frames; "
            f"add --memory with one of {', '.join(BOUNDED_POLICIES)}"
        )


def bounded_settings(checkpoint: Path, config: str | None, overrides: Sequence[str]) -> Config:
    """Return the settings of a tracker with bounded long-term memory; raise `InputError` as `read_settings` does."""
    from aotlab.networks.weights.checkpoints import read_settings

    return with_protocol(read_settings(checkpoint, config=config, overrides=overrides), "bounded", overrides)


def print_settings(settings: Config) -> None:
    """Print settings as YAML, for ``--print-config``."""
    from aotlab.configs.load import to_yaml

    print(to_yaml(settings), end="")
