"""The options that make masks of boxes and points."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from aotlab.media.video import FrameSource
    from aotlab.prompts.grabcut import Hints


def add_hint_options(parser: argparse.ArgumentParser, *, frames: bool = True) -> None:
    """Add ``--box``, ``--point``, ``--not-point`` and ``--segmenter``; with ``frames`` they may name one."""
    where = "[FRAME/]ID" if frames else "ID"
    group = parser.add_argument_group("prompts instead of masks")
    for option, values, text in (
        ("--box", "X,Y,W,H|X1:Y1-X2:Y2", "box around an object in pixels, segmented by GrabCut"),
        ("--point", "X,Y", "point on an object; several refine it"),
        ("--not-point", "X,Y", "point not on the object"),
    ):
        group.add_argument(option, action="append", default=[], metavar=f"{where}:{values}", help=text)
    add_segmenter_option(group)


def add_segmenter_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--segmenter``."""
    parser.add_argument(
        "--segmenter",
        nargs=2,
        type=Path,
        metavar=("ENCODER", "DECODER"),
        help="use a segmenter of the SAM family, two ONNX files, instead of GrabCut",
    )


def segmenter_of(args: argparse.Namespace) -> Callable[[np.ndarray, Hints], np.ndarray]:
    """Return the function that turns boxes and points into masks; raise `InputError` for unusable ONNX files."""
    from aotlab.prompts.grabcut import segment

    if args.segmenter is None:
        return segment
    from aotlab.prompts.segmenter import OnnxSegmenter

    return OnnxSegmenter(*args.segmenter)


def save_hinted_masks(args: argparse.Namespace, source: FrameSource) -> list[str]:
    """Write the masks that boxes and points mean below ``--output``; return them as values of ``--mask``.

    Raises:
        InputError: as `read_hints`, `frames_at` and `masks_of_frame`; or the source is a stream, which is read once.
    """
    if not (args.box or args.point or args.not_point):
        return []
    from aotlab.masks.id_maps import write_mask
    from aotlab.media.video import frames_at
    from aotlab.prompts.texts import masks_of_frame, read_hints

    if not Path(args.video).is_file() and not Path(args.video).is_dir():
        raise InputError(
            f"{args.video}: --box and --point need a video file or a folder; give --mask for a stream"
        )
    hints, segment = read_hints(args.box, args.point, args.not_point), segmenter_of(args)
    values = []
    for frame, image in frames_at(source, hints):
        path = args.output / "given" / f"{frame:05d}.png"
        write_mask(path, masks_of_frame(image, hints[frame], segment))
        values.append(f"{frame}:{path}")
    return values
