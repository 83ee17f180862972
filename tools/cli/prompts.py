"""Options that make masks from boxes and points."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.utils.errors import InputError

if TYPE_CHECKING:
    from aotlab.engine.video.frame_range import FrameNumbers
    from aotlab.media.video import FrameSource


def save_prompted_masks(
    args: argparse.Namespace, source: FrameSource, numbers: FrameNumbers, first: int
) -> list[str]:
    """Write the masks of boxes and points below ``--output``; return them as values of ``--mask``.

    Args:
        first: index of the first tracked frame, to which prompts without a frame belong.

    Raises:
        InputError: a prompt is invalid or finds no pixel, or the source is a stream.
    """
    if not (args.box or args.point or args.not_point):
        return []
    from aotlab.masks.id_maps import write_mask
    from aotlab.prompts.segmenter import load_segmenter
    from aotlab.prompts.texts import masks_of_frame, read_prompts

    if not Path(args.video).is_file() and not Path(args.video).is_dir():
        raise InputError(
            f"{args.video}: --box and --point need a video file or a folder; give --mask for a stream"
        )
    found = read_prompts(args.box, args.point, args.not_point, first=numbers.number(first))
    prompts = {numbers.index(number): given for number, given in found.items()}
    segmenter = load_segmenter(args.segmenter, plugin=args.segmenter_plugin, checkpoint=args.checkpoint)
    values = []
    for frame in sorted(prompts):
        image = source.read(frame)
        path = args.output / "given" / f"{frame:05d}.png"
        write_mask(path, masks_of_frame(image, prompts[frame], segmenter))
        values.append(f"{numbers.number(frame)}:{path}")
    return values
