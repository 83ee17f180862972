"""Draw a model's identities and attention: ``aotlab inspect bundled video.mp4 --box 150,2,310,410 --frame 19``."""

from __future__ import annotations

from pathlib import Path

import click
from click import UsageError

from aotlab.tools.cli.command import command, option_group, require_new_output
from aotlab.tools.cli.options import device, force_file, plugin_files, settings
from aotlab.tools.cli.types import Checkpoint, ExistingPath, File, Folder, PositiveInt, option
from aotlab.tools.cli.video_options import prompt_options
from aotlab.utils.errors import require, require_modules
from aotlab.utils.files import make_folder


@command(
    "aotlab inspect",
    epilog="identities.png has the cosines of the identities of each bank; attention.png, for each object, the "
    "attention of the first block from its pixels on the frame to the frames in long-term memory. Both need the extra "
    "plot.",
)
@click.argument("checkpoint", metavar="CHECKPOINT", type=Checkpoint, help="file, or name of `aotlab weights`")
@click.argument("video", metavar="VIDEO", type=ExistingPath, help="video file or folder of frames")
@settings
@option("--mask", type=File, help="PNG with the ids of the first frame's objects")
@option_group("prompts", *prompt_options(frames=False))
@option("--frame", type=PositiveInt, default=19, help="frame whose attention is drawn, counted from 0")
@option("--output", type=Folder, default=Path("results/inspect"), help="folder for the images")
@device
@plugin_files
@force_file
def main(
    *, checkpoint: Path, video: Path, overrides: tuple[str, ...], mask: Path | None, boxes: tuple[str, ...],
    points: tuple[str, ...], negative_points: tuple[str, ...], frame: int, output: Path, device: str, force: bool,
) -> int:  # fmt: skip
    if (mask is None) == (not (boxes or points)):
        raise UsageError("--mask: give either a mask of the first frame, or --box and --point")
    require_new_output(output, force=force)
    require_modules("matplotlib")
    from aotlab.benchmark.inspection import compare_identities, draw_attention, draw_identities, measure_attention
    from aotlab.engine.tracking.tracker import Tracker
    from aotlab.media.frame_prompts import group_prompts
    from aotlab.media.masks import read_mask
    from aotlab.media.video import open_frames

    frames = open_frames(video)
    count = len(frames)
    require(frame < count, f"the video has frames 0 to {count - 1}", subject=f"--frame {frame}", remedy="give another")
    prompts = group_prompts(boxes, points, negative_points, find_index=lambda _: 0, frame_number=int).get(0)
    tracker = Tracker.from_pretrained(checkpoint, overrides=overrides, device=device)
    tracker.step(frames[0], None if mask is None else read_mask(mask), prompts=prompts)
    for index in range(1, frame):
        tracker.step(frames[index])
    image = frames[frame]
    objects = measure_attention(tracker, tracker.predict(image))
    require(objects, "no object is visible", subject=f"--frame {frame}", remedy="give another frame")
    make_folder(output)
    draw_identities(output / "identities.png", compare_identities(tracker.model))
    draw_attention(output / "attention.png", image, objects)
    print(f"{output}: identities.png, attention.png of {', '.join(f'object {item.object_id}' for item in objects)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
