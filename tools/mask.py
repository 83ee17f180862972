"""A mask of one image from boxes and points: ``aotlab mask image.jpg --box 1:10,20,200,100``."""

from __future__ import annotations

import sys
from pathlib import Path

from aotlab.tools.cli.options import add_prompt_options, add_shared_options
from aotlab.tools.cli.parser import CommandParser, command, require_new_output, require_paths
from aotlab.utils.errors import InputError
from aotlab.utils.files import real_path, require_output


@command
def main(argv: list[str] | None = None) -> int:
    """Segment the objects and write one palette PNG."""
    parser = CommandParser("mask", "Make a mask of one image from boxes and points.")
    parser.add_argument("image", metavar="IMAGE", type=Path, help="image to segment")
    add_prompt_options(parser, frames=False)
    parser.add_argument("--output", metavar="FILE", type=Path, help="PNG to write (default: IMAGE.mask.png)")
    add_shared_options(parser, "--force")
    args = parser.parse_args(argv)
    if not (args.box or args.point):
        parser.error("a --box or --point must be given")
    require_paths(args.image)
    output = require_output(args.output or args.image.with_suffix(".mask.png"), ".png")
    if real_path(output) == real_path(args.image):
        raise InputError(f"--output {output}: is the image itself; give another name")
    require_new_output(output, force=args.force)
    from aotlab.engine.tracking.segmenters import load_segmenter, segment_objects
    from aotlab.media.images import read_image
    from aotlab.media.masks import write_mask
    from aotlab.media.prompt import parse_prompts

    prompts = parse_prompts(args.box, args.point, args.not_point)
    if set(prompts) != {0}:
        raise InputError(f"{args.image}: is one image; give boxes and points without a frame")
    segmenter = load_segmenter(args.segmenter, plugin=args.segmenter_plugin)
    labels = segment_objects(read_image(args.image), prompts[0], segmenter)
    write_mask(output, labels)
    counts = ", ".join(f"object {number} {(labels == number).sum()} pixels" for number in prompts[0])
    print(f"{output}: {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
