"""Options of ``aotlab track``: masks, outputs, directions, source."""

from __future__ import annotations

import re

from aotlab.tools.cli.options import add_checkpoint_option, add_shared
from aotlab.tools.cli.parser import ABOVE_ZERO, NOT_NEGATIVE, CommandParser, Options, argument_type, option
from aotlab.utils.errors import InputError
from aotlab.utils.plugins import MASK_WRITERS, OUTPUTS, list_plugins

WRITABLE = ("masks", "objects", "mattes", "mattes16", "alpha", "prores", "vp9", "overlay", "coco")
"""names of `engine.video.outputs.list_outputs` without plug-ins, which are known here without importing it"""


def add_most_used_options(parser: CommandParser) -> None:
    """Add the options that nearly every call has; the help lists them first."""
    group = parser.add_argument_group("most used")
    option(
        group,
        "--mask [FRAME:]FILE",
        "PNG with one object id per pixel (0: background) for FRAME (default: the first); or annotations from "
        "COCO, YouTube-VIS, CVAT, Label Studio, LabelMe, a colour PNG with a legend, a folder of masks; "
        "may be repeated",
        action="append",
        default=[],
    )
    option(group, "--output DIR", "folder for the results")
    add_checkpoint_option(group)
    outputs = f"outputs, comma-separated: {', '.join((*WRITABLE, *list_plugins(MASK_WRITERS), *list_plugins(OUTPUTS)))}"
    option(group, "--write LIST", outputs, default="masks,overlay")
    add_shared(group, "--device")


def add_tracking_options(parser: CommandParser) -> None:
    """Add how masks are tracked, what is reported, and how the source is read."""
    group = parser.add_argument_group("tracking")
    option(
        group,
        "--both-directions",
        "track forward and backward from every --mask and merge; each mask must label every object in its frame",
    )
    option(
        group,
        "--remove FRAME:ID",
        "stop tracking an object at this frame; may be repeated",
        action="append",
        type=argument_type(removal),
        default=[],
    )
    option(
        group,
        "--review",
        "write review.json, and print which objects were lost and which frames to check",
    )
    add_shared(group, "--depth")
    option(group, "--no-overlay", "leave the overlay out of --write")
    add_shared(group, "--force", "--restart")
    add_source_options(parser.add_argument_group("source"))


def add_source_options(source: Options) -> None:
    """Add which frames are tracked, and how the source is read."""
    for name, which in (("--start", "first"), ("--end", "last")):
        option(
            source,
            f"{name} FRAME",
            f"{which} frame to track; a list of jobs has it as a column (default: the {which} of the video)",
            type=NOT_NEGATIVE,
        )
    option(
        source,
        "--frame-numbers",
        "numbers of frames on the command line: counted from 0, or those in the file names of an image folder",
        choices=("index", "file"),
        default="index",
    )
    add_shared(source, "--levels")
    option(source, "--realtime", "drop frames to keep up with the source")
    wait = "stop after SECONDS without a frame (default: 30)"
    option(source, "--timeout SECONDS", wait, type=ABOVE_ZERO, default=30.0)


def removal(text: str) -> tuple[int, int]:
    """Return (frame, object id) of "30:2"; raise `InputError` if these are not two whole numbers."""
    frame, colon, number = text.partition(":")
    if not (colon and re.fullmatch("[0-9]{1,9}", frame) and re.fullmatch("0*[1-9][0-9]{0,8}", number)):
        raise InputError(f"{text[:40]}: expected FRAME:ID, for example 30:2")
    return int(frame), int(number)
