"""Checks of data before training: unreadable files, masks of other sizes, names that do not match, ids that change."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from aotlab.dataloaders.benchmarks.sequences import FRAME_SUFFIXES, Video, list_masks
from aotlab.dataloaders.training.sets import MIN_FRAMES, VIDEO_LAYOUTS, list_files_by_stem, list_subfolders
from aotlab.media.images import open_image, require_jpeg_end
from aotlab.media.masks import VOID
from aotlab.media.matching import order_names
from aotlab.media.object_masks import list_mask_files, read_labels
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_folder
from aotlab.utils.progress import progress_bar

DataKind = Literal["video", "static"]
MAX_VALUES = 60
"""largest number of values in a mask; blur and JPEG cause more"""
MAX_SIZES = 3
"""largest number of frame sizes in a video; single images have more"""
MASK_MODES = ("1", "P", "L", "I", "I;16", "I;16B")
LAYOUTS: Mapping[DataKind, str] = {
    "video": "expected JPEGImages/<video>/00000.jpg and so on, with Annotations/<video>/00000.png of the same names, "
    f"{MIN_FRAMES} masks per video or more",
    "static": "expected JPEGImages/<set>/x.jpg with Annotations/<set>/x.png of the same names",
}


@dataclass(frozen=True)
class Finding:
    """A problem of a file or folder."""

    level: Literal["error", "warning"]
    """error: training stops or goes wrong; warning: part of the data is not used as intended"""
    file: Path
    message: str
    """problem; remedy"""
    others: int = 0
    """number of further files in the folder with the same message"""

    def __str__(self) -> str:
        """Return one line: ``LEVEL file: problem; remedy``."""
        more = f" ({self.others} more in this folder)" if self.others else ""
        return f"{self.level} {self.file}: {self.message}{more}"


error, warning = partial(Finding, "error"), partial(Finding, "warning")


class FileFacts(NamedTuple):
    """Facts read from a frame or mask."""

    size: tuple[int, int] | None = None
    """(height, width); None: unreadable"""
    ids: tuple[int, ...] | None = None
    """values of a mask besides 0, ascending; None: not a mask, not ids, or not decoded"""
    finding: Finding | None = None


Facts = Mapping[Path, FileFacts]


@dataclass
class LintResult:
    """Findings and amount of data."""

    findings: list[Finding] = field(default_factory=list)
    units: int = 0
    """number of videos or sets of single images"""
    frames: int = 0
    labelled: int = 0
    """number of frames with a mask"""
    objects: int | None = 0
    """number of ids per video or image, added up; None: masks were not decoded"""
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    """number of frames by (height, width)"""

    @property
    def errors(self) -> int:
        """Number of findings that are errors."""
        return sum(finding.level == "error" for finding in self.findings)


def lint_folder(
    root: Path, kind: DataKind, *, decode: bool = True, workers: int = 2, progress: bool = False
) -> LintResult:
    """Check ``root/JPEGImages`` and ``root/Annotations``.

    Args:
        kind: video, or static for single images.
        decode: decode whole files; false: only their headers, which hold size and mode but no ids.

    Raises:
        InputError: no such folder, or it holds several sets.
    """
    if not is_folder(root):
        raise InputError(f"{root}: no such folder; give the folder that holds JPEGImages/ and Annotations/")
    forms = VIDEO_LAYOUTS if kind == "video" else (("JPEGImages", "Annotations"),)
    pairs = ((root / image_form, root / mask_form) for image_form, mask_form in forms)
    pair = next((pair for pair in pairs if is_folder(pair[0]) and is_folder(pair[1])), None)
    if pair is None:
        lacking = [root / name for name in ("JPEGImages", "Annotations") if not is_folder(root / name)]
        sets = [name for name in list_subfolders(root) if is_folder(root / name / "JPEGImages")]
        if sets:
            raise InputError(f"{root}: holds several sets; check each of them: {', '.join(sets)}")
        return LintResult([error(folder, f"no such folder; {LAYOUTS[kind]}") for folder in lacking])
    images, masks = pair
    result = LintResult(objects=0 if decode else None)
    names = list_subfolders(images)
    loose = list_files_by_stem(images, FRAME_SUFFIXES)
    if loose and kind == "static":
        names.append(".")
    elif loose:
        stray = images / min(loose.values())
        advice = "make a folder per video, or use kind static for images"
        result.findings.append(error(stray, f"frame outside a video's folder, not used; {advice}"))
    for name in sorted(set(list_subfolders(masks)) - set(names)):
        result.findings.append(
            warning(masks / name, "masks without frames, not used; add them or remove the masks")
        )
    usable = 0
    with (
        ThreadPoolExecutor(workers) as pool,
        progress_bar(len(names), unit="folder", enabled=progress) as bar,
    ):
        for name in names:
            folder, labels = images / name, masks / name
            frames = _read(_list_files(folder, FRAME_SUFFIXES), check_frame, pool, decode=decode)
            annotations = _read(_list_files(labels, (".png",)), check_mask, pool, decode=decode)
            labelled = {path.stem for path in frames} & {path.stem for path in annotations}
            usable += len(labelled) >= (MIN_FRAMES if kind == "video" else 1)
            findings = [
                *_check_names(folder, labels, frames, annotations),
                *_check_files(frames, annotations),
            ]
            ids = {path: facts.ids for path, facts in annotations.items() if facts.ids is not None}
            if kind == "video":
                findings += _check_same_size(folder, frames)
                findings += _check_video_ids(folder, len(labelled), ids)
                objects = len(set().union(*ids.values()) - {VOID})
            else:
                findings += [
                    warning(path, "no object; draw one or remove the pair") for path in ids if not ids[path]
                ]
                objects = sum(
                    len(set(mask_ids) - {VOID}) or int(mask_ids == (VOID,)) for mask_ids in ids.values()
                )
            _add(result, findings, frames, labelled=len(labelled), objects=objects)
            bar.update()
    if not usable:
        result.findings.append(error(root, f"nothing to train on; {LAYOUTS[kind]}"))
    return replace(result, findings=sorted(result.findings, key=lambda finding: finding.level))


def lint_videos(
    videos: Sequence[Video], *, decode: bool = True, workers: int = 2, progress: bool = False
) -> LintResult:
    """Check the files of a benchmark's videos; ``decode`` as in `lint_folder`."""
    result = LintResult(objects=0 if decode else None)
    with (
        ThreadPoolExecutor(workers) as pool,
        progress_bar(len(videos), unit="video", enabled=progress) as bar,
    ):
        for video in videos:
            separate = [path for folder in video.object_folders.values() for path in list_masks(folder)]
            mask_files = [path for mask in video.masks.values() for path in list_mask_files(mask)]
            frames = _read(video.frames, check_frame, pool, decode=decode)
            masks = _read(
                dict.fromkeys([*mask_files, *video.annotations, *separate]), check_mask, pool, decode=decode
            )
            findings = [error(Path(video.name), video.problem)] if video.problem is not None else []
            findings += [*_check_files(frames, masks), *_check_object_masks(video, frames)]
            stems = {path.stem for path in masks} | {video.frames[index].stem for index in video.masks}
            ids = {object_id for facts in masks.values() for object_id in facts.ids or ()}
            num_objects = int(bool(ids)) if video.merge_ids else len(ids - {VOID})
            labelled = len(stems & {path.stem for path in frames})
            _add(result, findings, frames, labelled=labelled, objects=len(video.objects) or num_objects)
            bar.update()
    return replace(result, findings=sorted(result.findings, key=lambda finding: finding.level))


def check_frame(path: Path, *, decode: bool) -> FileFacts:
    """Return the size of a frame from its header; ``decode`` decodes the whole file."""
    try:
        with open_image(path, "image", "download or save it again, or remove it") as image:
            if decode:
                require_jpeg_end(path, image)
                image.load()
            return FileFacts((image.height, image.width))
    except InputError as problem:
        return FileFacts(finding=error(path, str(problem).removeprefix(f"{path}: ")))


def check_mask(path: Path, *, decode: bool) -> FileFacts:
    """Return the size of a mask, and its ids if ``decode``."""
    values = np.empty(0, np.uint8)
    try:
        with open_image(path, "mask", "download or save it again, or remove it") as image:
            size, kind, mode = (image.height, image.width), image.format, image.mode
            if decode and kind == "PNG" and mode in MASK_MODES:
                values = np.unique(np.asarray(image))
    except InputError as problem:
        return FileFacts(finding=error(path, str(problem).removeprefix(f"{path}: ")))
    ids = tuple(values[values != 0].tolist())
    if kind != "PNG":
        finding = error(path, f"{kind} file, whose compression changes ids; save the mask as palette PNG")
    elif mode not in MASK_MODES:
        advice = "but a mask holds one id per pixel; save it as palette (mode P) or grey PNG"
        finding = error(path, f"mode {mode}, {advice}")
    elif ids and (ids[-1] > VOID or ids[0] < 0):
        finding = error(path, f"id {ids[-1]}; ids of training masks must be 1 to 254")
    elif len(ids) > MAX_VALUES:
        advice = "save ids without smoothing, resizing or JPEG"
        finding = warning(path, f"more than {MAX_VALUES} values, like a blurred mask; {advice}")
    else:
        return FileFacts(size, ids if decode else None)
    return FileFacts(size, None, finding)


def _list_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List files by stem as the training readers do."""
    return order_names(folder / file for file in list_files_by_stem(folder, suffixes).values())


def _read(paths: Iterable[Path], check, pool: ThreadPoolExecutor, *, decode: bool) -> dict[Path, FileFacts]:  # type: ignore[no-untyped-def]
    paths = list(paths)
    return dict(zip(paths, pool.map(partial(check, decode=decode), paths), strict=True))


def _add(
    result: LintResult, findings: Iterable[Finding], frames: Facts, *, labelled: int, objects: int
) -> None:
    """Add a video or set; warnings with the same message are grouped, one per folder."""
    groups: dict[tuple[str, Path], Finding] = {}
    for finding in findings:
        key = finding.message, finding.file if finding.level == "error" else finding.file.parent
        first = groups.get(key)
        groups[key] = finding if first is None else replace(first, others=first.others + 1)
    result.findings += groups.values()
    result.units += 1
    result.frames += len(frames)
    result.labelled += labelled
    result.sizes.update(facts.size for facts in frames.values() if facts.size)
    if result.objects is not None:
        result.objects += objects


def _check_files(frames: Facts, masks: Facts) -> Iterator[Finding]:
    """Yield unreadable files, masks of another size than their frame, and masks without a frame."""
    for facts in (*frames.values(), *masks.values()):
        if facts.finding is not None:
            yield facts.finding
    by_stem = {path.stem: (path, facts.size) for path, facts in frames.items()}
    unlabelled = {_normalise_stem(stem): path for stem, (path, _) in by_stem.items()}
    for path in masks:
        unlabelled.pop(_normalise_stem(path.stem), None) if path.stem in by_stem else None
    for path, facts in masks.items():
        if path.stem in by_stem:
            size = by_stem[path.stem][1]
            fits = size is None or facts.size in (None, size)
            if not fits:
                advice = "give a mask of the frame's size"
                yield error(
                    path, f"{_format_size(facts.size)}, but its frame is {_format_size(size)}; {advice}"
                )
        elif frame := unlabelled.get(_normalise_stem(path.stem)):
            yield error(
                path, f"name differs from its frame {frame.name}; rename the mask to {frame.stem}.png"
            )
        else:
            yield warning(path, "no frame of this name, not used; add the frame or remove the mask")


def _check_object_masks(video: Video, frames: Facts) -> Iterator[Finding]:
    """Yield given masks of separate objects that cannot be read."""
    for index, mask in video.masks.items():
        size = frames[video.frames[index]].size
        if not isinstance(mask, Path) and size is not None:
            try:
                read_labels(mask, size=size)
            except InputError as problem:
                yield error(mask.source, str(problem).removeprefix(f"{mask.source}: "))


def _check_names(images: Path, masks: Path, frames: Facts, labels: Facts) -> Iterator[Finding]:
    """Yield files that the training readers do not read."""
    for folder, files, names in ((images, frames, "JPEG or PNG"), (masks, labels, "palette PNG")):
        for path in sorted(folder.iterdir()) if is_folder(folder) else ():
            if path not in files and not path.name.startswith(".") and not is_folder(path):
                yield warning(path, f"not read; convert it to {names}, or remove it")


def _check_same_size(folder: Path, frames: Facts) -> Iterator[Finding]:
    counts = Counter(facts.size for facts in frames.values() if facts.size)
    if len(counts) > MAX_SIZES:
        advice = "give frames of one size, or if they are single images use kind static"
        yield error(folder, f"frames of {len(counts)} sizes; {advice}")
        return
    for path, facts in frames.items():
        usual = counts.most_common(1)[0][0] if counts else None
        if facts.size not in (None, usual):
            majority = f"most frames of its video {_format_size(usual)}"
            yield error(path, f"{_format_size(facts.size)}, but {majority}; give frames of one size")


def _check_video_ids(folder: Path, labelled: int, masks: Mapping[Path, Sequence[int]]) -> Iterator[Finding]:
    """Yield findings about the number of masks of a video, and their ids in order."""
    if labelled < MIN_FRAMES:
        advice = f"training needs {MIN_FRAMES} masks or more, so add masks or remove the video"
        yield warning(folder, f"{labelled} frames with a mask; {advice}")
    objects = {path: set(ids) - {VOID} for path, ids in masks.items()}
    if not masks:
        return
    first = next(iter(masks))
    if not set().union(*objects.values()) and any(masks.values()):
        yield error(
            first,
            "the masks of this video hold only 0 and 255, and 255 is ignored; write the object as 1, or train with "
            "kind davis and a split 2016/..., which uses all but 0 as one object",
        )
    elif not objects[first]:
        yield warning(first, "the first mask has no object; start the video where one is visible, or draw it")
    else:
        seen = set(objects[first])
        for path, ids in objects.items():
            if ids - seen:
                late = ", ".join(map(str, sorted(ids - seen)))
                advice = "correct for an object that appears later, else give it its earlier id"
                yield warning(path, f"id {late} is not in the first mask, {first.name}; {advice}")
            seen |= ids


def _normalise_stem(stem: str) -> str:
    """Return a name in lower case without leading zeros of numbers."""
    return re.sub(r"\d+", lambda match: str(int(match[0])), stem).casefold()


def _format_size(size: tuple[int, int] | None) -> str:
    """Return a size (height, width) as text, WIDTH×HEIGHT."""
    return "unknown" if size is None else f"{size[1]}×{size[0]}"
