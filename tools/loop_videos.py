"""Make long videos of DAVIS: every sequence forward and backward several times, with its labels.

python tools/loop_videos.py datasets/DAVIS results/davis_looped --times 3
python tools/eval.py --dataset davis2017 --root results/davis_looped --memory restricted --output results/restricted
"""

from __future__ import annotations

import sys
from pathlib import Path

from aotlab.tools.cli.numbers import INTEGER
from aotlab.tools.cli.paths import require_paths
from aotlab.tools.cli.program import Parser, command


@command
def main(argv: list[str] | None = None) -> int:
    """Write the folders and say how long the videos are; returns the exit status."""
    parser = Parser("loop_videos", description="DAVIS with every sequence forward and backward.")
    parser.add_argument("root", type=Path, help="folder of DAVIS")
    parser.add_argument("output", type=Path, help="folder for the looped sequences, in the same layout")
    parser.add_argument(
        "--times",
        type=INTEGER,
        default=3,
        help="how often each is played, in turn forward and backward (default 3)",
    )
    parser.add_argument(
        "--year", type=int, choices=(2016, 2017), default=2017, help="whose list (default 2017)"
    )
    parser.add_argument("--split", default="val", help="name of the list (default: val)")
    parser.add_argument("--copy", action="store_true", help="copy the files; default: symbolic links to them")
    args = parser.parse_args(argv)
    require_paths(args.root)
    from aotlab.dataloaders.looped import loop_davis

    frames = loop_davis(
        args.root, args.output, year=args.year, split=args.split, times=args.times, copy=args.copy
    )
    print(
        f"{len(frames)} sequences of {min(frames.values())} to {max(frames.values())} frames in {args.output}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
