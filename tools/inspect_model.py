"""Draw a model's identities and attention: ``aotlab inspect bundled frames --mask frames.png --frame 19``."""

from __future__ import annotations

from pathlib import Path

import click

from aotlab.tools.cli.command import command, require_new_output
from aotlab.tools.cli.options import device, force_file, plugin_files, settings
from aotlab.tools.cli.types import Checkpoint, ExistingFolder, File, Folder, PositiveInt, option
from aotlab.utils.errors import require, require_modules
from aotlab.utils.files import make_folder


@command(
    "aotlab inspect",
    epilog="identities.png has the cosines of the identities of each bank; attention.png, for each object, the "
    "attention of the first block from its pixels on the frame to the frames in long-term memory. Both need the extra "
    "plot.",
)
@click.argument("checkpoint", metavar="CHECKPOINT", type=Checkpoint, help="file, or name of `aotlab weights`")
@click.argument("frames", metavar="FRAMES", type=ExistingFolder, help="folder of frames, JPEG or PNG")
@settings
@option("--mask", type=File, required=True, help="PNG with the ids of the first frame's objects")
@option("--frame", type=PositiveInt, default=19, help="frame whose attention is drawn, counted from 0")
@option("--output", type=Folder, default=Path("results/inspect"), help="folder for the images")
@device
@plugin_files
@force_file
def main(
    *, checkpoint: Path, frames: Path, overrides: tuple[str, ...], mask: Path, frame: int, output: Path, device: str,
    force: bool,
) -> int:  # fmt: skip
    require_new_output(output, force=force)
    require_modules("matplotlib")
    from aotlab.benchmark.inspection import compare_identities, draw_attention, draw_identities, measure_attention
    from aotlab.dataloaders.sequences import list_frames
    from aotlab.engine.tracking.tracker import Tracker
    from aotlab.media.images import read_image
    from aotlab.media.masks import read_mask

    files = list_frames(frames)
    problem = f"the folder has frames 0 to {len(files) - 1}"
    require(frame < len(files), problem, subject=f"--frame {frame}", remedy="give another")
    tracker = Tracker.from_pretrained(checkpoint, overrides=overrides, device=device)
    tracker.step(read_image(files[0]), read_mask(mask))
    for file in files[1:frame]:
        tracker.step(read_image(file))
    image = read_image(files[frame])
    objects = measure_attention(tracker, tracker.predict(image))
    require(objects, "no object is visible", subject=f"--frame {frame}", remedy="give another frame")
    make_folder(output)
    draw_identities(output / "identities.png", compare_identities(tracker.model))
    draw_attention(output / "attention.png", image, objects)
    print(f"{output}: identities.png, attention.png of {', '.join(f'object {item.object_id}' for item in objects)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
