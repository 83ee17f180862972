"""A mask of an image or a video's frame from boxes and points: ``aotlab mask image.jpg --box 10,20,200,100``."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.tools.cli.options import PLACES, add_prompt_options, add_shared_options
from aotlab.tools.cli.parser import NOT_NEGATIVE, CommandParser, command, require_new_output, require_paths
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.files import atomic_path, is_folder, real_path, require_output

if TYPE_CHECKING:
    import numpy as np


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    description = "Make a mask of an image or of a video's frame from boxes and points."
    parser = CommandParser("mask", description, epilog=PLACES)
    parser.add_argument(
        "source", metavar="IMAGE|VIDEO", type=Path, help="image, video file, or folder of frames"
    )
    parser.add_argument("--frame", metavar="N", type=NOT_NEGATIVE, help="frame of a video (default: 0)")
    add_prompt_options(parser, frames=False)
    output = "PNG to write, with an overlay beside it (default: NAME.mask.png beside the image or video)"
    parser.add_argument("--output", metavar="FILE", type=Path, help=output)
    add_shared_options(parser, "--force")
    args = parser.parse_args(argv)
    if not (args.box or args.point):
        parser.error(f"{args.source}: no object to mask; draw a box with --box X,Y,W,H or give --point X,Y")
    return args


def read_frame(source: Path, number: int | None) -> np.ndarray:
    """Return an image, or with a number a frame of a video: H×W×3 uint8 RGB.

    Raises:
        InputError: it cannot be read, or the video has no such frame.
    """
    from aotlab.media.images import read_image
    from aotlab.media.matching import IMAGE_SUFFIXES
    from aotlab.media.video import open_frames

    if not number and source.suffix.lower() in IMAGE_SUFFIXES and not is_folder(source):
        return read_image(source)
    require_extra("video")
    return open_frames(source).read(number or 0)


@command
def main(argv: list[str] | None = None) -> int:
    """Segment the objects; write one palette PNG, and an overlay as JPEG."""
    args = parse(argv)
    require_paths(args.source)
    name = args.source.name if is_folder(args.source) else args.source.stem
    frame = f".{args.frame}" if args.frame else ""
    output = require_output(args.output or args.source.with_name(f"{name}{frame}.mask.png"), ".png")
    overlay = output.with_name(f"{output.stem.removesuffix('.mask')}.overlay.jpg")
    if real_path(args.source) in (real_path(output), real_path(overlay)):
        raise InputError(f"--output {output}: is the image itself; give another name")
    for path in (output, overlay):
        require_new_output(path, force=args.force)
    from PIL import Image

    from aotlab.engine.tracking.segmenters import load_segmenter, segment_objects
    from aotlab.media.masks import write_mask
    from aotlab.media.overlay import draw_ids, draw_overlay
    from aotlab.media.prompt import parse_prompts

    prompts = parse_prompts(args.box, args.point, args.not_point, first_frame=-1)
    if set(prompts) != {-1}:
        raise InputError(
            f"{args.source}: boxes and points name a frame; leave it out, or choose it with --frame"
        )
    image = read_frame(args.source, args.frame)
    segmenter = load_segmenter(args.segmenter, plugin=args.segmenter_plugin)
    labels = segment_objects(image, prompts[-1], segmenter)
    write_mask(output, labels, max_id=max(prompts[-1]))
    with atomic_path(overlay) as temporary:
        Image.fromarray(draw_ids(draw_overlay(image, labels), labels)).save(temporary, quality=90)
    counts = ", ".join(f"object {number} {(labels == number).sum()} pixels" for number in prompts[-1])
    print(f"{output}: {counts}; drawn in {overlay.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
