"""Options of ``aotlab track``: masks, outputs, directions, source."""

from __future__ import annotations

import re
from pathlib import Path

from aotlab.masks.exchange.writing import WRITTEN
from aotlab.tools.cli.numbers import ABOVE_ZERO, NOT_NEGATIVE
from aotlab.tools.cli.options import (
    Options,
    add_checkpoint_option,
    add_depth_option,
    add_device_option,
    add_force_option,
    add_levels_option,
    add_restart_option,
)
from aotlab.tools.cli.program import Parser, argument_type
from aotlab.utils.errors import InputError

WRITABLE = (
    "masks", "objects", "review", "thumbnail", "mattes", "mattes16", "alpha", "prores", "vp9", "overlay", *WRITTEN,
)  # fmt: skip
"""names of `engine.video.outputs.OUTPUTS`, which are known here without importing it"""


def add_most_used_options(parser: Parser) -> None:
    """Add the options that nearly every call has; the help lists them first."""
    group = parser.add_argument_group("most used")
    group.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="[FRAME:]FILE",
        help="PNG with one object id per pixel (0: background) for FRAME (default: the first); or annotations from "
        "COCO, YouTube-VIS, CVAT, Label Studio, LabelMe, a colour PNG with a legend, a folder of masks; "
        "may be repeated",
    )
    group.add_argument("--output", type=Path, metavar="DIR", help="folder for the results")
    add_checkpoint_option(group)
    group.add_argument(
        "--write",
        default="masks,overlay",
        metavar="LIST",
        help=f"outputs, comma-separated: {', '.join(WRITABLE)}",
    )
    add_device_option(group)


def add_tracking_options(parser: Parser) -> None:
    """Add how masks are tracked, what is reported, and how the source is read."""
    group = parser.add_argument_group("tracking")
    group.add_argument(
        "--both-directions",
        action="store_true",
        help="track forward and backward from every --mask and merge; each mask must label every object in its frame",
    )
    group.add_argument(
        "--remove",
        action="append",
        type=argument_type(removal),
        default=[],
        metavar="FRAME:ID",
        help="stop tracking an object at this frame; may be repeated",
    )
    group.add_argument(
        "--review",
        action="store_true",
        help="write review.json, and print which objects were lost and which frames to check",
    )
    add_depth_option(group)
    group.add_argument("--no-overlay", action="store_true", help="leave the overlay out of --write")
    add_force_option(group)
    add_restart_option(group)
    add_source_options(parser.add_argument_group("source"))


def add_source_options(source: Options) -> None:
    """Add which frames are tracked, and how the source is read."""
    for option, which in (("--start", "first"), ("--end", "last")):
        source.add_argument(
            option, type=NOT_NEGATIVE, metavar="FRAME",
            help=f"{which} frame to track; a list of jobs has it as a column (default: the {which} of the video)",
        )  # fmt: skip
    source.add_argument(
        "--frame-numbers",
        choices=("index", "file"),
        default="index",
        help="numbers of frames on the command line: counted from 0, or those in the file names of an image folder",
    )
    add_levels_option(source)
    source.add_argument("--realtime", action="store_true", help="drop frames to keep up with the source")
    source.add_argument(
        "--timeout",
        type=ABOVE_ZERO,
        default=30.0,
        metavar="SECONDS",
        help="stop after SECONDS without a frame (default: 30)",
    )


def removal(text: str) -> tuple[int, int]:
    """Return (frame, object id) of "30:2"; raise `InputError` if these are not two whole numbers."""
    frame, colon, number = text.partition(":")
    if not (colon and re.fullmatch("[0-9]{1,9}", frame) and re.fullmatch("0*[1-9][0-9]{0,8}", number)):
        raise InputError(f"{text[:40]}: expected FRAME:ID, for example 30:2")
    return int(frame), int(number)
