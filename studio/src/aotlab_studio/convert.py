"""Convert masks from one format to another: ``aotlab convert masks.json cvat.xml --to cvat --video video.mp4``."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

import click

from aotlab import InputError
from aotlab.sdk import command, list_mask_formats


@command("aotlab convert", "Convert masks of a video between formats.")
@click.argument("masks", metavar="IN", type=Path, help="file or folder of masks, as for track --mask")
@click.argument("output", metavar="OUT", type=Path, help="file or folder to write")
@click.option(
    "--to",
    required=True,
    type=click.Choice([*list_mask_formats(), "masks"]),
    help="format to write; masks: PNGs of object ids",
)
@click.option("--video", metavar="VIDEO", type=Path, required=True, help="the video, or its folder of frames")
@click.option("--force", is_flag=True, help="replace OUT if it exists")
def main(args: Namespace) -> int:
    """Read, match the frames with the video's, and write."""
    output: Path = args.output
    inputs = [args.masks.resolve(), args.video.resolve()]
    if any(output.resolve() in (path, *path.parents) for path in inputs):
        raise InputError(f"{output}: the output would replace the input; give another name")
    if output.exists() and not args.force and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(f"{output}: exists; give another name, or replace it with --force")
    from aotlab import open_frames, write_mask
    from aotlab.sdk import VideoInfo, find_mask_writer, read_annotations, store_frame

    source = open_frames(args.video)
    info = VideoInfo.from_source(source)
    annotations = read_annotations(args.masks, info)
    annotations.stems = {frame: source.stem(frame) for frame in annotations.frames}
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        written = Path(folder) / output.name
        if args.to == "masks":
            max_id = annotations.objects()[-1]
            for frame in annotations.frames:
                write_mask(written / f"{source.stem(frame)}.png", annotations.mask(frame), max_id=max_id)
        else:
            length = source.length or max(annotations.frames) + 1
            writer = find_mask_writer(args.to)
            writer.write(written, annotations, VideoInfo(source.name, source.size, length, str(source.rate)))
            if writer.images:
                for index, image in zip(range(max(annotations.frames) + 1), source, strict=False):
                    if index in annotations.frames:
                        store_frame(source, index, image, written / "images" / source.stem(index))
        targets = {
            path: output.with_name(path.name) for path in Path(folder).iterdir()
        }  # some formats write two
        for path, target in targets.items():
            if target.exists() and target != output and not args.force:
                raise InputError(f"{target}: exists; give another name, or replace it with --force")
            require_replaceable(target, path)
        for path, target in targets.items():
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(path, target)
    suffix = "" if args.to == "masks" else Path(find_mask_writer(args.to).file_name).suffix
    if suffix and not output.suffix:
        print(
            f"warning: {output}: has no suffix; other programs expect {output.name}{suffix}", file=sys.stderr
        )
    counts = {"object": len(annotations.objects()), "frame": len(annotations.frames)}
    objects, frames = (f"{count} {noun}{'s' * (count != 1)}" for noun, count in counts.items())
    print(f"{output}: {objects} on {frames}")
    return 0


def require_replaceable(output: Path, written: Path) -> None:
    """Raise `InputError` if an existing folder holds more than files like those to be written."""
    if not output.is_dir():
        return
    suffixes = {path.suffix for path in written.rglob("*") if path.is_file()}
    for path in output.rglob("*"):
        if path.is_file() and path.suffix not in suffixes:
            raise InputError(
                f"{output}: holds {path.name}, which --force does not replace; give another name"
            )
