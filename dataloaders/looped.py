"""Long videos of short ones: a clip played forward and backward again and again."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from aotlab.dataloaders.benchmarks.davis import davis
from aotlab.dataloaders.benchmarks.sequences import Video, require_whole
from aotlab.utils.errors import InputError
from aotlab.utils.files import atomic_path, real_path


def bounce(index: int, length: int) -> int:
    """Which of ``length`` frames is number ``index`` of 0 1 2 … n-1 n-2 … 1 0 1 …, where none comes twice in a row."""
    there_and_back = max(2 * (length - 1), 1)
    phase = index % there_and_back
    return min(phase, there_and_back - phase)


def looped_length(length: int, times: int) -> int:
    """Frames of a clip that is played ``times`` times, in turn forward and backward."""
    return length + (times - 1) * (length - 1)


def loop_davis(
    root: Path, output: Path, *, year: Literal[2016, 2017], split: str, times: int, copy: bool = False
) -> dict[str, int]:
    """Write a tree in the layout of DAVIS (480p) whose sequences are those of a split, looped.

    Frames are numbered from 00000, and each has the labels of the frame that it repeats.

    Args:
        root: DAVIS, which stays as it is.
        output: the folder to write.
        year: whose list.
        split: name of the list.
        times: how often each sequence is played, in turn forward and backward.
        copy: files are copies; otherwise symbolic links.

    Returns:
        Frames of each sequence.

    Raises:
        InputError: DAVIS cannot be read or lacks labels, or ``output`` holds something else.
    """
    if times < 1:
        raise InputError(f"times {times}: must be at least 1, which plays each sequence once")
    videos = davis(root, year, split)
    require_whole(videos)
    orders = {
        video.name: [
            bounce(index, len(video.frames)) for index in range(looped_length(len(video.frames), times))
        ]
        for video in videos
    }
    plans = [_files(video, orders[video.name], output) for video in videos]
    for plan in plans:  # all of them before the first file is written
        _refuse_strangers(plan)
    for plan in plans:
        for path, source in plan.items():
            _put(path, real_path(source), copy=copy)
    with atomic_path(output / "ImageSets" / str(year) / f"{split}.txt") as temporary:
        temporary.write_text("".join(f"{video.name}\n" for video in videos), encoding="utf-8")
    return {name: len(order) for name, order in orders.items()}


def _files(video: Video, order: Sequence[int], output: Path) -> dict[Path, Path]:
    """The files of a looped sequence to those that they repeat.

    Raises:
        InputError: a frame has no labels.
    """
    labels = {path.stem: path for path in video.annotations}
    files = {}
    for index, source in enumerate(order):
        frame = video.frames[source]
        if frame.stem not in labels:
            raise InputError(f"{frame}: has no labels; give a split whose frames all have, such as val")
        picture = f"480p/{video.name}/{index:05d}"
        files[output / "JPEGImages" / f"{picture}{frame.suffix}"] = frame
        files[output / "Annotations" / f"{picture}.png"] = labels[frame.stem]
    return files


def _refuse_strangers(files: dict[Path, Path]) -> None:
    """Raise unless the folders of these files are new, or hold nothing but files of their names.

    Raises:
        InputError: they are DAVIS itself, or hold a sequence that was played more often.
    """
    sources = {real_path(path.parent) for path in files.values()}
    for folder in {path.parent for path in files}:
        if real_path(folder) in sources:
            raise InputError(f"{folder}: is the data set that would be looped; choose another output")
        strangers = {path for path in folder.glob("*") if path.name[0] != "."} - files.keys()
        if strangers:
            raise InputError(
                f"{min(strangers)}: is not of this loop; choose another output, or remove {folder}"
            )


def _put(path: Path, source: Path, *, copy: bool) -> None:
    """Make a file that is a copy of another, or a link to it."""
    with atomic_path(path) as temporary:
        if copy:
            shutil.copyfile(source, temporary)
        else:
            temporary.symlink_to(source)
