"""Convert VISOR as distributed to the layout that ``--dataset visor`` reads.

aotlab convert-visor --annotations GroundTruth-SparseAnnotations/annotations/val \
    --images GroundTruth-SparseAnnotations/rgb_frames/val --split val --output datasets/VISOR_2022
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from aotlab.tools.cli.command import command, report_failures
from aotlab.tools.cli.options import force_file
from aotlab.tools.cli.types import Choice, ExistingFolder, Folder, option
from aotlab.utils.locks import locked_output
from aotlab.utils.text import format_count


@command("aotlab convert-visor")
@option("--annotations", type=ExistingFolder, required=True, help="folder of the split's JSON files")
@option("--images", type=ExistingFolder, required=True, help="folder with <video>/<frame>.jpg")
@option("--output", type=Folder, required=True, help="folder of the data set to write")
@option("--split", type=Choice(("train", "val")), default="val", help="val keeps only the objects of the first frame")
@force_file
def main(*, annotations: Path, images: Path, output: Path, split: Literal["train", "val"], force: bool) -> int:
    from aotlab.evaluation.benchmarks.visor import convert_visor

    with locked_output(output):
        converted = convert_visor(annotations, images, output, split, force=force)
    sequences, masks = format_count(len(converted.names), "sequence"), format_count(converted.masks, "mask")
    print(f"{output}: {sequences}, {masks}")
    if converted.too_short:
        print(f"skipped: {format_count(converted.too_short, 'sequence')} with too few masks")
    return report_failures(converted.failures)


if __name__ == "__main__":
    raise SystemExit(main())
