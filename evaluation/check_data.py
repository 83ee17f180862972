"""Checks of data before training: unreadable files, other sizes, names that do not match, ids that change, copies."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from aotlab.dataloaders import sequences
from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.object_masks import list_mask_files
from aotlab.dataloaders.training.layouts import VIDEO_LAYOUTS, find_paths, read_video_folders
from aotlab.dataloaders.training.sets import MIN_FRAMES, MaskReader, read_ids
from aotlab.dataloaders.training.shared_videos import find_shared_videos, sample_frames
from aotlab.evaluation.benchmark import Benchmark
from aotlab.media.images import read_image
from aotlab.media.masks import VOID, read_mask
from aotlab.media.smoothing import SHARP, describe_smoothing
from aotlab.utils.digests import digest_files
from aotlab.utils.errors import InputError
from aotlab.utils.progress import progress_bar
from aotlab.utils.text import format_count

DataKind = Literal["video", "static"]
MAX_THUMBNAIL = 256
"""Largest side of the reduced masks in which swapped ids are looked for, in pixels."""
MIN_SWAPPED_IOU = 0.3
"""IoU with the object of another id in the mask before, from which ids may be swapped."""
LAYOUTS: Mapping[DataKind, str] = {
    "video": "JPEGImages/<video>/00000.jpg and so on, with Annotations/<video>/00000.png of the same names, "
    f"{MIN_FRAMES} masks per video or more",
    "static": "JPEGImages/<set>/x.jpg with Annotations/<set>/x.png of the same names",
}


@dataclass(frozen=True)
class Finding:
    """A problem of a file or folder."""

    level: Literal["error", "warning"]
    """Error: training fails or learns wrong labels; warning: part of the data is not used as intended."""
    file: Path
    message: str
    """Problem; remedy."""
    repeats: int = 0
    """Number of further files in the folder with the same message."""

    def __str__(self) -> str:
        """Return one line: ``LEVEL file: problem; remedy``."""
        more = f" ({self.repeats} more in this folder)" if self.repeats else ""
        return f"{self.level} {self.file}: {self.message}{more}"


make_error, make_warning = partial(Finding, "error"), partial(Finding, "warning")


def to_finding(path: Path, error: InputError) -> Finding:
    """Return an error about a file."""
    return make_error(path, str(error).removeprefix(f"{path}: "))


class FileInfo(NamedTuple):
    """Size and ids of a frame or mask."""

    size: tuple[int, int] | None = None
    """(height, width); None: unreadable."""
    ids: tuple[int, ...] | None = None
    """Values of a mask besides 0, ascending; None: not a mask, or not ids."""
    finding: Finding | None = None
    thumbnail: np.ndarray | None = None
    """Mask of several ids, reduced to at most `MAX_THUMBNAIL` pixels."""


FileInfos = Mapping[Path, FileInfo]


@dataclass
class CheckResult:
    """Findings and amount of data."""

    findings: list[Finding] = field(default_factory=list)
    num_videos: int = 0
    """Number of videos or sets of single images."""
    num_frames: int = 0
    num_labeled: int = 0
    """Number of frames with a mask."""
    num_objects: int = 0
    """Number of ids per video or image, added up."""
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Number of frames by (height, width)."""


def check_folder(root: Path, kind: DataKind, *, validation: Path | None = None, workers: int = 2) -> CheckResult:
    """Check ``root/JPEGImages`` and ``root/Annotations`` before training; ``kind``: video, or static for single images.

    ``validation``: folder of validation videos that must not be among these.

    Raises `InputError` if the folders do not exist.
    """
    layouts = VIDEO_LAYOUTS if kind == "video" else VIDEO_LAYOUTS[-1:]
    images, masks = find_paths(root, layouts, LAYOUTS[kind])
    names, loose = sequences.list_subfolders(images), sequences.list_images_by_stem(images)
    unused = "masks without frames in a folder of this name (letter case counts), not used; add them"
    others = sorted({*sequences.list_subfolders(masks)} - {*names})
    findings = [make_warning(masks / name, unused) for name in others]
    folders = [(images / name, masks / name) for name in names]
    if loose and kind == "static":
        folders.append((images, masks))
    elif loose:
        message = "frame outside a video's folder, not used; make a folder per video, or use kind static for images"
        findings.append(make_error(loose[0], message))
    videos = []
    for frames, labels in folders:
        video = Video(frames.name, sequences.list_images_by_stem(frames), {}, sequences.list_masks(labels))
        findings += _check_names(frames, video.frames, "JPEG or PNG")
        findings += _check_names(labels, video.annotations, "palette PNG")
        videos.append(video)
    min_masks = MIN_FRAMES if kind == "video" else 1
    if all(len(sequences.match_masks(video.frames, video.annotations)) < min_masks for video in videos):
        findings.append(make_error(root, f"nothing to train on; expected {LAYOUTS[kind]}"))
    if kind == "video":
        findings += _check_copies(root, videos, read_video_folders(validation) if validation else [])
    result = check_videos(videos, kind=kind, workers=workers)
    return replace(result, findings=_merge_warnings(findings) + result.findings)


def _check_copies(root: Path, videos: Sequence[Video], validation: Sequence[Video]) -> Iterator[Finding]:
    """Yield validation videos that are also trained on, and videos with the frames of another one.

    ``validation``: videos of another folder; the list ``ImageSets/val.txt`` names more.
    """
    lists = (root / "ImageSets" / f"{name}.txt" for name in ("train", "val"))
    train_names, val_names = ({*sequences.read_names(path)} if path.is_file() else set[str]() for path in lists)
    train_names = train_names or {video.name for video in videos} - val_names
    trained = [video for video in videos if video.name in train_names]
    held = [*validation, *(video for video in videos if video.name in val_names)]
    for video, frame in find_shared_videos(held, chain.from_iterable(video.frames for video in trained)):
        message = f"a validation video that is also trained on, {frame}; remove one of them, or correct the lists"
        yield make_error(video.frames[0].parent, message)
    owners: dict[object, str] = {}
    for video in trained:
        digests = (*digest_files(sample_frames(video), "comparing videos"),)
        if digests and (owner := owners.setdefault(digests, video.name)) != video.name:
            yield make_warning(video.frames[0].parent, f"same frames as {owner}; remove one of them")


def check_videos(
    videos: Sequence[Video], *, kind: DataKind = "video", benchmark: Benchmark | None = None, workers: int = 2
) -> CheckResult:
    """Check the files of videos, or of single images, whose folders are given as videos.

    ``benchmark``: check what its scores need, instead of what training needs.
    """
    result = CheckResult()
    with ThreadPoolExecutor(workers) as pool, progress_bar(len(videos), unit="video" if benchmark else "folder") as bar:
        for video in videos:
            given = [path for mask in video.reference_masks.values() for path in list_mask_files(mask)]
            separate = chain.from_iterable(map(sequences.list_masks, video.object_folders.values()))
            mask_files = list(dict.fromkeys([*given, *video.annotations, *separate]))
            read_mask_info = partial(read_file_info, read=read_mask if benchmark else read_ids)
            frames = dict(zip(video.frames, pool.map(read_file_info, video.frames), strict=True))
            masks = dict(zip(mask_files, pool.map(read_mask_info, mask_files), strict=True))
            findings = [] if video.load_error is None else [make_error(Path(video.name), video.load_error)]
            findings += _check_files(frames, masks)
            if kind == "static":
                findings += _check_images(masks)
            else:
                findings += [*_check_same_size(frames), *_check_video_ids(video, masks), *_check_swapped_ids(masks)]
                findings += _check_training(video) if benchmark is None else _check_scores(benchmark, video, masks)
            result.findings += _merge_warnings(findings)
            _count_files(result, video, frames, masks, is_static=kind == "static")
            bar.update()
    return result


def _count_files(result: CheckResult, video: Video, frames: FileInfos, masks: FileInfos, *, is_static: bool) -> None:
    """Add the counts of a video to a result."""
    ids_by_file = [{*info.ids} for info in masks.values() if info.ids is not None]
    ids = set[int]().union(*ids_by_file)
    num_objects = len(video.objects) or (int(bool(ids)) if video.merge_ids else len(ids - {VOID}))
    if is_static:
        num_objects = sum(len(image_ids - {VOID}) or len(image_ids) for image_ids in ids_by_file)
    stems = {path.stem for path in masks} | {video.frames[index].stem for index in video.reference_masks}
    result.num_videos += 1
    result.num_frames += len(frames)
    result.num_labeled += len(stems & {path.stem for path in frames})
    result.sizes.update(info.size for info in frames.values() if info.size)
    result.num_objects += num_objects


def read_file_info(path: Path, *, read: MaskReader | None = None) -> FileInfo:
    """Return the size of a frame, or with ``read`` size and ids of a mask."""
    try:
        pixels = read_image(path) if read is None else read(path)
    except InputError as error:
        return FileInfo(finding=to_finding(path, error))
    size = (pixels.shape[0], pixels.shape[1])
    if read is None:
        return FileInfo(size)
    ids = tuple(np.unique(pixels[pixels > 0]).tolist())
    problem = describe_smoothing(pixels)
    finding = make_warning(path, f"{problem}; {SHARP}") if problem else None
    step = -(-max(size) // MAX_THUMBNAIL)
    return FileInfo(size, ids, finding, pixels[::step, ::step] if len(ids) > 1 else None)


def _merge_warnings(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings with one line for all warnings of a folder with the same message."""
    groups: dict[tuple[str, Path], Finding] = {}
    for finding in findings:
        key = finding.message, finding.file if finding.level == "error" else finding.file.parent
        first = groups.get(key)
        groups[key] = finding if first is None else replace(first, repeats=first.repeats + 1)
    return list(groups.values())


def _check_files(frames: FileInfos, masks: FileInfos) -> Iterator[Finding]:
    """Yield unreadable files, masks of another size than their frame, and masks without a frame."""
    for info in (*frames.values(), *masks.values()):
        if info.finding is not None:
            yield info.finding
    by_stem = {path.stem: (path, info.size) for path, info in frames.items()}
    labeled = {path.stem for path in masks}
    unlabeled = {_normalize_stem(stem): path for stem, (path, _) in by_stem.items() if stem not in labeled}
    for path, info in masks.items():
        if path.stem in by_stem:
            size = by_stem[path.stem][1]
            if size and info.size and size != info.size:
                sizes = f"{_format_size(info.size)}, but its frame is {_format_size(size)}"
                yield make_error(path, f"{sizes}; give a mask of the frame's size")
        elif frame := unlabeled.get(_normalize_stem(path.stem)):
            yield make_error(path, f"name differs from its frame {frame.name}; rename the mask to {frame.stem}.png")
        else:
            yield make_warning(path, "no frame of this name, not used; add the frame or remove the mask")


def _check_names(folder: Path, files: Sequence[Path], formats: str) -> Iterator[Finding]:
    """Yield the files of a folder that are not read."""
    known = set(files)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path not in known and not path.name.startswith(".") and not path.is_dir():
            yield make_warning(path, f"not read; convert it to {formats}, or remove it")


def _check_same_size(frames: FileInfos) -> Iterator[Finding]:
    """Yield the frames of another size than most frames of their video."""
    counts = Counter(info.size for info in frames.values() if info.size)
    for path, info in frames.items():
        if info.size and info.size != (usual := counts.most_common(1)[0][0]):
            sizes = f"{_format_size(info.size)}, but most frames of its video {_format_size(usual)}"
            yield make_error(path, f"{sizes}; give frames of one size, or use kind static for single images")


def _check_images(masks: FileInfos) -> Iterator[Finding]:
    """Yield the masks of single images that show no object."""
    for path, info in masks.items():
        if info.ids == ():
            yield make_warning(path, "no object; draw one or remove the pair")


def _check_training(video: Video) -> Iterator[Finding]:
    """Yield a video with too few masks for training."""
    labeled = len(sequences.match_masks(video.frames, video.annotations))
    if labeled < MIN_FRAMES:
        remedy = f"training needs {MIN_FRAMES} masks or more, so add masks or remove the video"
        folder = video.frames[0].parent if video.frames else Path(video.name)
        yield make_warning(folder, f"{format_count(labeled, 'frame')} with a mask; {remedy}")


def _check_scores(benchmark: Benchmark, video: Video, masks: FileInfos) -> Iterator[Finding]:
    """Yield the objects of a benchmark's video that no annotation has, and the frames without one."""
    if unlabeled := benchmark.list_unlabeled(video):
        folder = video.annotations[0].parent
        count = format_count(len(unlabeled), "frame")
        yield make_warning(folder, f"{count} without a mask, such as {unlabeled[0].name}, not scored; restore them")
    if video.load_error is not None or video.merge_ids or not video.annotations or not benchmark.has_annotations(video):
        return
    ids = {object_id for info in masks.values() for object_id in info.ids or ()}
    try:
        expected = {item.object_id for item in benchmark.strict().plan(video).objects}
    except InputError as error:
        yield to_finding(video.annotations[0], error)
        return
    if absent := expected - ids:
        listed = ", ".join(map(str, sorted(absent)))
        yield make_warning(video.annotations[0], f"no mask has object {listed}; renumber the objects from 1")


def _check_video_ids(video: Video, masks: FileInfos) -> Iterator[Finding]:
    """Yield findings about the ids of a video's masks, in order."""
    ids_by_file = {path: info.ids for path, info in masks.items() if info.ids is not None}
    if not ids_by_file:
        return
    objects = {path: {*ids} - {VOID} for path, ids in ids_by_file.items()}
    first = next(iter(objects))
    listed_ids = {item.object_id for item in video.objects}
    if not any(ids_by_file.values()):
        yield make_error(first, "no mask of this video has an object; draw the objects")
    elif video.merge_ids or video.object_folders:
        return
    elif not any(objects.values()):
        yield make_error(
            first,
            "the only values in the masks of this video are 0 and 255, and 255 is ignored; write the object as 1, or "
            "train with kind davis and a split 2016/..., which treats every value above 0 as one object",
        )
    elif not objects[first]:
        yield make_warning(first, "the first mask has no object; start the video where one is visible, or draw it")
    else:
        seen = set(objects[first])
        for path, ids in objects.items():
            if ids - seen - listed_ids:
                late = ", ".join(map(str, sorted(ids - seen - listed_ids)))
                remedy = "correct for an object that appears later, else give it its earlier id"
                yield make_warning(path, f"id {late} is not in the first mask, {first.name}; {remedy}")
            seen |= ids


def _check_swapped_ids(masks: FileInfos) -> Iterator[Finding]:
    """Yield the masks in which objects have the ids of others in the mask before, but not where they change back."""
    earlier: tuple[Path, np.ndarray] | None = None
    swapped = frozenset[int]()
    for path, info in masks.items():
        if info.thumbnail is None:
            continue
        if earlier is not None and earlier[1].shape == info.thumbnail.shape:
            ids = find_swapped_ids(earlier[1], info.thumbnail)
            if ids and ids != swapped:
                listed = ", ".join(map(str, sorted(ids)))
                problem = f"ids {listed} are swapped, as the objects overlap those of other ids in {earlier[0].name}"
                yield make_error(path, f"{problem}; swap them here, and in later masks until they change back")
            if ids:
                swapped = frozenset() if ids == swapped else ids
        earlier = path, info.thumbnail


def find_swapped_ids(first: np.ndarray, second: np.ndarray) -> frozenset[int]:
    """Return the ids that have been swapped among objects between two masks H×W, by their overlap."""
    ids = np.setdiff1d(np.intersect1d(first, second), (0, VOID))
    planes = [(labels.reshape(1, -1) == ids[:, None]).astype(np.float32) for labels in (first, second)]
    shared = planes[0] @ planes[1].T
    if len(ids) < 2:
        return frozenset()
    iou = shared / (planes[0].sum(1)[:, None] + planes[1].sum(1) - shared)
    source, own = iou.argmax(axis=0), np.arange(len(ids))
    found = (source != own) & (iou[source, own] >= MIN_SWAPPED_IOU) & (2 * iou[own, own] < iou[source, own])
    # keep only complete permutations; a queue of cars shifts without swapping
    for _ in ids:
        found &= found[source] & np.isin(own, source[found])
    return frozenset(ids[found].tolist())


def _normalize_stem(stem: str) -> str:
    """Return a name in lower case without leading zeros of numbers."""
    return re.sub(r"\d+", lambda match: str(int(match[0])), stem).casefold()


def _format_size(size: tuple[int, int]) -> str:
    """Return a size (height, width) as text, WIDTH×HEIGHT."""
    return f"{size[1]}×{size[0]}"
