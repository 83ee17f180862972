"""Options shared by commands: each has one name, one meaning and one help text."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.protocol import apply_protocol
from aotlab.configs.schema import BOUNDED_POLICIES, POLICIES
from aotlab.configs.training import PRECISIONS
from aotlab.tools.cli.command import group
from aotlab.tools.cli.types import (
    Checkpoint,
    Choice,
    Config,
    Device,
    File,
    Folder,
    Integer,
    PositiveInt,
    flag,
    list_option,
    option,
    split_settings,
)
from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    from aotlab.configs.schema import Config as Settings
    from aotlab.engine.tracking.options import TrackerOptions

Decorator = Callable[[Any], Any]

WITHOUT_NEWEST = "memory.newest=null"
"""the override by which `memory.frames` alone sets how many frames are kept"""
PLACES = (
    "FRAME and ID: [FRAME][:ID]= before a value names its frame and its object, as in 40=FILE, :2=X,Y and 40:2=X,Y,W,H "
    "(default: the first frame, object 1). Lists are comma-separated, and an option that is given again adds to them."
)
"""end of the help of commands with frames and objects"""
SETTINGS_METAVAR = "[KEY=VALUE]..."
SETTINGS_HELP = "settings to change, for example memory.every=2; a file of such a name is given as ./name"

QUALITIES = {"fast": 0.6, "balanced": 0.8, "full": 1.0}
"""names of ``--quality`` to `input.scale`"""

device = option("--device", type=Device, default="cpu", help="cpu, cuda, cuda:N or mps")
precision = option(
    "--precision",
    type=Choice(PRECISIONS),
    help="sets the precision of the computation; auto: bfloat16 if the processor computes it (default: as in the "
    "settings)",
)
depth = option("--depth", type=PositiveInt, help="blocks to use of an AOST model (default: all)")
force = flag("--force", "replace existing results of another run")
restart = flag("--restart", "start over instead of resuming")
dry_run = flag("--dry-run", "check all inputs and write nothing; in training, estimate the time of the run")
levels = option(
    "--levels",
    metavar="auto|LOW,HIGH",
    help="intensity range shown as black to white in all frames of an image folder or TIFF stack; auto: percentiles of "
    "the video (default: 8-bit images unchanged, others auto)",
)
quality = option(
    "--quality",
    type=Choice(QUALITIES),
    help="sets input.scale to 0.6, 0.8 or 1: smaller is faster and less accurate (default: as in the settings)",
)
print_config = flag("--print-config", "print the resolved settings and stop")
settings = click.argument(
    "overrides",
    metavar=SETTINGS_METAVAR,
    nargs=-1,
    callback=lambda ctx, param, values: list(values),
    help=SETTINGS_HELP,
)
device_options = group("device and precision", device, precision)


def video_argument(metavar: str, help: str, type: Any = str) -> Decorator:
    """Return the argument ``video``, a list; settings between the videos become ``overrides``."""
    return click.argument(
        "video",
        metavar=f"{metavar} {SETTINGS_METAVAR}",
        nargs=-1,
        type=type,
        callback=split_settings,
        help=f"{help}; {SETTINGS_HELP}",
    )


def checkpoint_option(*, several: str | None = None, untrained: bool = False) -> Decorator:
    """Return ``--checkpoint``, by default the bundled one; a tuple if repeatable, None if unset and ``untrained``.

    Args:
        several: what repeating the option means; None: it is given once.
        untrained: whether ``--config`` without a checkpoint means random weights.
    """
    repeated = f"; may be repeated: {several}" if several else ""
    random = "; random weights if only --config is given" if untrained else ""
    return option(
        "--checkpoint",
        type=Checkpoint,
        multiple=several is not None,
        default=None if several or untrained else BUNDLED_CHECKPOINT,
        help=f"weights: a file, or a name of `aotlab weights`{repeated} (default: the bundled model{random})",
    )


def config_option(*, several: bool = False, unset: str = "the checkpoint's") -> Decorator:
    """Return ``--config``; ``unset``: the settings of a command line without it, as the help states them."""
    return option(
        "--config",
        type=Config,
        multiple=several,
        help=f"preset (aott, aotl, r50_aotl, ...) or YAML file with the settings (default: {unset})",
    )


def model_options(
    *, several: str | None = None, several_configs: bool = False, untrained: bool = False
) -> Decorator:
    """Return the group "model": ``--checkpoint``, ``--config`` and ``--print-config``.

    Arguments as `checkpoint_option`; ``several_configs``: ``--config`` may be repeated too.
    """
    checkpoint = checkpoint_option(several=several, untrained=untrained)
    return group("model", checkpoint, config_option(several=several_configs), print_config)


def memory_options(*, bounded: bool) -> Decorator:
    """Return the group "memory"; ``bounded``: whether the command bounds memory by itself."""
    replaced = ", but restricted instead of every_nth" if bounded else ""
    return group(
        "memory",
        option(
            "--memory",
            metavar="POLICY",
            type=Choice(POLICIES),
            help=f"sets memory.policy: {', '.join(POLICIES)} (default: as in the settings{replaced})",
        ),
        option(
            "--memory-frames",
            type=Integer,
            help="sets memory.frames: most frames in long-term memory, the reference frame included (default: as in "
            "the settings)",
        ),
    )


def tracker_options(*, several: str | None = None) -> Decorator:
    """Return the options of a tracker: checkpoint, settings, device, precision, depth and memory.

    Args:
        several: what repeating ``--checkpoint`` means; None: it is given once.
    """

    def decorate(main: Any) -> Any:
        main = memory_options(bounded=True)(main)
        main = group("device and precision", device, precision, depth)(main)
        return model_options(several=several)(main)

    return decorate


def read_tracker_options(args: Namespace) -> TrackerOptions:
    """Return the tracker options of a parsed command line; the files are read by `TrackerOptions.load`."""
    from aotlab.engine.tracking.options import TrackerOptions

    chosen = args.checkpoint if isinstance(args.checkpoint, tuple) else (args.checkpoint,)
    overrides = (*args.overrides, *list_overrides(args))
    return TrackerOptions((*chosen, BUNDLED_CHECKPOINT)[0], args.config, overrides, args.device)


def list_overrides(args: Namespace, *, precision: str = "compute.precision") -> list[str]:
    """Return the settings that ``--memory``, ``--precision``, ``--quality`` and others stand for.

    A number of frames replaces a model's `memory.newest`. ``precision``: key that ``--precision`` sets.
    """
    values = {
        "model.depth": getattr(args, "depth", None),
        "memory.policy": getattr(args, "memory", None),
        "memory.frames": getattr(args, "memory_frames", None),
        "input.max_long_edge": getattr(args, "max_long_edge", None),
        "input.scale": QUALITIES.get(getattr(args, "quality", None) or ""),
        precision: getattr(args, "precision", None),
    }
    overrides = [f"{key}={value}" for key, value in values.items() if value is not None]
    return overrides if values["memory.frames"] is None else [*overrides, WITHOUT_NEWEST]


def read_checkpoint_option(args: Namespace) -> Path | None:
    """Return the checkpoint of a command that takes untrained models; None: random weights of ``--config``."""
    return args.checkpoint or (None if args.config else BUNDLED_CHECKPOINT)


def require_bounded(config: Settings, name: str) -> None:
    """Raise `InputError` if ``config`` has a policy that does not read the option ``name``."""
    if config.memory.policy not in BOUNDED_POLICIES:
        raise InputError(
            f"{name}: no effect with memory.policy {config.memory.policy}, which keeps all frames; "
            f"add --memory with one of {', '.join(BOUNDED_POLICIES)}"
        )


def read_bounded_settings(checkpoint: Path, config: str | None, overrides: Sequence[str]) -> Settings:
    """Return the settings of a tracker with bounded long-term memory; raise `InputError` as `read_settings` does."""
    from aotlab.networks.weights.checkpoints import read_settings

    return apply_protocol(read_settings(checkpoint, config=config, overrides=overrides), "bounded", overrides)


def print_settings(settings: Settings) -> None:
    """Print settings as YAML, for ``--print-config``."""
    from aotlab.configs.load import to_yaml

    print(to_yaml(settings), end="")


def dataset_options(names: Sequence[str], *more: Decorator, split: str | None) -> Decorator:
    """Return the group "benchmark": ``--dataset``, ``--root``, ``--split``, which sequences, and ``more``.

    ``split``: default; None: ``--dataset`` is required and the whole server split is used.
    """
    server = "" if split else " (default: the one the server scores)"
    options = [
        option("--dataset", metavar="NAME", required=split is None, help=f"one of {', '.join(names)}"),
        option(
            "--root",
            type=Folder,
            help="folder of the data set (default: $AOTLAB_<NAME>, else in $AOTLAB_DATA or ./datasets)",
        ),
        option("--split", metavar="NAME", default=split, help=f"train, val, test, ...{server}"),
    ]
    if split is not None:
        options += [
            list_option("--sequence", "use these sequences only, comma-separated"),
            flag("--new-objects", "folder: later masks add objects"),
        ]
    return group("benchmark", *options, *more)


def prompt_options(*, frames: bool = True) -> Decorator:
    """Return ``--box``, ``--point``, ``--not-point`` and ``--segmenter``; with ``frames`` they may name a frame."""
    place = "[[FRAME][:ID]=]" if frames else "[:ID=]"
    prompts = [
        option(name, metavar=f"{place}{values}", multiple=True, help=text)
        for name, values, text in (
            ("--box", "X,Y,W,H|X1:Y1-X2:Y2", "box around an object, in pixels"),
            ("--point", "X,Y", "point on an object, in pixels; several refine the mask"),
            ("--not-point", "X,Y", "point that is not on the object"),
        )
    ]
    return group(
        "prompts instead of masks",
        *prompts,
        option(
            "--segmenter",
            metavar="ENCODER DECODER",
            nargs=2,
            type=File,
            help="SAM-like segmenter as two ONNX files (default: the model's own)",
        ),
        option("--segmenter-plugin", metavar="NAME", help="segmenter of an installed package"),
    )
