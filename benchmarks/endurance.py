"""Time and memory of a tracker on a very long video, for several memory policies: a clip forward and backward.

python -m benchmarks.endurance clip.mp4 --frames 3000 --compare first_frame every_nth \
    bounded_fifo,memory.frames=9,memory.newest=null --size 320x180 --masks first.png --plot endurance.png
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from aotlab.configs.schema import POLICIES, Config
from aotlab.tools.cli.numbers import AT_LEAST_ONE, PIXELS
from aotlab.tools.cli.options import BYTES, SIZE, add_config_options
from aotlab.tools.cli.paths import bundled, require_model, require_paths
from aotlab.tools.cli.program import INTERRUPTED, Parser, command
from aotlab.tools.cli.weights import CHECKPOINT
from aotlab.utils.errors import InputError
from aotlab.utils.files import PICTURES, atomic_path, is_folder, require_output
from aotlab.utils.progress import progress_bar
from aotlab.utils.signals import stop_flag

if TYPE_CHECKING:
    import numpy as np

    from benchmarks.long_run import Course


@command
def main(argv: list[str] | None = None) -> int:
    """Run every policy and report; returns 0, 1 if a process died, 130 after Ctrl-C."""
    args = parse(argv)
    require_model(args.checkpoint, args.config)
    if args.print_config:
        print_config(args)
        return 0
    require_paths(args.video, args.masks)
    if args.plot is not None:
        require_output(args.plot, *PICTURES)
    if args.output is not None:
        require_output(args.output)
    args.checkpoint = args.checkpoint or bundled()
    return run_trials(args)


def print_config(args: argparse.Namespace) -> None:
    """Print the settings of the model."""
    from aotlab.configs.load import to_yaml
    from aotlab.networks.weights.checkpoints import read_settings

    print(
        to_yaml(read_settings(args.checkpoint or bundled(), config=args.config, overrides=args.overrides)),
        end="",
    )


def run_trials(args: argparse.Namespace) -> int:
    """Run every policy and report; returns the exit status."""
    from benchmarks.endurance_report import format_table
    from benchmarks.long_run import Trial, resident_bytes, run_in_process

    # whatever is wrong with the input shows before the slow part
    settings = check_policies(args)
    resident_bytes()
    clip, mask = load_clip(args)
    courses: dict[str, Course] = {}
    with stop_flag() as stop:
        for policy in args.compare:
            trial = Trial(
                args.checkpoint, args.config, overrides_of(policy, args), args.device, clip, mask, args.frames,
                args.stop_above,
            )  # fmt: skip
            with progress_bar(args.frames, title=policy, unit="frame") as bar:
                courses[policy] = run_in_process(trial, stop, lambda bar=bar: bar.update())  # type: ignore[misc]
            report(args, settings, courses, clip, mask)
            if stop.is_set():
                break
    print(format_table(courses))
    if stop.is_set():
        print("interrupted: the results hold what was measured", file=sys.stderr)
        return INTERRUPTED
    return 1 if any(course.failed for course in courses.values()) else 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser("endurance", description="Time and memory of a tracker on a very long video.")
    parser.prog = "python -m benchmarks.endurance"
    parser.add_argument("video", nargs="?", metavar="VIDEO", help="a video file or a folder of frames")
    parser.add_argument("--frames", type=AT_LEAST_ONE, default=3000, help="of the long video (default 3000)")
    parser.add_argument(
        "--clip-frames", type=AT_LEAST_ONE, default=250, metavar="N",
        help="the first N frames are played forward and backward; they are held in memory (default 250)",
    )  # fmt: skip
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--size", type=SIZE, help="WIDTHxHEIGHT that frames are resized to beforehand")
    size.add_argument(
        "--max-long-edge", type=PIXELS, metavar="N", help="short for input.max_long_edge=N, in pixels"
    )
    parser.add_argument(
        "--masks", type=Path, metavar="PNG", help="the first frame's mask, or a folder of masks, whose first is taken "
        "(default: one object, the middle of the frame)",
    )  # fmt: skip
    parser.add_argument(
        "--compare", nargs="+", default=["first_frame", "bounded_fifo", "restricted", "relevance_redundancy"],
        metavar="POLICY[,key=value...]", help=f"of {', '.join(POLICIES)}, with settings of their own "
        "(default: all but every_nth, which takes ever more time and memory)",
    )  # fmt: skip
    parser.add_argument(
        "--stop-above", type=BYTES, metavar="SIZE", help="end a policy whose process takes more, as 8GB"
    )
    add_model_options(parser)
    args = parser.parse_args(argv)
    if args.print_config:
        args.overrides = [*filter(None, [args.video]), *args.overrides]
    elif args.video is None:
        parser.error("VIDEO must be given")
    if args.frames < 1 or args.clip_frames < 1:
        parser.error("--frames and --clip-frames must be at least 1")
    if args.max_long_edge is not None:
        args.overrides.append(f"input.max_long_edge={args.max_long_edge}")
    return args


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add which model runs where, and what is written."""
    parser.add_argument(
        "--checkpoint", type=CHECKPOINT, metavar="FILE|NAME", help="weights (default: the bundled model)"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    parser.add_argument(
        "--plot", type=Path, metavar="PNG", help="picture of all frames to write; also PDF or SVG"
    )
    parser.add_argument("--output", type=Path, metavar="JSON", help="all that was measured")
    add_config_options(parser)


def overrides_of(policy: str, args: argparse.Namespace) -> tuple[str, ...]:
    """The settings of one of --compare, over those of all."""
    name, *own = policy.split(",")
    return (*args.overrides, f"memory.policy={name}", *own)


def check_policies(args: argparse.Namespace) -> Config:
    """The settings of the first policy, after a look at all.

    Raises:
        InputError: one of --compare is no policy, stands there twice, or has a wrong setting.
    """
    for policy in args.compare:
        name = policy.split(",")[0]
        if name not in POLICIES:
            raise InputError(f"--compare {policy}: no policy {name}; expected one of {', '.join(POLICIES)}")
        if args.compare.count(policy) > 1:
            raise InputError(f"--compare {policy}: stands there twice; give each policy once")
    from aotlab.networks.weights.checkpoints import read_settings

    every = [
        read_settings(args.checkpoint, config=args.config, overrides=overrides_of(policy, args))
        for policy in args.compare
    ]
    return every[0]


def load_clip(args: argparse.Namespace) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames and the first one's mask, in the size asked for.

    Raises:
        InputError: the video or the mask cannot be read, or the mask holds no object.
    """
    import cv2
    import numpy as np

    from aotlab.masks.id_maps import read_mask
    from aotlab.media.video import open_frames

    source = open_frames(args.video)
    if args.masks is None:
        height, width = source.size
        mask: np.ndarray = np.zeros(source.size, np.uint8)
        mask[height // 3 : -(-2 * height // 3), width // 3 : -(-2 * width // 3)] = 1
    else:
        mask = read_mask(first_mask(args.masks), size=source.size)
    clip = list(islice(source, args.clip_frames))
    if args.size is not None:
        clip = [cv2.resize(frame, args.size, interpolation=cv2.INTER_AREA) for frame in clip]
        mask = cv2.resize(mask, args.size, interpolation=cv2.INTER_NEAREST)
    if not mask.any():
        raise InputError(f"{args.masks or args.video}: the first mask holds no object in this size")
    return clip, mask


def first_mask(path: Path) -> Path:
    """The mask file itself, or the first of a folder.

    Raises:
        InputError: a folder without masks.
    """
    if not is_folder(path):
        return path
    found = sorted(mask for mask in path.glob("*.png") if mask.name[0] != ".")
    if not found:
        raise InputError(f"--masks {path}: holds no mask; give a PNG, or a folder whose first PNG is one")
    return found[0]


def report(
    args: argparse.Namespace,
    settings: Config,
    courses: dict[str, Course],
    clip: list[np.ndarray],
    mask: np.ndarray,
) -> None:
    """Write the files asked for, with what was measured so far."""
    import numpy as np
    import torch

    from benchmarks.endurance_report import as_json, draw_courses

    height, width, _ = clip[0].shape
    objects = int(np.count_nonzero(np.unique(mask)))
    if args.output is not None:
        about = {
            "model": settings.name, "video": str(args.video), "clip_frames": len(clip), "frames": args.frames,
            "width": width, "height": height, "objects": objects, "device": args.device,
            "threads": torch.get_num_threads(),
        }  # fmt: skip
        with atomic_path(args.output) as temporary:
            content = json.dumps({**about, "policies": as_json(courses)}, allow_nan=False)
            temporary.write_text(content + "\n", encoding="utf-8")
    if args.plot is not None:
        noun = "object" if objects == 1 else "objects"
        title = f"{settings.name}, {width}×{height}, {objects} {noun}, {args.frames} frames, {args.device}"
        draw_courses(courses, args.plot, title)


if __name__ == "__main__":
    sys.exit(main())
