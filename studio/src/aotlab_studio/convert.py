"""Convert masks from one format to another: ``aotlab convert masks.json cvat.xml --to cvat --video video.mp4``.

``aotlab convert results/batch OUT --to coco --merge --split 0.9`` makes one data set of a list of videos.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
from click import UsageError

from aotlab import InputError, open_frames, sdk, write_mask
from aotlab_studio.document.log import FINAL_STATUSES, VideoStatus
from aotlab_studio.files import (
    REPLACED,
    ExportRecord,
    list_files,
    move_entries,
    read_json,
    restore_replaced,
    write_bytes,
    write_json,
)
from aotlab_studio.formats.yolo import format_labels, format_settings
from aotlab_studio.opening import load_job_masks
from aotlab_studio.session.clips import BatchClip, list_results

RECORD = ".aotlab-convert.json"
"""file in a written folder with the names of all others, which only --force replaces"""


@sdk.command("aotlab convert")
@click.argument("masks", metavar="IN", type=Path, help="file or folder of masks, as for track --mask")
@click.argument("output", metavar="OUT", type=Path, help="file or folder to write")
@click.option(
    "--to",
    required=True,
    type=sdk.Choice([*sdk.list_mask_formats(), "masks"]),
    help="format to write; masks: PNGs of object ids",
)
@click.option("--video", metavar="VIDEO", type=Path, help="the video, or its folder of frames")
@click.option(
    "--merge",
    is_flag=True,
    help="make one data set (coco, yolo, masks) of IN, the --output of track --jobs, with its images",
)
@click.option(
    "--split",
    metavar="SHARE",
    type=float,
    default=1.0,
    help="share of the videos of --merge that go to train, such as 0.9; the others, each as a whole and the same every "
    "time, go to val (default: 1)",
)
@click.option("--force", is_flag=True, help="replace OUT, a file or a folder of this command")
def main(
    masks: Path, output: Path, *, to: str, video: Path | None, merge: bool, split: float, force: bool
) -> int:
    """Convert masks from one format to another."""
    if merge == (video is not None):
        raise UsageError("--video: give --video for the masks of one video, or --merge for results of a list")
    if not 0 < split <= 1:
        raise UsageError(f"--split {split:g}: expected a share above 0 and at most 1, for example 0.9")
    if split < 1 and not merge:
        raise UsageError("--split: applies to --merge only; remove it")
    if merge and to not in MERGED_FORMATS:
        raise UsageError(f"--to {to}: holds one video; with --merge give one of {', '.join(MERGED_FORMATS)}")
    inputs = [path.resolve() for path in (masks, video) if path is not None]
    if any(output.resolve() in (path, *path.parents) for path in inputs):
        raise InputError(f"{output}: the output would replace the input; give another name")
    suffix = "" if merge or to == "masks" else Path(sdk.find_mask_writer(to).file_name).suffix
    require_replaceable(output, *([suffix, ""] if suffix else []), force=force)
    output.parent.mkdir(parents=True, exist_ok=True)
    restore_replaced(output.parent)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        made = Path(folder) / output.name
        if video is None:
            result, problems = merge_results(masks, made, to, split)
        else:
            result, problems = convert(masks, video, made, to), []
        for path in Path(folder).iterdir():  # some formats write two files
            suffixes = [path.suffix] if path.is_file() else []
            require_replaceable(output.with_name(path.name), *suffixes, force=force)
            if path.is_dir():
                write_json(path / RECORD, {"files": sorted(list_files(path))}, indent=1)
        move_entries(Path(folder), output.parent)
    if suffix and not output.suffix:
        print(
            f"warning: {output}: has no suffix; other programs expect {output.name}{suffix}", file=sys.stderr
        )
    print(f"{output}: {result}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


def require_replaceable(output: Path, *suffixes: str, force: bool) -> None:
    """Raise `InputError` for an output that is in the way; see `require_new_output`.

    With ``force`` too, every file of a folder must be written by a conversion.
    """
    if output.is_dir() and not suffixes:
        written = read_json(output / RECORD, ExportRecord).files | {RECORD}
        if other := next((name for name in list_files(output) if name not in written), ""):
            problem = f"holds {other}, which aotlab convert did not write"
            raise InputError(f"{output}: {problem}; give another name")
    sdk.require_new_output(output, *suffixes, force=force)


def convert(masks: Path, video: Path, output: Path, format_name: str) -> str:
    """Write the masks of a video in another format; return the numbers of objects and frames as text."""
    source = open_frames(video)
    info = sdk.VideoInfo.from_source(source)
    annotations = sdk.read_annotations(masks, info)
    if format_name == "masks":
        write_masks(annotations, output)
    else:
        length = source.length or max(annotations.frames) + 1
        writer = sdk.find_mask_writer(format_name)
        writer.write(output, annotations, replace(info, length=length))
        if writer.images:
            store_images(source, annotations, output / "images")
    objects, frames = len(annotations.objects()), len(annotations.frames)
    return f"{sdk.format_count(objects, 'object')} on {sdk.format_count(frames, 'frame')}"


class VideoMasks(NamedTuple):
    """A tracked video with the masks of its results."""

    name: str
    source: sdk.FrameSource
    annotations: sdk.Annotations


STATUS_NOTES: Mapping[VideoStatus, str] = {
    "rejected": "rejected, and left out",
    "in progress": "in progress, and without corrections since the last export",
}
"""what to say about videos of a status"""


def merge_results(results: Path, output: Path, format_name: str, train_share: float) -> tuple[str, list[str]]:
    """Write one data set of the results of a list of videos: ``train`` and ``val``, each with annotations and images.

    Every finished or corrected video that is not rejected is in one of the two, with the frames that have masks. Class
    ids are the same in both; classes without an object are left out.

    Returns:
        what is written, and sentences about videos that are left out.
    """
    clips = list_results(results)
    videos, notes, problems = collect_videos(clips)
    if len(videos) < (2 if train_share < 1 else 1):
        advice = "; ".join(problems) or "give the --output of track --jobs"
        raise InputError(f"{results}: holds {sdk.format_count(len(videos), 'tracked video')}; {advice}")
    names = {video.name: dict.fromkeys(video.annotations.class_names.values()) for video in videos}
    for problem in sdk.find_class_variants(names):
        raise InputError(f"{results}: {problem}")
    classes = merge_classes(results, [video.annotations for video in videos])
    # of all videos of the list, so that one that is left out does not change the part of another
    val_names = choose_val([clip.name for clip in clips], train_share)
    first_names = dict[str, str]()
    for clip in clips:
        if clip.name in names and (samples := clip.job.fingerprint.get("samples")):
            first = first_names.setdefault(samples, clip.name)
            if (first in val_names) != (clip.name in val_names):
                problem = "results of the same video, of which one is for train and one for val"
                raise InputError(f"{first} and {clip.name}: {problem}; delete one, or omit --split")
    parts = {"train": [video for video in videos if video.name not in val_names]}
    if val_names:
        parts["val"] = [video for video in videos if video.name in val_names]
    for video in videos:
        video.annotations.classes = classes
    for part, chosen in parts.items():
        if not chosen:
            remedy = "see why videos are left out, or change --split"
            raise InputError(f"{results}: no video is left for {part}; {remedy}")
        MERGED_FORMATS[format_name](part, chosen, output)
    train, val = (len(parts.get(part, ())) for part in ("train", "val"))
    count = f"{len(classes)} class" if len(classes) == 1 else f"{len(classes)} classes"
    return "; ".join(
        [f"{sdk.format_count(train, 'video')} in train, {val} in val, {count}", *notes]
    ), problems


def collect_videos(clips: Iterable[BatchClip]) -> tuple[list[VideoMasks], list[str], list[str]]:
    """Return the videos that can be used, notes about statuses, and sentences about the other videos."""
    videos = []
    by_status, by_problem = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for clip in clips:
        try:
            status = read_status(clip)
            if status != "rejected":
                videos.append(read_masks(clip))
            by_status[status].append(clip.name)
        except InputError as error:
            by_problem[str(error)].append(clip.name)
    notes = [f"{text}: {', '.join(by_status[key])}" for key, text in STATUS_NOTES.items() if key in by_status]
    return videos, notes, [f"{', '.join(names)}: {text}; left out" for text, names in by_problem.items()]


def choose_val(names: Sequence[str], train_share: float) -> set[str]:
    """Return the names of the videos that go to ``val``: the middle one of each of as many equal parts."""
    count = 0 if train_share == 1 else min(max(1, round((1 - train_share) * len(names))), len(names) - 1)
    return {names[int((part + 0.5) * len(names) / count)] for part in range(count)}


def write_merged_masks(part: str, videos: Sequence[VideoMasks], output: Path) -> None:
    """Write ``JPEGImages`` and ``Annotations`` of a folder per video, and classes in ``meta.json``, as YouTube-VOS."""
    objects = {}
    for name, source, masks in videos:
        store_images(source, masks, output / part / "JPEGImages" / name)
        write_masks(masks, output / part / "Annotations" / name)
        objects[name] = {"objects": describe_objects(masks)}
    write_json(output / part / "meta.json", {"videos": objects})


def write_merged_coco(part: str, videos: Sequence[VideoMasks], output: Path) -> None:
    """Write one COCO file, and its images."""
    tree: dict[str, Any] = {}
    for name, source, masks in videos:
        paths = store_images(source, masks, output / part / "images" / name)
        info = sdk.VideoInfo(name, source.size, source.length, str(source.rate))
        tree = merge_trees(tree, sdk.format_coco(masks, info), [f"{name}/{path.name}" for path in paths])
    write_json(output / f"{part}.json", tree)


def write_merged_yolo(part: str, videos: Sequence[VideoMasks], output: Path) -> None:
    """Write images and labels, and ``data.yaml``, in which the last part is the one to validate with."""
    for name, source, masks in videos:
        store_images(source, masks, output / part / "images" / name)
        masks.stems = {frame: f"{name}/{masks.stem(frame)}" for frame in masks.frames}
        for file, text in format_labels(masks).items():
            write_bytes(output / part / file, text.encode())
    settings = format_settings(videos[0].annotations.classes, "train/images", f"{part}/images")
    write_bytes(output / "data.yaml", settings.encode())


MERGED_FORMATS = {"coco": write_merged_coco, "yolo": write_merged_yolo, "masks": write_merged_masks}
"""formats of a data set of several videos, each written part by part: ``train``, then ``val``"""


def write_masks(annotations: sdk.Annotations, folder: Path) -> None:
    """Write the masks of a video as PNGs of object ids, named like its frames."""
    max_id = annotations.objects()[-1]
    for frame in annotations.frames:
        write_mask(folder / f"{annotations.stem(frame)}.png", annotations.mask(frame), max_id=max_id)


def describe_objects(annotations: sdk.Annotations) -> dict[str, Any]:
    """Return class and frames of each object by its id, as in the ``meta.json`` of YouTube-VOS."""
    frames: dict[int, list[str]] = {key: [] for key in annotations.objects()}
    for frame, region in annotations.regions():
        frames[region.object_id].append(annotations.stem(frame))
    return {str(key): {"category": annotations.class_name(key), "frames": frames[key]} for key in frames}


def merge_classes(results: Path, videos: Sequence[sdk.Annotations]) -> dict[str, int]:
    """Return class ids by name for the objects of several videos: those that their results share stay."""
    classes = sdk.read_class_ids(results / sdk.CLASSES)
    used = set[str]()
    for masks in videos:
        names = {masks.class_name(object_id) for object_id in masks.objects()}
        classes = sdk.add_class_ids(classes, {name: masks.classes.get(name) for name in sorted(names)})
        used |= names
    return {name: class_id for name, class_id in classes.items() if name in used}


def read_status(clip: BatchClip) -> VideoStatus:
    """Return the status of a clip; open if nobody has opened it.

    Raises:
        InputError: corrected or accepted masks are not exported, or an exported one is missing.
    """
    exported = read_json(clip.path / sdk.CORRECTED_FILE, ExportRecord)
    document, remedy = clip.read_document(), f"run aotlab export-clips {clip.path.parent}"
    status: VideoStatus = "open" if document is None else document.status.value
    if status == "rejected":
        return status
    folder = sdk.find_output("masks").file_name
    for file in sorted(exported.files):
        if file.startswith(f"{folder}/") and not (clip.path / file).is_file():
            raise InputError(f"{file}, an exported mask, is missing; {remedy}")
    if document is not None and document.log.edited and status in FINAL_STATUSES:
        snapshot, is_killed = document.snapshot, any(clip.path.glob(f"{REPLACED}*"))
        if is_killed or (exported.digest, exported.objects) != (snapshot.digest, snapshot.objects_digest):
            raise InputError(f"its {status} masks are not exported; {remedy}")
    return status


def read_masks(clip: BatchClip) -> VideoMasks:
    """Return the video and the masks of the results of a clip."""
    job = clip.job
    if job.error:
        raise InputError(job.error)
    video = sdk.find_video(clip.path, job)
    sdk.require_same_video(clip.path, job, video)
    source = open_frames(video, levels=job.levels)
    info = sdk.VideoInfo.from_source(source)
    annotations = sdk.read_annotations(clip.path, info)
    annotations.classes = load_job_masks(job, info).classes | annotations.classes
    return VideoMasks(clip.name, source, annotations)


def store_images(source: sdk.FrameSource, annotations: sdk.Annotations, folder: Path) -> list[Path]:
    """Store the annotated frames of a video; return their paths."""
    frames = zip(range(max(annotations.frames) + 1), source, strict=False)
    return [
        sdk.store_frame(source, index, image, folder / source.stem(index))
        for index, image in frames
        if index in annotations.frames
    ]


def merge_trees(merged: dict[str, Any], tree: dict[str, Any], images: list[str]) -> dict[str, Any]:
    """Add the COCO JSON of a video to a merged one, with its images stored under names; ids become unique."""
    merged = merged or {**tree, "info": {}, "videos": [], "images": [], "annotations": []}
    video_id, first = len(merged["videos"]) + 1, len(merged["images"])
    ids = {image["id"]: first + number for number, image in enumerate(tree["images"], start=1)}
    merged["videos"] += [{**video, "id": video_id} for video in tree["videos"]]
    for image, name in zip(tree["images"], images, strict=True):
        merged["images"].append({**image, "id": ids[image["id"]], "video_id": video_id, "file_name": name})
    for number, record in enumerate(tree["annotations"], start=len(merged["annotations"]) + 1):
        merged["annotations"].append({**record, "id": number, "image_id": ids[record["image_id"]]})
    return merged
