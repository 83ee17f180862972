"""Convert masks from one format to another: ``aotlab convert masks.json cvat.xml --to cvat --video video.mp4``.

``aotlab convert results/batch OUT --to coco --merge --split 0.9`` makes one data set of a list of videos.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from aotlab import InputError, open_frames
from aotlab.sdk import (
    Annotations,
    FrameSource,
    VideoInfo,
    command,
    find_mask_writer,
    list_mask_formats,
    load_masks,
    merge_class_ids,
    order_names,
    read_annotations,
    store_frame,
)
from aotlab_studio.document.results import READABLE_OUTPUTS, RECORD_FILE, read_job

MERGED_FORMATS = ("coco", "yolo")
"""formats of a data set of several videos"""


@command("aotlab convert", "Convert masks of a video between formats.")
@click.argument("masks", metavar="IN", type=Path, help="file or folder of masks, as for track --mask")
@click.argument("output", metavar="OUT", type=Path, help="file or folder to write")
@click.option(
    "--to",
    required=True,
    type=click.Choice([*list_mask_formats(), "masks"]),
    help="format to write; masks: PNGs of object ids",
)
@click.option("--video", metavar="VIDEO", type=Path, help="the video, or its folder of frames")
@click.option(
    "--merge",
    is_flag=True,
    help="make one coco or yolo data set of IN, the --output of track --jobs, with its images",
)
@click.option(
    "--split",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    help="part of the videos of --merge in train; the others are in val (default: 1)",
)
@click.option("--force", is_flag=True, help="replace OUT if it exists")
def main(
    masks: Path, output: Path, *, to: str, video: Path | None, merge: bool, split: float, force: bool
) -> int:
    """Read, match the frames with the video's, and write."""
    if merge == (video is not None):
        raise InputError(
            "convert: give --video for the masks of one video, or --merge for results of several"
        )
    if split < 1 and not merge:
        raise InputError("--split: parts the videos of --merge; leave it out")
    if merge and to not in MERGED_FORMATS:
        raise InputError(f"--to {to}: holds one video; with --merge give one of {', '.join(MERGED_FORMATS)}")
    inputs = [path.resolve() for path in (masks, video) if path is not None]
    if any(output.resolve() in (path, *path.parents) for path in inputs):
        raise InputError(f"{output}: the output would replace the input; give another name")
    if output.exists() and not force and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(f"{output}: exists; give another name, or replace it with --force")
    if video is None:
        return merge_results(masks, output, to, split)
    from aotlab import write_mask

    source = open_frames(video)
    info = VideoInfo.from_source(source)
    annotations = read_annotations(masks, info)
    annotations.stems = {frame: source.stem(frame) for frame in annotations.frames}
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        written = Path(folder) / output.name
        if to == "masks":
            max_id = annotations.objects()[-1]
            for frame in annotations.frames:
                write_mask(written / f"{source.stem(frame)}.png", annotations.mask(frame), max_id=max_id)
        else:
            length = source.length or max(annotations.frames) + 1
            writer = find_mask_writer(to)
            writer.write(written, annotations, VideoInfo(source.name, source.size, length, str(source.rate)))
            if writer.images:
                for _ in store_images(source, annotations, written / "images"):
                    pass
        targets = {
            path: output.with_name(path.name) for path in Path(folder).iterdir()
        }  # some formats write two
        for path, target in targets.items():
            if target.exists() and target != output and not force:
                raise InputError(f"{target}: exists; give another name, or replace it with --force")
            require_replaceable(target, path)
        for path, target in targets.items():
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(path, target)
    suffix = "" if to == "masks" else Path(find_mask_writer(to).file_name).suffix
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


def merge_results(results: Path, output: Path, form: str, share: float) -> int:
    """Write one data set of the results of a list of videos: ``train`` and ``val``, each with annotations and images.

    Every video is in one of the two, with the frames that have masks. Class ids are the same in both.
    """
    folders = [path.parent for path in order_names(results.glob(f"*/{RECORD_FILE}"))]
    if len(folders) < (2 if share < 1 else 1):
        raise InputError(f"{results}: holds {len(folders)} tracked videos; give the --output of track --jobs")
    count = 0 if share == 1 else min(max(1, round((1 - share) * len(folders))), len(folders) - 1)
    held_back = {folders[(2 * number + 1) * len(folders) // (2 * count)] for number in range(count)}
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as temporary:
        clips = [read_clip(folder) for folder in folders]
        class_list, shared = Path(temporary) / "classes.json", dict[str, int]()
        for _, annotations in clips:
            shared = merge_class_ids(class_list, annotations.class_ids())
        merged = Path(temporary) / "merged"
        trees: dict[str, dict[str, Any]] = {}
        for folder, (source, annotations) in zip(folders, clips, strict=True):
            part, name = "val" if folder in held_back else "train", folder.name
            annotations.classes = shared
            images = [
                f"{name}/{path.name}"
                for path in store_images(source, annotations, merged / part / "images" / name)
            ]
            info = VideoInfo(name, source.size, source.length, str(source.rate))
            if form == "coco":
                find_mask_writer("coco").write(Path(temporary) / "coco.json", annotations, info)
                tree = json.loads((Path(temporary) / "coco.json").read_text(encoding="utf-8"))
                trees[part] = merge_trees(trees.get(part), tree, images)
            else:
                annotations.stems = {frame: f"{name}/{stem}" for frame, stem in annotations.stems.items()}
                find_mask_writer("yolo").write(merged / part, annotations, info)
                names = (merged / part / "data.yaml").read_text(encoding="utf-8").partition("names:")[2]
                (merged / part / "data.yaml").unlink()
                lines = f"train: train/images\nval: {'val' if count else 'train'}/images\nnames:{names}"
                (merged / "data.yaml").write_text(lines, encoding="utf-8")
        for part, tree in trees.items():
            (merged / f"{part}.json").write_text(json.dumps(tree) + "\n", encoding="utf-8")
        require_replaceable(output, merged)
        if output.is_dir():
            shutil.rmtree(output)
        os.replace(merged, output)
    print(f"{output}: {len(folders) - count} videos in train, {count} in val, {len(shared)} classes")
    return 0


def read_clip(folder: Path) -> tuple[FrameSource, Annotations]:
    """Return the video and the masks of a job's results; raise `InputError` without readable masks."""
    job = read_job(folder)
    readable = [name for name in READABLE_OUTPUTS if job is not None and name in job.written]
    if job is None or not readable:
        raise InputError(
            f"{folder}: contains no readable masks; track it again and write masks, coco or cvat"
        )
    source = open_frames(job.video, levels=job.levels)
    info = VideoInfo.from_source(source)
    annotations = read_annotations(folder / readable[0], info)
    if job.masks:  # PNGs have no class names
        given = load_masks(job.masks, info).annotations
        annotations.class_names = given.class_names | annotations.class_names
        annotations.classes = given.classes | annotations.classes
    annotations.stems = {frame: source.stem(frame) for frame in annotations.frames}
    return source, annotations


def store_images(source: FrameSource, annotations: Annotations, folder: Path) -> Iterator[Path]:
    """Store the annotated frames of a video, and yield their paths."""
    for index, image in zip(range(max(annotations.frames) + 1), source, strict=False):
        if index in annotations.frames:
            path = folder / source.stem(index)
            store_frame(source, index, image, path)
            yield next(path.parent.glob(f"{glob.escape(path.name)}.*"))


def merge_trees(merged: dict[str, Any] | None, tree: dict[str, Any], images: list[str]) -> dict[str, Any]:
    """Add the COCO JSON of a video, whose frames are stored under names, to that of others; ids become unique."""
    merged = merged or {**tree, "info": {}, "videos": [], "images": [], "annotations": []}
    video_id, first = len(merged["videos"]) + 1, len(merged["images"])
    ids = {image["id"]: first + number for number, image in enumerate(tree["images"], start=1)}
    merged["videos"] += [{**video, "id": video_id} for video in tree["videos"]]
    merged["images"] += [
        {**image, "id": ids[image["id"]], "video_id": video_id, "file_name": name}
        for image, name in zip(tree["images"], images, strict=True)
    ]
    merged["annotations"] += [
        {**record, "id": len(merged["annotations"]) + number, "image_id": ids[record["image_id"]]}
        for number, record in enumerate(tree["annotations"], start=1)
    ]
    return merged
