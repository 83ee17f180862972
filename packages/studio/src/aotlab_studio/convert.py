"""Convert masks from one format to another: ``aotlab convert masks.json cvat.xml --to cvat --video video.mp4``.

``aotlab convert results/batch OUT --to coco --merge --split 0.9`` makes one data set of several videos.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
from click import UsageError

import aotlab_video
from aotlab import InputError, sdk
from aotlab.tools.cli.command import require_new_output
from aotlab.tools.cli.types import Choice
from aotlab.utils.files import list_files
from aotlab.utils.locks import locked
from aotlab.utils.text import format_count
from aotlab_studio.batch.clips import find_clips
from aotlab_studio.batch.dataset import MERGED_FORMATS, merge_clips, store_images, write_masks
from aotlab_studio.utils import files
from aotlab_video import SourceOptions, open_frames
from aotlab_video.commands.options import mask_format, mask_start_number, output_options

RECORD = ".aotlab-convert.json"
"""File in a written folder with the names of all its files. With --force, the command replaces only these."""


@sdk.command("aotlab convert")
@click.argument(
    "masks",
    metavar="IN",
    type=Path,
    help="file or folder of masks, as for track --mask; with --merge: results of track --jobs, or a folder of "
    "annotated videos",
)
@click.argument("output", metavar="OUT", type=Path, help="file or folder to write")
@click.option(
    "--to",
    required=True,
    type=Choice([*aotlab_video.list_mask_formats(), "masks"]),
    help="format to write; masks: PNGs of object ids",
)
@click.option("--video", metavar="VIDEO", type=Path, help="the video, or its folder of frames")
@mask_start_number
@mask_format
@click.option(
    "--merge", is_flag=True, help="make one data set (coco, yolo, masks) of several videos, with their images"
)
@click.option(
    "--split",
    metavar="FRACTION",
    type=float,
    default=1.0,
    help="with --merge: fraction of the videos to put into train, such as 0.9; the others go to val (default: 1)",
)
@output_options(aotlab_video.list_mask_formats())
@click.option("--force", is_flag=True, help="replace OUT: a file, or a folder that this command wrote")
def main(
    masks: Path,
    output: Path,
    *,
    to: str,
    video: Path | None,
    mask_start_number: int | None,
    mask_format: aotlab_video.MaskFormat | None,
    merge: bool,
    split: float,
    force: bool,
    **output_options: Any,
) -> int:
    """Convert masks from one format to another."""
    if merge == (video is not None):
        raise UsageError("--video: give --video for the masks of one video, or --merge for those of several")
    if not 0 < split <= 1:
        raise UsageError(f"--split {split:g}: expected a fraction above 0 and at most 1, for example 0.9")
    if merge and (mask_start_number, mask_format) != (None, None):
        name = aotlab_video.START_NUMBER_OPTION if mask_format is None else aotlab_video.FORMAT_OPTION
        raise UsageError(f"{name}: applies to --video only; remove it")
    if split < 1 and not merge:
        raise UsageError("--split: applies to --merge only; remove it")
    if merge and to not in MERGED_FORMATS:
        raise UsageError(f"--to {to}: holds one video; with --merge give one of {', '.join(MERGED_FORMATS)}")
    if output.name in ("", ".."):
        raise UsageError(f"OUT {output}: give the name of a file or folder to write")
    if merge and not masks.is_dir():
        raise InputError("not a folder" if masks.exists() else "no such folder", subject=masks)
    values = {name: value for name, value in output_options.items() if value}
    options = aotlab_video.parse_output_options(values, [to])
    clips = find_clips(masks, prefer_results=True) if merge else []
    inputs = [masks, *filter(None, [video]), *(Path(clip.results.video) for clip in clips if clip.results.video)]
    suffix = "" if merge or to == "masks" else Path(aotlab_video.find_mask_writer(to).file_name).suffix
    require_replaceable(output, suffix, inputs, force=force)
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        locked(output.with_name(f".{output.name}.lock"), 0, subject=output),
        files.make_staging(output.with_name(f".{output.name}.new")) as staging,
    ):
        if video is None:
            result, problems = merge_clips(masks, clips, staging / output.name, to, split)
        else:
            info = {"start_number": mask_start_number, "mask_format": mask_format}
            result, problems = convert(masks, video, staging / output.name, to, info, options), []
        for path in staging.iterdir():  # some formats write two files
            suffix = path.suffix.lower() if path.is_file() else ""
            require_replaceable(output.with_name(path.name), suffix, inputs, force=force)
            if path.is_dir():
                files.write_json(path / RECORD, {"files": sorted(list_files(path))}, indent=1)
        files.move_entries(staging, output.parent)
    print(f"{output}: {result}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


def require_replaceable(output: Path, suffix: str, inputs: Sequence[Path], *, force: bool) -> None:
    """Raise `InputError` if an output exists (see `require_new_output`), or would replace an input.

    Without a suffix, the output is a folder. Even with ``force``, a conversion must have written every file in it.
    """
    target = output.resolve()
    if replaced := next((path for path in inputs if path.resolve().is_relative_to(target)), None):
        raise InputError(f"{output}: the output would replace the input {replaced}; give another name")
    if output.is_dir() and not suffix:
        written = {*files.read_json(output / RECORD, files.ExportRecord).files, RECORD}
        if other := next((name for name in list_files(output) if name not in written), ""):
            raise InputError(f"{output}: holds {other}, which aotlab convert did not write; give another name")
    require_new_output(output, *filter(None, [suffix]), force=force)


def convert(
    masks: Path,
    video: Path,
    output: Path,
    format_name: str,
    statements: Mapping[str, Any] = MappingProxyType({}),
    options: Mapping[str, Any] = aotlab_video.NO_OPTIONS,
) -> str:
    """Write the masks of a video in another format; return a text with the numbers of objects and frames.

    ``statements``: fields of `VideoInfo` that the user states about the masks. ``options``: those of the format.
    """
    source = open_frames(video, SourceOptions(interlaced=True))
    info = replace(aotlab_video.VideoInfo.from_source(source), **statements)
    annotations = aotlab_video.read_annotations(masks, info, check=aotlab_video.require_ids)
    if format_name == "masks":
        write_masks(annotations, output)
    else:
        length = source.length or max(annotations.frames) + 1
        writer = aotlab_video.find_mask_writer(format_name)
        writer.write_file(output, annotations, replace(info, length=length), **options)
        if writer.images:
            store_images(source, annotations, output / "images")
    objects, frames = len(annotations.objects()), len(annotations.frames)
    return f"{format_count(objects, 'object')} on {format_count(frames, 'frame')}"
