"""A mask of an image or a video's frame from boxes and points: ``aotlab mask image.jpg --box 10,20,200,100``."""

from __future__ import annotations

from pathlib import Path

import click
from click import UsageError

from aotlab.media.names import MASK_ENDING, OVERLAY_ENDING
from aotlab.tools.cli.command import command, option_group, require_new_output
from aotlab.tools.cli.options import force_file, plugin_files
from aotlab.tools.cli.types import ExistingPath, File, option
from aotlab.utils.files import atomic_path, sibling_path
from aotlab_video.commands.options import Frame, frame_numbers_option, prompt_options, segmenter_option


@command(
    "aotlab mask",
    epilog="A value is for object 1; write :2=X,Y for object 2. Repeating an option adds to its object.",
)
@click.argument("source", metavar="IMAGE|VIDEO", type=ExistingPath, help="image, video file, or folder of frames")
@option("--frame", type=Frame, help="frame of a video, or its time code (default: the first)")
@frame_numbers_option
@option_group("prompts", *prompt_options(frames=False), segmenter_option(), plugin_files)
@option(
    "--output",
    type=File,
    help="PNG to write, with an overlay next to it (default: NAME.mask.png next to the image or video)",
)
@force_file
def main(
    source: Path, *, frame: int | str | None, frame_numbers: str, boxes: tuple[str, ...], points: tuple[str, ...],
    negative_points: tuple[str, ...], segmenter: str | tuple[Path, Path] | None, output: Path | None, force: bool,
) -> int:  # fmt: skip
    from PIL import Image

    from aotlab.media.masks import write_mask
    from aotlab.media.names import IMAGE_SUFFIXES
    from aotlab.media.overlay import draw_ids, draw_overlay
    from aotlab.sdk import load_segmenter, require_pixels
    from aotlab_video.masks.frame_prompts import group_prompts
    from aotlab_video.runs.frame_numbers import FrameNumbers
    from aotlab_video.sources.frames import ImageFrames
    from aotlab_video.sources.source_options import SourceOptions
    from aotlab_video.sources.video import open_frames

    if output is not None and output.resolve() != source.resolve():
        require_new_output(output, ".png", force=force)
    is_image = source.suffix.lower() in IMAGE_SUFFIXES and not source.is_dir()
    frames = ImageFrames(source) if is_image else open_frames(source, SourceOptions(interlaced=True))
    numbers = FrameNumbers(frames, by_name=frame_numbers == "file")
    index = 0 if frame is None else numbers.index(frame)
    output = output or sibling_path(source, f".{numbers.number(index)}{MASK_ENDING}" if index else MASK_ENDING)
    overlay = output.with_name(f"{output.stem.removesuffix('.mask')}{OVERLAY_ENDING}")
    if source.resolve() in (output.resolve(), overlay.resolve()):
        raise UsageError(f"--output {output}: is the image itself; give another name")
    require_new_output(output, ".png", force=force)
    require_new_output(overlay, ".jpg", force=force)
    by_frame = group_prompts(
        boxes, points, negative_points,
        find_index=lambda named: index if named is None else numbers.index(named), frame_number=numbers.number,
    )  # fmt: skip
    if [*by_frame] != [index]:
        raise UsageError(f"{source}: give --box X,Y,W,H or --point X,Y, on the frame of --frame")
    by_id = by_frame[index]
    image = frames.read(index)
    labels = load_segmenter(segmenter)(image, by_id)
    require_pixels(labels, by_id)
    write_mask(output, labels, max_id=max(by_id))
    with atomic_path(overlay) as temporary:
        Image.fromarray(draw_ids(draw_overlay(image, labels), labels)).save(temporary, quality=90)
    counts = ", ".join(f"object {object_id} {(labels == object_id).sum()} pixels" for object_id in by_id)
    print(f"{output}: {counts}; drawn in {overlay.name}")
    return 0
