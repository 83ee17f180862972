"""Convert VISOR as distributed to the layout that ``--dataset visor`` reads.

aotlab convert_visor --annotations GroundTruth-SparseAnnotations/annotations/val \
    --images GroundTruth-SparseAnnotations/rgb_frames/val --split val --output datasets/VISOR_2022
"""

from __future__ import annotations

import sys
from pathlib import Path

from aotlab.tools.cli.parser import CommandParser, command, report_failures, require_paths
from aotlab.utils.errors import require_extra
from aotlab.utils.files import require_writable


@command
def main(argv: list[str] | None = None) -> int:
    """Write frames, masks and lists; returns 0, or 1 if something was skipped as broken."""
    parser = CommandParser("convert_visor", "Convert VISOR's polygons and frames to a data set.")
    parser.add_argument(
        "--annotations", metavar="DIR", type=Path, required=True, help="folder of the split's JSON files"
    )
    parser.add_argument(
        "--images", metavar="DIR", type=Path, required=True, help="folder with <video>/<frame>.jpg"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, required=True, help="folder of the data set to write"
    )
    split = "val keeps only the objects of the first frame"
    parser.add_argument("--split", choices=("train", "val"), default="val", help=split)
    args = parser.parse_args(argv)
    require_paths(args.annotations, args.images)
    require_extra("score")
    require_writable(args.output)
    from aotlab.dataloaders.benchmarks.visor import convert_visor

    done = convert_visor(args.annotations, args.images, args.output, args.split)
    print(f"{args.output}: {len(done.frames)} sequences, {sum(done.frames.values())} masks")
    if done.too_short:
        print(f"left out, as too short: {len(done.too_short)}")
    return report_failures(done.failures)


if __name__ == "__main__":
    sys.exit(main())
