"""Track objects in a video: ``python tools/track.py video.mp4 --mask first.png --output results/video``."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np

from configs.load import to_yaml
from configs.options import add_config_options
from dataloaders.video import FrameSource, open_frames
from engine.tracker import BUNDLED_CHECKPOINT, Tracker
from engine.tracking import MASKS, OVERLAY, track
from networks.checkpoints import read_settings
from utils.cli import Parser, command
from utils.errors import InputError
from utils.files import require_writable
from utils.masks import read_mask

MOST_OBJECTS = 1000
"""A file with more ids than this is a picture that was given by mistake."""


def parse(argv: list[str] | None) -> Namespace:
    """Read the command line."""
    parser = Parser(prog="track", description="Track the objects of one or more masks through a video.")
    parser.add_argument("video", nargs="?", metavar="VIDEO", help="a video file, or a folder of frames")
    parser.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="[FRAME:]FILE",
        help="PNG with one object id per pixel, 0 is background, for a frame (0 without FRAME:); "
        "may be repeated, a later one adds objects",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--checkpoint", type=Path, default=BUNDLED_CHECKPOINT, metavar="FILE", help="weights (%(default)s)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (%(default)s)")
    parser.add_argument("--no-overlay", action="store_true", help="write masks only, no overlay video")
    add_config_options(parser)
    args = parser.parse_intermixed_args(argv)
    if args.print_config:
        # no video is needed here, so what stands in its place is the first override
        args.overrides = [*filter(None, [args.video]), *args.overrides]
        return args
    given = {"VIDEO": args.video, "--mask": args.mask, "--output": args.output}
    missing = [name for name, value in given.items() if not value]
    if missing:
        parser.error(f"{', '.join(missing)} must be given")
    args.video = Path(args.video)
    return args


def mask_files(values: list[str]) -> dict[int, Path]:
    """Split ``FRAME:FILE`` values; a value without a leading number and colon is for frame 0.

    Raises:
        InputError: two values are for one frame.
    """
    files: dict[int, Path] = {}
    for value in values:
        match = re.fullmatch(r"([0-9]+):(.+)", value)
        index, file = (int(match[1]), match[2]) if match else (0, value)
        if index in files:
            raise InputError(
                f"--mask {value}: frame {index} already has {files[index]}; give one FRAME:FILE a frame"
            )
        files[index] = Path(file)
    return files


def load_masks(files: dict[int, Path], source: FrameSource) -> dict[int, np.ndarray]:
    """Read the masks and check that they can be this video's.

    Raises:
        InputError: a file is missing, no mask, of another size, without or with too many objects, or for a
            frame that the video does not have.
    """
    masks = {}
    for index, file in sorted(files.items()):
        if source.length is not None and index >= source.length:
            raise InputError(
                f"--mask {index}:{file}: the video holds {source.length} frames; "
                f"give a frame from 0 to {source.length - 1}"
            )
        mask = read_mask(file, size=source.size)
        objects = np.count_nonzero(np.unique(mask))
        if objects == 0:
            raise InputError(f"{file}: holds no object; give a mask with an id above 0 where an object is")
        if objects > MOST_OBJECTS:
            raise InputError(
                f"{file}: holds {objects} different ids, like a grey picture; "
                f"give a mask of at most {MOST_OBJECTS} objects"
            )
        masks[index] = mask
    return masks


def check_output(output: Path, video: Path) -> None:
    """Prove that results can be written, and not over the input.

    Raises:
        InputError: the folder cannot be written, or holds the video under a name that a result would take.
    """
    if video.resolve() in ((output / MASKS).resolve(), (output / OVERLAY).resolve()):
        raise InputError(f"--output {output}: the results would overwrite {video}; choose another folder")
    require_writable(output)


@command
def main(argv: list[str] | None = None) -> int:
    """Check all inputs, load the model, track, report; status 1 where the video broke off early."""
    args = parse(argv)
    if args.print_config:
        settings = read_settings(args.checkpoint, config=args.config, overrides=args.overrides)
        print(to_yaml(settings), end="")
        return 0
    # whatever is wrong with the input or the output shows before the slow part
    source = open_frames(args.video)
    masks = load_masks(mask_files(args.mask), source)
    check_output(args.output, args.video)
    tracker = Tracker.from_checkpoint(
        args.checkpoint, config=args.config, overrides=args.overrides, device=args.device
    )
    report = track(tracker, source, masks, args.output, overlay=not args.no_overlay)
    results = report.masks if report.overlay is None else f"{report.masks} and {report.overlay}"
    print(f"{report.frames} frames at {report.frames_per_second:.1f} frames per second: {results}")
    if report.error is not None:
        print(f"error: {report.error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
