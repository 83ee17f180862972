"""Options shared by commands: each has one name, one meaning and one help text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.protocol import apply_protocol
from aotlab.configs.schema import BOUNDED_POLICIES, POLICIES, Config
from aotlab.configs.training import PRECISIONS
from aotlab.tools.cli.parser import (
    AT_LEAST_ONE,
    DEVICE,
    INTEGER,
    CommandParser,
    Options,
    argument_type,
    list_type,
)
from aotlab.utils.errors import InputError
from aotlab.utils.numbers import parse_bytes, parse_size

if TYPE_CHECKING:
    from aotlab.engine.tracking.options import TrackerOptions


def parse_checkpoint(text: str) -> Path:
    """Return the file of a path, hf://owner/repository, or name of published weights, fetched on first use."""
    from aotlab.networks.weights.zoo import resolve_checkpoint

    return resolve_checkpoint(text)


CHECKPOINT = argument_type(parse_checkpoint)
BYTES = argument_type(parse_bytes)
SIZE = argument_type(parse_size)
WITHOUT_NEWEST = "memory.newest=null"
"""the override by which `memory.frames` alone sets how many frames are kept"""

PLACES = (
    "FRAME and ID: [FRAME][:ID]= before a value names its frame and its object, as in 40=FILE, :2=X,Y and 40:2=X,Y,W,H "
    "(default: the first frame, object 1). Lists are comma-separated, and an option that is given again adds to them."
)
"""end of the help of commands with frames and objects"""

SHARED_OPTIONS: dict[str, dict[str, Any]] = {
    "--device": {"default": "cpu", "type": DEVICE, "help": "cpu, cuda, cuda:N or mps"},
    "--precision": {
        "choices": PRECISIONS,
        "help": "sets the precision of the computation; auto: bfloat16 if the processor computes it (default: as in "
        "the settings)",
    },
    "--depth": {
        "metavar": "N",
        "type": AT_LEAST_ONE,
        "help": "blocks to use of an AOST model (default: all)",
    },
    "--force": {"action": "store_true", "help": "replace existing results of another run"},
    "--restart": {"action": "store_true", "help": "start over instead of resuming"},
    "--dry-run": {
        "action": "store_true",
        "help": "check all inputs and write nothing; in training, estimate the time of the run",
    },
    "--levels": {
        "metavar": "auto|LOW,HIGH",
        "help": "values shown as black and white in all frames of an image folder or TIFF stack; auto: percentiles of "
        "the video (default: 8-bit images unchanged, others auto)",
    },
    "--segmenter": {
        "metavar": ("ENCODER", "DECODER"),
        "nargs": 2,
        "type": Path,
        "help": "SAM-like segmenter as two ONNX files (default: the model's own)",
    },
    "--segmenter-plugin": {"metavar": "NAME", "help": "segmenter of an installed package"},
    "--sequence": {
        "metavar": "LIST",
        "action": "extend",
        "type": list_type(str),
        "help": "use these sequences only, comma-separated",
    },
    "--new-objects": {"action": "store_true", "help": "folder: later masks add objects"},
}
"""parameters of ``add_argument`` by option"""


def add_shared_options(to: Options, *names: str) -> None:
    """Add options of `SHARED_OPTIONS`."""
    for name in names:
        to.add_argument(name, **SHARED_OPTIONS[name])


def add_checkpoint_option(to: Options, *, several: str | None = None, untrained: bool = False) -> None:
    """Add ``--checkpoint``, by default the bundled one; None if it is repeated or ``untrained``.

    Args:
        several: what repeating the option means; None: it is given once.
        untrained: whether ``--config`` without a checkpoint means random weights.
    """
    repeated = f"; may be repeated: {several}" if several else ""
    random = "; random weights if only --config is given" if untrained else ""
    to.add_argument(
        "--checkpoint",
        metavar="FILE|NAME",
        type=CHECKPOINT,
        action="append" if several else "store",
        default=None if several or untrained else BUNDLED_CHECKPOINT,
        help=f"weights: a file, or a name of `aotlab weights`{repeated} (default: the bundled model{random})",
    )


def add_config_options(
    parser: CommandParser, to: Options, *, several: bool = False, unset: str = "the checkpoint's"
) -> None:
    """Add ``--config`` (``several``: a list), ``--print-config`` and the ``key=value`` overrides.

    ``unset``: the settings of a command line without ``--config``, as the help states them.
    """
    to.add_argument(
        "--config",
        metavar="NAME",
        action="append" if several else "store",
        help=f"preset (aott, aotl, r50_aotl, ...) or YAML file with the settings (default: {unset})",
    )
    to.add_argument("--print-config", action="store_true", help="print the resolved settings and stop")
    parser.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        help="settings to change, for example memory.every=2; a file of such a name is given as ./name",
    )


def add_model_options(
    parser: CommandParser,
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


def add_device_options(parser: CommandParser) -> None:
    """Add the group "device and precision"."""
    add_shared_options(parser.add_argument_group("device and precision"), "--device", "--precision")


def add_memory_options(parser: CommandParser, *, bounded: bool, budget: bool = False) -> None:
    """Add the group "memory": ``--memory`` and ``--memory-frames``, with ``budget`` also ``--memory-budget``.

    ``bounded``: whether the command bounds memory by itself.
    """
    group = parser.add_argument_group("memory")
    replaced = ", but restricted instead of every_nth" if bounded else ""
    group.add_argument(
        "--memory",
        metavar="POLICY",
        choices=POLICIES,
        help=f"sets memory.policy: {', '.join(POLICIES)} (default: as in the settings{replaced})",
    )
    size = group.add_mutually_exclusive_group()
    size.add_argument(
        "--memory-frames",
        metavar="N",
        type=INTEGER,
        help="sets memory.frames: most frames in long-term memory, the reference frame included (default: as in the "
        "settings)",
    )
    if budget:
        size.add_argument(
            "--memory-budget", metavar="SIZE", type=BYTES, help="store as many frames as fit, for example 2GB"
        )


def add_tracker_options(
    parser: CommandParser, *, several: str | None = None, memory_budget: bool = False
) -> None:
    """Add the options of a tracker: checkpoint, settings, device, precision, depth and memory.

    Args:
        several: what repeating ``--checkpoint`` means; None: it is given once.
        memory_budget: add ``--memory-budget`` too, which the command itself must apply.
    """
    add_model_options(parser, several=several)
    group = parser.add_argument_group("device and precision")
    add_shared_options(group, "--device", "--precision", "--depth")
    add_memory_options(parser, bounded=True, budget=memory_budget)


def read_tracker_options(args: argparse.Namespace) -> TrackerOptions:
    """Return the tracker options of a parsed command line; the files are read by `TrackerOptions.load`."""
    from aotlab.engine.tracking.options import TrackerOptions

    chosen = args.checkpoint if isinstance(args.checkpoint, list) else [args.checkpoint or BUNDLED_CHECKPOINT]
    overrides = (*args.overrides, *list_overrides(args))
    return TrackerOptions(tuple(chosen), args.config, overrides, args.device)


def list_overrides(args: argparse.Namespace, *, precision: str = "compute.precision") -> list[str]:
    """Return the settings that ``--memory``, ``--memory-frames``, ``--precision`` and ``--depth`` stand for.

    A number of frames replaces a model's `memory.newest`. ``precision``: key that ``--precision`` sets.
    """
    values = {
        "model.depth": getattr(args, "depth", None),
        "memory.policy": getattr(args, "memory", None),
        "memory.frames": getattr(args, "memory_frames", None),
        "input.max_long_edge": getattr(args, "max_long_edge", None),
        precision: getattr(args, "precision", None),
    }
    overrides = [f"{key}={value}" for key, value in values.items() if value is not None]
    return overrides if values["memory.frames"] is None else [*overrides, WITHOUT_NEWEST]


def read_checkpoint_option(args: argparse.Namespace) -> Path | None:
    """Return the checkpoint of a command that takes untrained models; None: random weights of ``--config``."""
    return args.checkpoint or (None if args.config else BUNDLED_CHECKPOINT)


def require_bounded(config: Config, name: str) -> None:
    """Raise `InputError` if ``config`` has a policy that does not read the option ``name``."""
    if config.memory.policy not in BOUNDED_POLICIES:
        raise InputError(
            f"{name}: no effect with memory.policy {config.memory.policy}, which keeps all frames; "
            f"add --memory with one of {', '.join(BOUNDED_POLICIES)}"
        )


def read_bounded_settings(checkpoint: Path, config: str | None, overrides: Sequence[str]) -> Config:
    """Return the settings of a tracker with bounded long-term memory; raise `InputError` as `read_settings` does."""
    from aotlab.networks.weights.checkpoints import read_settings

    return apply_protocol(read_settings(checkpoint, config=config, overrides=overrides), "bounded", overrides)


def print_settings(settings: Config) -> None:
    """Print settings as YAML, for ``--print-config``."""
    from aotlab.configs.load import to_yaml

    print(to_yaml(settings), end="")


def add_dataset_options(
    parser: CommandParser, names: Sequence[str], *, split: str | None
) -> argparse._ArgumentGroup:
    """Add the group "benchmark": ``--dataset``, ``--root``, ``--split`` and which sequences; return it for more.

    ``split``: default; None: the split that the server scores, of a data set that must be given, whole.
    """
    group = parser.add_argument_group("benchmark")
    group.add_argument("--dataset", metavar="NAME", required=split is None, help=f"one of {', '.join(names)}")
    group.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        help="folder of the data set (default: $AOTLAB_<NAME>, else in $AOTLAB_DATA or ./datasets)",
    )
    server = "" if split else " (default: the one the server scores)"
    group.add_argument("--split", metavar="NAME", default=split, help=f"train, val, test, ...{server}")
    if split is not None:
        add_shared_options(group, "--sequence", "--new-objects")
    return group


def add_prompt_options(parser: argparse.ArgumentParser, *, frames: bool = True) -> None:
    """Add ``--box``, ``--point``, ``--not-point`` and ``--segmenter``; with ``frames`` they may name a frame."""
    place = "[[FRAME][:ID]=]" if frames else "[:ID=]"
    group = parser.add_argument_group("prompts instead of masks")
    for name, values, text in (
        ("--box", "X,Y,W,H|X1:Y1-X2:Y2", "box around an object, in pixels"),
        ("--point", "X,Y", "point on an object; several refine the mask"),
        ("--not-point", "X,Y", "point that is not on the object"),
    ):
        group.add_argument(
            name,
            metavar=f"{place}{values}",
            action="append",
            default=[],
            help=text,
        )
    add_shared_options(group, "--segmenter", "--segmenter-plugin")
