"""Put a few frames of a video side by side: ``python tools/strip.py overlay.mp4 --output strip.png``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.tools.cli.numbers import AT_LEAST_ONE
from aotlab.tools.cli.paths import require_paths
from aotlab.tools.cli.program import Parser, command
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, require_output

if TYPE_CHECKING:
    import numpy as np


@command
def main(argv: list[str] | None = None) -> int:
    """Write the picture; returns the exit status."""
    parser = Parser("strip", description="Frames of a video side by side in one picture.")
    parser.add_argument("video", type=Path, help="a video file, or a folder of frames")
    parser.add_argument("--output", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--frames", type=AT_LEAST_ONE, default=4, help="how many, evenly spread (default 4)")
    parser.add_argument("--height", type=AT_LEAST_ONE, default=150, help="height in pixels (default 150)")
    args = parser.parse_args(argv)
    if args.frames < 1 or args.height < 1:
        raise InputError(f"--frames {args.frames} --height {args.height}: both must be at least 1")
    require_paths(args.video)
    require_output(args.output, ".png")
    from PIL import Image

    from aotlab.masks.overlay import strip

    pictures = [shrink(frame, args.height) for frame in pick(args.video, args.frames)]
    with atomic_path(args.output) as temporary:
        Image.fromarray(strip(pictures, gap=4)).quantize(256).save(temporary, format="PNG", optimize=True)
    return 0


def pick(video: Path, count: int) -> list[np.ndarray]:
    """``count`` frames from the first to the last; a video that does not tell its length is read twice."""
    import numpy as np

    from aotlab.media.video import open_frames

    length = open_frames(video).length or sum(1 for _ in open_frames(video))
    wanted = {round(position) for position in np.linspace(0, length - 1, min(count, length))}
    return [frame for index, frame in enumerate(open_frames(video)) if index in wanted]


def shrink(frame: np.ndarray, height: int) -> np.ndarray:
    """A frame at ``height`` pixels, in its own shape."""
    import numpy as np
    from PIL import Image

    width = round(frame.shape[1] * height / frame.shape[0])
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    sys.exit(main())
