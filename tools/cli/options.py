"""Options shared by commands: each has one name, one meaning and one help text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.configs.protocol import with_protocol
from aotlab.configs.schema import BOUNDED_POLICIES, POLICIES, Config
from aotlab.configs.training import PRECISIONS
from aotlab.tools.cli.numbers import AT_LEAST_ONE, INTEGER
from aotlab.tools.cli.program import Options, Parser, argument_type, option
from aotlab.utils.errors import InputError
from aotlab.utils.text import byte_count, size_text


def checkpoint(text: str) -> Path:
    """Return the file of a path, hf://owner/repository, or name of published weights, fetched on first use."""
    from aotlab.networks.weights.zoo import resolve

    return resolve(text)


CHECKPOINT = argument_type(checkpoint)
BYTES = argument_type(byte_count)
SIZE = argument_type(size_text)

SHARED: dict[str, tuple[str, str, dict[str, Any]]] = {
    name.split()[0]: (name, text, settings)
    for name, text, settings in (
        ("--device", "cpu, cuda, cuda:N or mps", {"default": "cpu"}),
        (
            "--precision",
            "sets the precision of the computation; auto: bfloat16 if it is faster here (default: as in the settings)",
            {"choices": PRECISIONS},
        ),
        ("--depth N", "blocks to use of an AOST model (default: all)", {"type": AT_LEAST_ONE}),
        ("--force", "replace existing results of another run", {}),
        ("--restart", "start over instead of resuming", {}),
        ("--dry-run", "check all inputs and write nothing; in training, estimate the time of the run", {}),
        (
            "--levels auto|LOW,HIGH",
            "values shown as black and white in all frames of an image folder or TIFF stack; auto: percentiles of the "
            "video (default: 8-bit images unchanged, others auto)",
            {},
        ),
        (
            "--segmenter ENCODER DECODER",
            "SAM-like segmenter as two ONNX files (default: the model's own)",
            {"nargs": 2, "type": Path},
        ),
        ("--sequence NAME", "use this sequence only; may be repeated", {"action": "append"}),
        ("--new-objects", "folder: later masks add objects", {}),
    )
}
"""name, help and further parameters of an option, as of `option`"""


def add_shared(to: Options, *names: str) -> None:
    """Add options of `SHARED`."""
    for shared in names:
        name, text, settings = SHARED[shared]
        option(to, name, text, **settings)


def add_checkpoint_option(options: Options, *, several: str | None = None, untrained: bool = False) -> None:
    """Add ``--checkpoint``, by default the bundled one; None if it is repeated or ``untrained``.

    Args:
        several: what repeating the option means; None: it is given once.
        untrained: whether ``--config`` without a checkpoint means random weights.
    """
    repeated = f"; may be repeated: {several}" if several else ""
    random = "; random weights if only --config is given" if untrained else ""
    option(
        options,
        "--checkpoint FILE|NAME",
        f"weights: a file, or a name of `aotlab weights`{repeated} (default: the bundled model{random})",
        type=CHECKPOINT,
        action="append" if several else "store",
        default=None if several or untrained else BUNDLED_CHECKPOINT,
    )


def checkpoint_of(args: argparse.Namespace) -> Path | None:
    """Return the checkpoint of a command that takes untrained models; None: random weights of ``--config``."""
    return args.checkpoint or (None if args.config else BUNDLED_CHECKPOINT)


def add_config_options(
    parser: Parser, options: Options, *, several: bool = False, unset: str = "the checkpoint's"
) -> None:
    """Add ``--config`` (``several``: a list), ``--print-config`` and the ``key=value`` overrides.

    ``unset``: the settings of a command line without ``--config``, as the help states them.
    """
    option(
        options,
        "--config NAME",
        f"preset (aott, aotl, r50_aotl, ...) or YAML file with the settings (default: {unset})",
        action="append" if several else "store",
    )
    option(options, "--print-config", "print the resolved settings and stop")
    option(parser, "overrides key=value", "settings to change, for example memory.every=2", nargs="*")


def add_model_options(
    parser: Parser, *, several: str | None = None, several_configs: bool = False, untrained: bool = False
) -> None:
    """Add the group "model": ``--checkpoint``, ``--config``, ``--print-config`` and overrides.

    Arguments as `add_checkpoint_option`; ``several_configs``: ``--config`` may be repeated too.
    """
    group = parser.add_argument_group("model")
    add_checkpoint_option(group, several=several, untrained=untrained)
    add_config_options(parser, group, several=several_configs)


def add_device_options(parser: Parser) -> None:
    """Add the group "device and precision"."""
    add_shared(parser.add_argument_group("device and precision"), "--device", "--precision")


def add_dataset_options(
    parser: Parser, names: Sequence[str], *, split: str | None
) -> argparse._ArgumentGroup:
    """Add the group "benchmark": ``--dataset``, ``--root``, ``--split`` and which sequences; return it for more.

    ``split``: default; None: the split that the server scores, of a data set that must be given, whole.
    """
    group = parser.add_argument_group("benchmark")
    option(group, "--dataset NAME", f"one of {', '.join(names)}", required=split is None)
    root = "folder of the data set (default: $AOTLAB_<NAME>, else in $AOTLAB_DATA or ./datasets)"
    option(group, "--root DIR", root)
    server = "" if split else " (default: the one the server scores)"
    option(group, "--split NAME", f"train, val, test, ...{server}", default=split)
    if split is not None:
        add_shared(group, "--sequence", "--new-objects")
    return group


def add_memory_options(parser: Parser, *, bounded: bool, budget: bool = False) -> None:
    """Add the group "memory": ``--memory`` and ``--memory-frames``, with ``budget`` also ``--memory-budget``.

    ``bounded``: whether the command bounds memory by itself.
    """
    group = parser.add_argument_group("memory")
    replaced = ", but restricted instead of every_nth" if bounded else ""
    option(
        group,
        "--memory POLICY",
        f"sets memory.policy: {', '.join(POLICIES)} (default: as in the settings{replaced})",
    )
    size = group.add_mutually_exclusive_group()
    option(
        size,
        "--memory-frames N",
        "sets memory.frames: most frames in long-term memory, the reference frame included (default: as in the "
        "settings)",
        type=INTEGER,
    )
    if budget:
        option(size, "--memory-budget SIZE", "store as many frames as fit, for example 2GB", type=BYTES)


WITHOUT_NEWEST = "memory.newest=null"
"""the override by which `memory.frames` alone sets how many frames are kept"""


def option_overrides(args: argparse.Namespace, *, precision: str = "compute.precision") -> list[str]:
    """Return the settings that ``--memory``, ``--memory-frames``, ``--precision`` and ``--depth`` stand for.

    A number of frames replaces a model's `memory.newest`. ``precision``: key that ``--precision`` sets.
    """
    given = {
        "model.depth": getattr(args, "depth", None),
        "memory.policy": getattr(args, "memory", None),
        "memory.frames": getattr(args, "memory_frames", None),
        "input.max_long_edge": getattr(args, "max_long_edge", None),
        precision: getattr(args, "precision", None),
    }
    overrides = [f"{key}={value}" for key, value in given.items() if value is not None]
    return overrides if given["memory.frames"] is None else [*overrides, WITHOUT_NEWEST]


def require_bounded(config: Config, name: str) -> None:
    """Raise `InputError` if ``config`` has a policy that does not read the option ``name``."""
    if config.memory.policy not in BOUNDED_POLICIES:
        raise InputError(
            f"{name}: no effect with memory.policy {config.memory.policy}, which keeps all frames; "
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
