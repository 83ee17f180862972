"""Draw the sample clip in the DAVIS layout: ``python tools/draw_sample_clip.py --output datasets/sample``."""

from __future__ import annotations

import sys
from pathlib import Path

from aotlab.tools.cli.numbers import ANY_SEED, AT_LEAST_ONE, PIXELS, QUALITY
from aotlab.tools.cli.program import Parser, command
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, require_writable

NAME = "pond"
BYTES_OF_PIXEL = 4
"""of a frame and its mask"""
MOST_BYTES = 4 * 10**9
"""of the clip, which is drawn in memory"""


def parser() -> Parser:
    """The command line."""
    options = Parser("draw_sample_clip", description="Draw the sample clip in the DAVIS layout.")
    options.add_argument("--output", type=Path, default=Path("datasets/sample"), help="folder (%(default)s)")
    options.add_argument("--frames", type=AT_LEAST_ONE, default=40, help="number of frames (%(default)s)")
    options.add_argument("--height", type=PIXELS, default=480, help="pixels (%(default)s)")
    options.add_argument("--width", type=PIXELS, default=854, help="pixels (%(default)s)")
    options.add_argument(
        "--seed", type=ANY_SEED, default=7, help="another number, another clip (%(default)s)"
    )
    options.add_argument("--quality", type=QUALITY, default=85, help="of the JPEG files (%(default)s)")
    return options


def write_lists(root: Path, frames: int) -> None:
    """Write the lists of videos: names for DAVIS-2017, pairs of paths for DAVIS-2016."""
    pairs = [
        f"/JPEGImages/480p/{NAME}/{index:05d}.jpg /Annotations/480p/{NAME}/{index:05d}.png"
        for index in range(frames)
    ]
    for year, lines in (("2017", [NAME]), ("2016", pairs)):
        with atomic_path(root / "ImageSets" / year / "val.txt") as temporary:
            temporary.write_text("\n".join(lines) + "\n")


@command
def main(argv: list[str] | None = None) -> int:
    """Draw the clip and write frames, masks of every frame, and lists."""
    args = parser().parse_args(argv)
    from PIL import Image

    from aotlab.dataloaders.pond import draw_pond
    from aotlab.masks.id_maps import write_mask

    size = args.frames * args.height * args.width * BYTES_OF_PIXEL
    if size > MOST_BYTES:
        raise InputError(
            f"--frames {args.frames} --height {args.height} --width {args.width}: the clip would take "
            f"{size / 1e9:.0f} GB of memory; give numbers that take {MOST_BYTES / 1e9:.0f} at most"
        )
    root = require_writable(args.output)
    frames, masks = draw_pond(args.frames, args.height, args.width, args.seed)
    for index, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        with atomic_path(root / "JPEGImages" / "480p" / NAME / f"{index:05d}.jpg") as temporary:
            Image.fromarray(frame).save(temporary, quality=args.quality)
        write_mask(root / "Annotations" / "480p" / NAME / f"{index:05d}.png", mask)
    write_lists(root, args.frames)
    print(f"{args.frames} frames in {root}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
