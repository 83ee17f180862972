"""One data set of all videos of a batch: images, masks and classes, for training and for validation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import aotlab_video
from aotlab import InputError, write_mask
from aotlab.media.masks import VOID
from aotlab.utils.files import write_bytes
from aotlab.utils.run_folder import EXPORT_RECORD, MASKS
from aotlab.utils.text import format_count
from aotlab_studio.batch.clips import BatchClip
from aotlab_studio.document.document import Document
from aotlab_studio.formats.yolo import format_labels, format_settings
from aotlab_studio.utils.files import ExportRecord, read_json, write_json
from aotlab_video import open_frames


class VideoMasks(NamedTuple):
    """A video with its masks."""

    name: str
    source: aotlab_video.FrameSource
    annotations: aotlab_video.Annotations
    digest: str
    """Digest of the video's content, by which copies are found; empty: unknown."""


def merge_clips(
    folder: Path, clips: Sequence[BatchClip], output: Path, format_name: str, train_fraction: float
) -> tuple[str, list[str]]:
    """Write one data set of a batch, with the parts ``train`` and, if the fraction is below 1, ``val``.

    Each part has images and annotations; both have the same class ids. Videos without masks are left out. Returns
    what is written, and an error message for each unusable clip.
    """
    videos, notes, problems = collect_videos(clips)
    names = {video.name: dict.fromkeys(video.annotations.class_names.values()) for video in videos}
    for problem in aotlab_video.find_class_variants(names):
        raise InputError(f"{folder}: {problem}")
    # val is spread evenly over all clips, so that a clip keeps its part if another is left out
    num_val = 0 if train_fraction == 1 else min(max(1, round((1 - train_fraction) * len(clips))), len(clips) - 1)
    val_names = {clips[int((part + 0.5) * len(clips) / num_val)].name for part in range(num_val)}
    first_copies = dict[str, str]()
    for video in videos:
        first = first_copies.setdefault(video.digest or video.name, video.name)
        if (first in val_names) != (video.name in val_names):
            problem = "copies of one video, one in train and one in val"
            raise InputError(f"{first} and {video.name}: {problem}; delete one, or omit --split")
    parts = {"train": [video for video in videos if video.name not in val_names]}
    if train_fraction < 1:
        parts["val"] = [video for video in videos if video.name in val_names]
    for part, part_videos in parts.items():
        if not part_videos:
            remedy = "; ".join([*problems, *notes]) or "give the --output of track --jobs, or change --split"
            raise InputError(f"{folder}: no usable video for {part}; {remedy}")
    classes = merge_classes(folder, [video.annotations for video in videos])
    for video in videos:
        video.annotations.classes = classes
    for part, part_videos in parts.items():
        MERGED_FORMATS[format_name](part, part_videos, output)
    count = f"{len(classes)} class" if len(classes) == 1 else f"{len(classes)} classes"
    written = f"{format_count(len(parts['train']), 'video')} in train, {len(parts.get('val', ()))} in val"
    return "; ".join([f"{written}, {count}", *notes]), problems


def collect_videos(clips: Iterable[BatchClip]) -> tuple[list[VideoMasks], list[str], list[str]]:
    """Return the usable videos, notes on clips that are left out or doubtful, and error messages."""
    videos = []
    by_note, by_problem = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for clip in clips:
        try:
            document = clip.read_document()
            if clip.is_video and not (document and document.snapshot.annotated_frames):
                by_note["no masks, and left out"].append(clip.name)
                continue
            if not clip.is_video:
                require_exported(clip, document)
            videos.append(read_masks(clip))
        except InputError as error:
            by_problem[str(error)].append(clip.name)
    notes = [f"{text}: {', '.join(names)}" for text, names in by_note.items()]
    return videos, notes, [f"{', '.join(names)}: {text}; left out" for text, names in by_problem.items()]


def merge_classes(folder: Path, videos: Sequence[aotlab_video.Annotations]) -> dict[str, int]:
    """Return class ids by name for the objects of several videos; ids in the batch's file of classes stay."""
    classes = aotlab_video.read_class_ids(folder / aotlab_video.CLASSES)
    used = set[str]()
    for masks in videos:
        names = {masks.class_name(object_id) for object_id in masks.objects()}
        classes = aotlab_video.add_class_ids(classes, {name: masks.classes.get(name) for name in sorted(names)})
        used |= names
    return {name: class_id for name, class_id in classes.items() if name in used}


def require_exported(clip: BatchClip, document: Document | None) -> None:
    """Raise `InputError` if the corrected masks of results are not exported, or one is missing."""
    exported = read_json(clip.path / EXPORT_RECORD, ExportRecord)
    folder = MASKS
    remedy = f"run aotlab export-clips {clip.path.parent}"
    for file in sorted(exported.files):
        if file.startswith(f"{folder}/") and not (clip.path / file).is_file():
            raise InputError(f"{file}, an exported mask, is missing; {remedy}")
    if document and document.log.has_history and document.snapshot.content_digest != exported.digest:
        raise InputError(f"its corrected masks are not exported; {remedy}")


def read_masks(clip: BatchClip) -> VideoMasks:
    """Return a clip's video with the masks of its results, or of its project if it is a video."""
    results = clip.results
    if results.problem:
        raise InputError(results.problem)
    video = results.find_video()
    results.require_same_video(video)
    source = open_frames(video, clip.source_options)
    info = aotlab_video.VideoInfo.from_source(source)
    annotations = aotlab_video.read_annotations(clip.project if clip.is_video else clip.path, info)
    annotations.classes = results.classes.class_ids | annotations.classes
    fingerprint = aotlab_video.digest_video(video) if clip.is_video else results.fingerprint
    return VideoMasks(clip.name, source, annotations, fingerprint.get("sha256", ""))


def write_merged_masks(part: str, videos: Sequence[VideoMasks], output: Path) -> None:
    """Write ``JPEGImages``, ``Annotations`` and classes in ``meta.json``, with a folder per video, as YouTube-VOS."""
    objects = {}
    for name, source, masks, _ in videos:
        store_images(source, masks, output / part / "JPEGImages" / name)
        write_masks(masks, output / part / "Annotations" / name)
        items = dict[str, dict[str, Any]]()
        for frame, region in masks.regions():
            key = str(region.object_id)
            if region.area or key in items:  # an object's first frame in the file is that of its given mask
                item = items.setdefault(key, {"category": masks.class_name(region.object_id), "frames": []})
                item["frames"].append(masks.frame_name(frame))
        if items:
            objects[name] = {"objects": items}
    write_json(output / part / "meta.json", {"videos": objects})


def write_merged_coco(part: str, videos: Sequence[VideoMasks], output: Path) -> None:
    """Write one COCO file and its images. Object ids are unique in their video, all other ids in the file."""
    merged: dict[str, Any] = {"info": {}, "categories": [], "videos": [], "images": [], "annotations": []}
    images, annotations = merged["images"], merged["annotations"]
    for video_id, (name, source, masks, _) in enumerate(videos, start=1):
        paths = store_images(source, masks, output / part / "images" / name)
        info = aotlab_video.VideoInfo(name, source.size, source.length, str(source.rate))
        tree = aotlab_video.format_coco(masks, info)
        ids = {}
        merged["categories"] = tree["categories"]  # the same for all videos
        merged["videos"] += [{**video, "id": video_id} for video in tree["videos"]]
        for image, path in zip(tree["images"], paths, strict=True):
            ids[image["id"]] = image_id = len(images) + 1
            image |= {"id": image_id, "video_id": video_id, "file_name": f"{name}/{path.name}"}
            images.append(image)
        for record in tree["annotations"]:
            record |= {"id": len(annotations) + 1, "image_id": ids[record["image_id"]]}
            annotations.append(record)
    write_json(output / f"{part}.json", merged)


def write_merged_yolo(part: str, videos: Sequence[VideoMasks], output: Path) -> None:
    """Write images, labels and ``data.yaml``; of several parts, the last one is for validation."""
    for name, source, masks, _ in videos:
        store_images(source, masks, output / part / "images" / name)
        masks.frame_names = {frame: f"{name}/{masks.frame_name(frame)}" for frame in masks.frames}
        for file, text in format_labels(masks).items():
            write_bytes(output / part / file, text.encode())
    settings = format_settings(videos[0].annotations.classes, "train/images", f"{part}/images")
    write_bytes(output / "data.yaml", settings.encode())


MERGED_FORMATS = {"coco": write_merged_coco, "yolo": write_merged_yolo, "masks": write_merged_masks}
"""Writers of one part of a data set, by format; ``train`` is written first, then ``val``."""


def write_masks(annotations: aotlab_video.Annotations, folder: Path) -> None:
    """Write the masks of a video as PNGs of object ids, named like its frames."""
    max_id = annotations.objects()[-1]
    for frame in annotations.frames:
        mask = annotations.mask(frame)
        if frame in annotations.void and max_id < VOID:
            mask = mask.astype(np.uint8)
            mask[annotations.void_mask(frame)] = VOID
        write_mask(folder / f"{annotations.frame_name(frame)}.png", mask, max_id=max_id)


def store_images(source: aotlab_video.FrameSource, annotations: aotlab_video.Annotations, folder: Path) -> list[Path]:
    """Store the annotated frames of a video; return their paths."""
    frames = zip(range(max(annotations.frames) + 1), source, strict=False)
    return [
        aotlab_video.store_frame(source, index, image, folder / source.frame_name(index))
        for index, image in frames
        if index in annotations.frames
    ]
