"""Options that several tools have: settings, memory, sizes."""

from __future__ import annotations

import argparse

from aotlab.configs.schema import BOUNDED_POLICIES, POLICIES, Config
from aotlab.tools.cli.numbers import INTEGER
from aotlab.tools.cli.program import argument_type
from aotlab.utils.errors import InputError
from aotlab.utils.text import byte_count, picture_size

BYTES = argument_type(byte_count)
SIZE = argument_type(picture_size)


def add_config_options(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add ``--config`` (``several``: a list), ``--print-config`` and the ``key=value`` overrides to a tool."""
    parser.add_argument(
        "--config",
        metavar="NAME",
        action="append" if several else "store",
        help="a preset (aott, aotl, r50_aotl, ...) or a YAML file",
    )
    parser.add_argument("--print-config", action="store_true", help="show the resolved settings and stop")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings to change, for example memory.every=2"
    )


def add_levels_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--levels``."""
    parser.add_argument(
        "--levels",
        metavar="auto|LOW,HIGH",
        help="of folders of pictures and TIFF stacks: the values that become black and white, in all frames alike, or "
        "auto, which finds them (default: 8-bit pictures stay as they are, others auto)",
    )


def add_memory_options(parser: argparse.ArgumentParser, default: str, *, budget: bool = False) -> None:
    """Add ``--memory`` and ``--memory-frames``, with ``budget`` also ``--memory-budget`` in its place.

    ``default`` is what the help says of leaving ``--memory`` out.
    """
    parser.add_argument(
        "--memory", metavar="POLICY", help=f"memory.policy: one of {', '.join(POLICIES)} (default: {default})"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--memory-frames",
        type=INTEGER,
        metavar="N",
        help="memory.frames: frames in long-term memory at most, the reference frame included",
    )
    if budget:
        size.add_argument(
            "--memory-budget",
            type=BYTES,
            metavar="SIZE",
            help="as many frames of long-term memory as fit into, for example, 2GB",
        )


WITHOUT_NEWEST = "memory.newest=null"
"""the override by which `memory.frames` alone says how many frames there are"""


SIZES = {"fast": 0.6, "balanced": 0.8, "full": 1.0}
"""names of ``--size`` to `input.scale`"""


def add_size_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--size``."""
    parser.add_argument(
        "--size",
        choices=SIZES,
        help="input.scale=0.6, 0.8 or 1; smaller is faster and less accurate (default: full)",
    )


def size_overrides(args: argparse.Namespace) -> list[str]:
    """Return the settings that ``--size`` stands for."""
    return [] if args.size is None else [f"input.scale={SIZES[args.size]}"]


def memory_overrides(args: argparse.Namespace) -> list[str]:
    """What ``--memory`` and ``--memory-frames`` stand for; a number of frames replaces a model's `memory.newest`."""
    given = {"memory.policy": args.memory, "memory.frames": args.memory_frames}
    overrides = [f"{key}={value}" for key, value in given.items() if value is not None]
    return overrides if args.memory_frames is None else [*overrides, WITHOUT_NEWEST]


def require_bounded(config: Config, option: str) -> None:
    """Refuse an option that only bounded policies read.

    Raises:
        InputError: ``config`` has another policy.
    """
    if config.memory.policy not in BOUNDED_POLICIES:
        raise InputError(
            f"{option}: has no meaning for memory.policy {config.memory.policy}, which keeps all that it takes in; "
            f"add --memory with one of {', '.join(BOUNDED_POLICIES)}"
        )
