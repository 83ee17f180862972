"""Convert masks from one format to another: ``aotlab convert masks.json cvat.xml --to cvat --video video.mp4``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.masks.exchange.writing import WRITTEN
from aotlab.tools.cli.options import add_shared
from aotlab.tools.cli.paths import require_new, require_paths
from aotlab.tools.cli.program import Parser, command, option
from aotlab.utils.errors import InputError, require_extra
from aotlab.utils.files import real_path, remove, require_output
from aotlab.utils.text import counted

if TYPE_CHECKING:
    from aotlab.masks.exchange.regions import Annotations
    from aotlab.media.video import FrameSource

FORMATS = (*WRITTEN, "masks")
"""formats of other tools, and PNGs of object ids"""


def write(found: Annotations, source: FrameSource, name: str, output: Path) -> None:
    """Write objects in a format of `FORMATS`; YOLO's labels get the images of their frames."""
    from aotlab.masks.exchange.regions import Written
    from aotlab.masks.exchange.writing import write_annotations
    from aotlab.media.masks import write_mask
    from aotlab.media.video import store_frame

    if name == "masks":
        for frame in found.frames:
            write_mask(output / f"{source.stem(frame)}.png", found.mask(frame))
        return
    require_output(output)
    length = source.length or max(found.frames) + 1
    write_annotations(name, output, found, Written(source.name, str(source.rate), length))
    if name == "yolo":
        for index in sorted(found.frames):
            store_frame(source, index, source.read(index), output / "images" / source.stem(index))


@command
def main(argv: list[str] | None = None) -> int:
    """Read, match the frames with the video's, and write."""
    parser = Parser("convert", "Convert masks of a video between formats.")
    option(parser, "masks IN", "file or folder of masks, as for track --mask", type=Path)
    option(parser, "output OUT", "file or folder to write", type=Path)
    option(parser, "--to", "format to write", required=True, choices=FORMATS)
    option(parser, "--video", "the video, or its folder of frames", type=Path, required=True)
    add_shared(parser, "--force")
    args = parser.parse_args(argv)
    require_paths(args.masks, args.video)
    require_extra("video")
    require_new(args.output, force=args.force)
    inputs = map(real_path, (args.masks, args.video))
    if any(real_path(args.output) in (path, *path.parents) for path in inputs):
        raise InputError(f"{args.output}: the output would replace the input; give another name")
    from aotlab.masks.exchange.matching import Target
    from aotlab.masks.exchange.reading import read_annotations
    from aotlab.media.video import open_frames

    source = open_frames(args.video)
    found = read_annotations(args.masks, Target(source.name, source.size, source.length, source.stem))
    remove(args.output)
    found.stems = {frame: source.stem(frame) for frame in found.frames}
    write(found, source, args.to, args.output)
    objects, frames = counted(len(found.objects()), "object"), counted(len(found.frames), "frame")
    print(f"{args.output}: {objects} on {frames}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
