"""Matching of images named in annotations with frames."""

import logging
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from aotlab.media.names import MAX_NAMES, image_stem
from aotlab.utils.errors import InputError, require
from aotlab.utils.text import format_count, join_truncated
from aotlab_video.masks.value_syntax import START_NUMBER_OPTION
from aotlab_video.sources.numbers import END_NUMBER, split_numbers, trailing_numbers

log = logging.getLogger("aotlab.video")

UPLOAD_PREFIX = re.compile("[0-9a-f]{8}-")
"""Digits that Label Studio puts before the name of each upload, also in its exports to COCO and YOLO."""
Key = TypeVar("Key", bound=Hashable)


def match_frames(
    images: Sequence[tuple[int | None, str | Path]],
    frames: Sequence[str] | None,
    *,
    video: str = "",
    start_number: int | None = None,
    counts_from_zero: bool = False,
) -> list[int]:
    """Return the index of each image's frame; `require_different_frames` finds two images of one frame.

    Images and frames match by name without folder and one suffix; letter case and Unicode form matter unless the file
    systems of this platform ignore them. If frames have no names, as in a video file, images are matched by number, in
    the file or at the end of their names; a single image without a number is the first frame.

    Args:
        images: number in a file of annotations (None if unset) and name of each image, or file of masks.
        frames: names of all frames without suffix; None if frames have no names.
        video: name of the video, for messages.
        start_number: number of the video's first frame in names of images, or else in the file; None: 0.
        counts_from_zero: the file states that its numbers count from 0. Otherwise, an image 1 without an image 0 is
            unclear.

    Raises:
        InputError: an image matches no frame, its number and its name disagree, or the first number is unclear.
    """
    if not images:
        return []
    names = [name for _, name in images]
    stems = _make_stems(names, frames)
    if frames is not None:
        by_stem = {_fold(stem): index for index, stem in enumerate(frames)}
        missing = [name for name in names if _fold(stems[name]) not in by_stem]
        if missing:
            raise _explain_missing(missing, names, frames, video)
        return [by_stem[_fold(stems[name])] for name in names]
    unique = dict.fromkeys((number, stems[name]) for number, name in images)
    indices = dict(zip(unique, _count_frames([*unique], start_number, counts_from_zero), strict=True))
    return [indices[number, stems[name]] for number, name in images]


def _make_stems(names: Sequence[str | Path], frames: Sequence[str] | None) -> dict[str | Path, str]:
    """Return the stems of images by name, without the digits of uploads if the rest is a frame, or if all have them."""
    stems = {name: image_stem(name) for name in names}
    short = {name: stem[9:] for name, stem in stems.items() if UPLOAD_PREFIX.match(stem)}
    if frames is None:  # digits only may be a date
        are_uploads = len(short) == len(stems) and any(re.search("[a-f]", stem[:8]) for stem in stems.values())
        return short if are_uploads else stems
    known = set(map(_fold, frames))
    return {name: short.get(name, stem) if _fold(stem) not in known else stem for name, stem in stems.items()}


def select_images(names: Sequence[str | Path], frames: Sequence[str] | None, video: str) -> list[str | Path]:
    """Return the images in folders named after a video, or whose numbered names begin with it, else all images.

    Raises `InputError` if the images are of several videos, none of that name. ``frames`` as in `match_frames`.
    """
    folders = {name: _list_folders(name) for name in names}
    if selected := [name for name in names if _fold(video) in folders[name]]:
        return selected if frames else _select_prefix(selected, video)
    are_distinct = frames and len({*_make_stems(names, frames).values()}) == len(folders)
    if len(set(folders.values())) > 1 and not are_distinct:
        listed = _shorten(sorted("/".join(parts) or "." for parts in folders.values()))
        raise InputError(f"its images are in the folders {listed}", remedy=f"expected a folder {video}, or one video")
    return [*names] if frames else _select_prefix(names, video)


def _select_prefix(names: Sequence[str | Path], video: str) -> list[str | Path]:
    """Return the images whose names are a video's name and a number, or all images if their names differ in no more.

    Images without numbers in their names are of any video. Raises `InputError` for names of several videos.
    """
    stems = _make_stems(names, None)
    prefixes = {name: _fold(END_NUMBER.sub("", stem).rstrip("-_. ")) for name, stem in stems.items()}
    numbered = {name: prefix for name, prefix in prefixes.items() if END_NUMBER.search(stems[name])}
    video = _fold(video)
    starts = {prefix for prefix in numbered.values() if re.match(rf"{re.escape(video)}(?![^\W_])", prefix)}
    selected = {video} & starts or starts
    if len({*numbered.values()}) <= 1 or (not selected and len(numbered) < len(prefixes)):
        return [*names]
    if len(selected) != 1:
        listed = _shorten(sorted(numbered.values()))
        raise InputError(
            f"its images are named {listed} and a number, like those of several videos",
            remedy=f"give the folder of frames as the video, or name them {video}_00012",
        )
    kept = [name for name in names if prefixes[name] in selected]
    others = _shorten(sorted({*prefixes.values()} - selected))
    count = format_count(len(names) - len(kept), "image")
    log.warning("left out: %s of other videos than %s, named %s and a number", count, video, others)
    return kept


def select_video(names: Mapping[Key, Sequence[str]], video: str) -> Key:
    """Return the key of the only video of a file, or of the one called ``video``.

    Args:
        names: names, files and folders of each video; with one of them, with or without suffix, a video is the one.

    Raises:
        InputError: several videos, and not exactly one of that name.
    """
    found = [key for key, texts in names.items() if video in {*texts, *map(image_stem, texts)}]
    if len(names) > 1 and len(found) != 1:
        listed = _shorten([next(filter(None, texts), "") for texts in names.values()])
        problem = f"has the videos {listed}, {len(found) or 'none'} of them called {video!r}"
        raise InputError(problem, remedy="export the annotations of one video")
    return (found or [*names])[0]


def require_different_frames(numbered: Iterable[tuple[int | None, str | Path]]) -> None:
    """Raise `InputError` if two images, given with their frame numbers, belong to one frame."""
    owners: dict[int, str] = {}
    for index, name in numbered:
        text = name.name if isinstance(name, Path) else name
        if index is not None and owners.setdefault(index, text) != text:
            raise InputError(f"{owners[index]!r} and {text!r} both belong to frame {index}", remedy="rename one")


def require_same_frame(file: Path, image: str, frames: Sequence[str] | None) -> None:
    """Raise `InputError` if the name of a file and that of the image which it describes are different frames.

    ``frames`` as in `match_frames`; without names, the numbers at the end are compared.
    """
    stems = [_fold(image_stem(name)) for name in (file, image)]
    are_frames = set(stems) <= set(map(_fold, frames)) if frames else len({*trailing_numbers(stems)}) > 1
    if are_frames and stems[0] != stems[1]:
        raise InputError(
            f"describes the image {image!r} of another frame", subject=file.name, remedy="correct one of the two names"
        )


def require_different_images(names: Sequence[str]) -> None:
    """Raise `InputError` if two images of a file have the same name."""
    for name, count in Counter(names).most_common(1):
        remedy = "name each by its frame, like bus/00000.jpg"
        require(count == 1, f"{count} of its images are called {name!r}", remedy=remedy)


def _explain_missing(
    missing: Sequence[str | Path], names: Sequence[str | Path], frames: Sequence[str], video: str
) -> InputError:
    """Return the error for images that match no frame."""
    forms = {_normalize(stem) for stem in frames}
    same_form = any(_normalize(image_stem(name)) in forms for name in missing)
    cause = ", which differ in letter case or Unicode form" if same_form else ""
    images = [name.name if isinstance(name, Path) else name for name in missing]
    count, total = (len(set(map(str, paths))) for paths in (missing, names))
    return InputError(
        f"{count} of its {total} images are not frames of {video}: {_shorten(images)}, "
        f"but the frames are {_shorten(frames)}{cause}",
        remedy="name them alike, or give one mask as FRAME=FILE",
    )


def _count_frames(
    images: Sequence[tuple[int | None, str]], start_number: int | None, counts_from_zero: bool
) -> list[int]:
    """Return the frame indices of different images, given by number and stem, of a video without names of frames."""
    stems = [stem for _, stem in images]
    in_file = [number for number, _ in images if number is not None]
    parts = split_numbers(stems)
    in_names = [part[1] for part in parts if part]
    prefixes = {part[0] if part else stem for stem, part in zip(stems, parts, strict=True)}
    # Digits at the end of a random name, such as rf.3a8f21, are not a frame number.
    are_numbered = len(prefixes) == 1 or not any(prefix[-1:].isalnum() for prefix in prefixes)
    if not are_numbered or len({*in_names}) < len(images):
        in_names = []
    if len(in_file) < len(images):
        in_file = []
    numbers = in_names or in_file
    if not numbers and len(images) == 1:
        return [0]
    if not numbers:
        raise InputError(
            f"its images {_shorten(stems)} do not end in different frame numbers",
            remedy="give the folder of frames as the video, or name them like 00012",
        )
    if start_number is None and in_file and in_names and in_file != in_names:
        number, stem = next(image for image, name in zip(images, in_names, strict=True) if image[0] != name)
        raise InputError(
            f"{stem!r} is number {number} in the file, but {END_NUMBER.findall(stem)[0]} in its name",
            remedy="give the folder of frames as the video, or the number of its first frame in these names "
            f"({START_NUMBER_OPTION})",
        )
    if start_number is None and 1 in numbers and 0 not in numbers and not counts_from_zero:
        raise InputError(
            "has a frame 1 and no frame 0, so frame 1 is the first frame of the video, or the second one",
            remedy=f"give {START_NUMBER_OPTION} 1 if it is the first one, or else {START_NUMBER_OPTION} 0",
        )
    return [number - (start_number or 0) for number in numbers]


def _list_folders(name: str | Path) -> tuple[str, ...]:
    """Return the folders of an image named in a file."""
    if isinstance(name, Path):
        return ()
    return tuple(_fold(part) for part in re.split(r"[/\\=]", name)[:-1])


def _fold(name: str) -> str:
    """Return a name as file systems of this platform compare it."""
    if sys.platform == "darwin":
        return _normalize(name)
    return name.casefold() if sys.platform == "win32" else name


def _normalize(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _shorten(names: Sequence[str]) -> str:
    return join_truncated([repr(name[:60]) for name in dict.fromkeys(names)], MAX_NAMES)
