"""Options of commands that read videos and write masks, and checks of their values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args

import click
from click.exceptions import Exit

from aotlab.tools.cli.command import option_group
from aotlab.tools.cli.options import SETTINGS_HELP, SETTINGS_METAVAR, Decorator, is_setting
from aotlab.tools.cli.types import Choice, ParsedType, option
from aotlab.utils.plugins import find_tracker_plugin
from aotlab_video.masks.value_syntax import FORMAT_OPTION, START_NUMBER_OPTION, MaskFormat, parse_frame
from aotlab_video.runs.output_options import list_output_options


def parse_segmenter(text: str) -> str | tuple[Path, Path]:
    """Return the name of a plug-in's tracker, or two ONNX files written with a comma; raise `ValueError` for others."""
    files = [Path(part) for part in text.split(",")]
    if len(files) == 2:
        missing = [file for file in files if not file.exists()]
        if missing:
            raise ValueError(f"{missing[0]}: no such file")
        return files[0], files[1]
    if find_tracker_plugin(text) is None:
        raise ValueError(f"{text[:80]}: no plug-in has this tracker; give its name, or ENCODER,DECODER as ONNX files")
    return text


Frame = ParsedType(parse_frame, "N|TIMECODE")
SegmenterName = ParsedType(parse_segmenter, "NAME|ENCODER,DECODER")
mask_start_number = option(
    START_NUMBER_OPTION,
    type=int,
    help="number of a video file's first frame in names of mask files, or in a file of masks (default: 0)",
)
mask_format = option(
    FORMAT_OPTION,
    type=Choice(get_args(MaskFormat)),
    help="pixels of mask images: object ids, black and white, gray cut at one half, ids of MOTS, or colors of PASCAL "
    "VOC's palette (default: binary if all are black and white, else ids)",
)
frame_numbers_option = option(
    "--frame-numbers",
    type=Choice(("index", "file")),
    default="index",
    help="numbers of frames on the command line and in lists: from 0, or as in the file names of an image folder",
)


def video_argument(metavar: str, help: str, type: Any = str, **attributes: Any) -> Decorator:
    """Return the argument ``video``, a tuple of videos and settings, which `split_settings` separates."""
    return click.argument(
        "video",
        metavar=f"{metavar} {SETTINGS_METAVAR}",
        nargs=-1,
        type=type,
        help=f"{help}; {SETTINGS_HELP.format('input.scale=0.6 or compute.precision=bfloat16 to be faster')}",
        **attributes,
    )


def split_settings(arguments: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the arguments that are not settings, and the settings."""
    settings = tuple(filter(is_setting, arguments))
    return tuple(text for text in arguments if text not in settings), settings


def prompt_options(*, frames: bool = True) -> list[Decorator]:
    """Return ``--box``, ``--point`` and ``--negative-point``; with ``frames`` they may name a frame."""
    prefix = "[[FRAME][:ID]=]" if frames else "[:ID=]"
    return [
        option(name, field, metavar=f"{prefix}{values}", multiple=True, help=text)
        for name, field, values, text in (
            ("--box", "boxes", "X,Y,W,H|X1:Y1-X2:Y2", "box around an object, in pixels"),
            ("--point", "points", "X,Y", "point on an object, in pixels; repeat it to refine the mask"),
            ("--negative-point", "negative_points", "X,Y", "point off the object"),
        )
    ]


def source_option() -> Decorator:
    """Return ``--source``, texts for `parse_source_options`; ``--source help`` describes the keys and exits."""
    return option(
        "--source",
        metavar="KEY=VALUE",
        multiple=True,
        type=ParsedType(_check_source_option, "KEY=VALUE"),
        help="how the video is read, such as fps=25 or layer=NAME; help lists all; repeat it for each key",
    )


def _check_source_option(text: str) -> str:
    if text == "help":
        from aotlab_video.sources.source_options import SourceOptions

        for name, field in SourceOptions.model_fields.items():
            print(f"{name:{max(map(len, SourceOptions.model_fields))}}  {' '.join((field.description or '').split())}")
        raise Exit(0)
    return text


def segmenter_option(*, multiple: str | None = None) -> Decorator:
    """Return ``--segmenter``, the first argument of `load_segmenter`; ``multiple``: as in `checkpoint_option`."""
    text = f"; repeat it to {multiple} (default:" if multiple else " (default: the tracker's own, else"
    return option(
        "--segmenter",
        type=SegmenterName,
        multiple=multiple is not None,
        help="tracker of a plug-in, or SAM-like model as two ONNX files, that makes masks of prompts"
        f"{text} the bundled one)",
    )


def output_options(names: Collection[str] | None = None) -> Decorator:
    """Return the options of installed outputs, None or False if unset; ``names``: those of the outputs, None: all."""
    options = [
        option(
            item.flag,
            is_flag=not item.choices,
            type=Choice(item.choices) if item.choices else None,
            help=f"{', '.join(outputs)}: {item.help}" + (f" (default: {item.default})" if item.choices else ""),
        )
        for item, outputs in list_output_options(names).items()
    ]
    return option_group("outputs", *options)


def parse_output_name(text: str) -> str:
    """Return the name of an output; print the names and descriptions of all and exit for ``help``."""
    if text == "help":
        from aotlab_video.runs.outputs import list_outputs, make_output
        from aotlab_video.runs.store import SOFT

        descriptions = {name: make_output(name).description for name in list_outputs()}
        descriptions[SOFT] = "probabilities at edges, for outputs with alpha that are written later"
        for name, description in descriptions.items():
            print(f"{name:{max(map(len, descriptions))}}  {description}")
        raise Exit(0)
    return text
