"""Checks of a benchmark through its reader: unreadable files and masks of other sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from aotlab.dataloaders.benchmarks.sequences import Video, list_masks
from aotlab.dataloaders.lint.files import Facts, Finding, check_frame, check_mask, check_size, error, warning
from aotlab.dataloaders.lint.folder import LintResult
from aotlab.media.masks import VOID
from aotlab.media.object_masks import list_mask_files, read_labels
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
            frames, masks = (
                dict(zip(paths, pool.map(partial(check, decode=decode), paths), strict=True))
                for paths, check in ((video.frames, check_frame), (_masks(video), check_mask))
            )
            stems = {path.stem for path in masks} | {video.frames[index].stem for index in video.masks}
            labelled = len(stems & {path.stem for path in frames})
            objects = _objects(video, masks)
            report.add(_check(video, frames, masks), frames.values(), labelled=labelled, objects=objects)
            bar.update()
    return report.sorted()


def _masks(video: Video) -> list[Path]:
    given = (path for mask in video.masks.values() for path in list_mask_files(mask))
    separate = (path for folder in video.object_folders.values() for path in list_masks(folder))
    return list(dict.fromkeys((*given, *video.annotations, *separate)))


def _check(video: Video, frames: Mapping[Path, Facts], masks: Mapping[Path, Facts]) -> Iterator[Finding]:
    if video.problem is not None:
        yield error(Path(video.name), video.problem)
    for facts in (*frames.values(), *masks.values()):
        yield from facts.findings
    sizes = {path.stem: facts.size for path, facts in frames.items()}
    for path, facts in masks.items():
        frame = sizes.get(path.stem)
        if frame is not None:
            yield from check_size(path, facts, frame, video.output_size(*frame))
        elif path.stem not in sizes:
            yield warning(path, "mask without a frame, not used; add the frame")
    for index, mask in video.masks.items():
        size = frames[video.frames[index]].size
        if isinstance(mask, Path) or size is None:
            continue
        try:
            read_labels(mask, size=size)
        except InputError as problem:
            yield error(mask.source, str(problem).removeprefix(f"{mask.source}: "))


def _objects(video: Video, masks: Mapping[Path, Facts]) -> int:
    """Return the number of listed objects, else of those in the masks."""
    if video.objects:
        return len(video.objects)
    found = {object_id for facts in masks.values() for object_id in facts.ids or ()}
    return len(found - {VOID}) if not video.merge_ids else int(bool(found))
