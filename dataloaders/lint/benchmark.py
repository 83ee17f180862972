"""Checks of a benchmark through its reader: unreadable files and masks of other sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aotlab.dataloaders.benchmarks.sequences import Video, list_masks
from aotlab.dataloaders.lint.files import Facts, Finding, check_frame, check_mask, size_of
from aotlab.dataloaders.lint.folder import LEVELS, LintResult, gather
from aotlab.masks.id_maps import VOID
from aotlab.masks.object_masks import files_of, read_given
from aotlab.utils.errors import InputError
from aotlab.utils.progress import progress_bar


def lint_videos(
    videos: Sequence[Video], *, decode: bool = True, workers: int = 2, progress: bool = False
) -> LintResult:
    """Check the files of a data set's videos.

    Args:
        decode: decode whole files; false: only their headers.
    """
    report = LintResult([], units=len(videos), objects=0 if decode else None)
    with progress_bar(len(videos), unit="video", shown=progress) as bar, ThreadPoolExecutor(workers) as pool:
        for video in videos:
            paths = list(_masks(video))
            seen = pool.map(lambda path: check_frame(path, decode=decode), video.frames)
            frames = dict(zip(video.frames, seen, strict=True))
            masks = dict(
                zip(paths, pool.map(lambda path: check_mask(path, decode=decode), paths), strict=True)
            )
            report.findings += gather(_check(video, frames, masks))
            report.frames += len(frames)
            labelled = {path.stem for path in paths} | {video.frames[index].stem for index in video.masks}
            report.labelled += len(labelled & {path.stem for path in frames})
            report.sizes.update(facts.size for facts in frames.values() if facts.size)
            if report.objects is not None:
                report.objects += _objects(video, masks)
            bar.update()
    report.findings.sort(key=lambda finding: LEVELS.index(finding.level))
    return report


def _masks(video: Video) -> Iterable[Path]:
    given = (path for mask in video.masks.values() for path in files_of(mask))
    separate = (path for folder in video.object_folders.values() for path in list_masks(folder))
    return dict.fromkeys((*given, *video.annotations, *separate))


def _check(video: Video, frames: Mapping[Path, Facts], masks: Mapping[Path, Facts]) -> Iterator[Finding]:
    if video.problem is not None:
        yield Finding("error", Path(video.name), video.problem)
    for facts in (*frames.values(), *masks.values()):
        yield from facts.findings
    sizes = {path.stem: facts.size for path, facts in frames.items()}
    for path, facts in masks.items():
        frame = sizes.get(path.stem)
        if frame is None:
            if path.stem not in sizes:
                yield Finding("warning", path, "mask without a frame, not used; add the frame")
        elif facts.size not in (None, frame, video.output_size(*frame)):
            message = (
                f"{size_of(facts.size)}, but its frame is {size_of(frame)}; give a mask of the frame's size"
            )
            yield Finding("error", path, message)
    for index, mask in video.masks.items():
        size = frames[video.frames[index]].size
        if isinstance(mask, Path) or size is None:
            continue
        try:
            read_given(mask, size=size)
        except InputError as error:
            yield Finding("error", mask.source, str(error).removeprefix(f"{mask.source}: "))


def _objects(video: Video, masks: Mapping[Path, Facts]) -> int:
    """Return the number of listed objects, else of those in the masks."""
    if video.objects:
        return len(video.objects)
    found = {object_id for facts in masks.values() for object_id in facts.ids or ()}
    return len(found - {VOID}) if not video.merge_ids else int(bool(found))
