"""Natural order of names, and matching of images named in annotations with frames."""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from aotlab.utils.errors import InputError
from aotlab.utils.text import join_truncated

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".exr")
"""Suffixes of frames in a folder."""
VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".mxf", ".ts", ".mts", ".m2ts", ".vob", ".3gp",
    ".flv", ".ogv", ".wmv", ".gif",
)  # fmt: skip
"""Suffixes of video files in a folder."""
SUFFIXES = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, ".txt", ".json")
"""Suffixes of images, videos, and files of labels named after them."""
MASK_ENDING, OVERLAY_ENDING = ".mask.png", ".overlay.jpg"
"""Endings of the files that `aotlab mask` writes beside an image."""
END_NUMBER = re.compile("[0-9]{1,9}$")
MAX_NAMES = 3
"""Largest number of names listed in a message."""

Name = TypeVar("Name", str, Path)


def list_image_files(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return the files of a folder with one of these suffixes, in natural order; hidden files are skipped."""
    visible = (path for path in folder.iterdir() if path.name[0] != ".")
    return natural_sort(path for path in visible if path.suffix.lower() in suffixes)


def list_frame_files(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return files as `list_image_files` does, without those that `aotlab mask` writes beside a frame."""
    endings = MASK_ENDING, OVERLAY_ENDING
    return [path for path in list_image_files(folder, suffixes) if not path.name.endswith(endings)]


def natural_sort(names: Iterable[Name]) -> list[Name]:
    """Return names or paths in natural order: 2.jpg precedes 10.jpg, and 2.jpg precedes 2-a.jpg."""

    def key(name: str | Path) -> tuple[list[tuple[int, str]], str]:
        # `int` refuses the thousands of digits that a name in a file may have
        parts = re.split(r"(\d+)", image_stem(name))
        parts[1::2] = [digits.lstrip("0") for digits in parts[1::2]]
        return [(index % 2 and len(part), part) for index, part in enumerate(parts)], str(name)

    return sorted(names, key=key)


def image_stem(name: str | Path) -> str:
    """Return the name of an image or video without folder and one known suffix; a text may be a URL or Windows path."""
    if isinstance(name, Path):
        return name.stem if name.suffix.lower() in SUFFIXES else name.name
    # In a URL, the name is in the query, or at the end of the path before the query.
    for text in (name, re.split(r"[?#]", name)[0]):
        path = PurePosixPath(re.sub(r"\\|\?\w+=", "/", text))
        if path.suffix.lower() in SUFFIXES:
            return path.stem
    return PurePosixPath(name.replace("\\", "/")).name


def trailing_numbers(stems: Iterable[str]) -> list[int]:
    """Return the numbers at the end of the names that have one."""
    return [int(ending[0]) for ending in map(END_NUMBER.search, stems) if ending]


def match_frames(
    names: Sequence[str | Path],
    frames: Sequence[str] | None,
    *,
    video: str = "",
    length: int | None = None,
) -> list[int]:
    """Return the index of each image's frame; `require_different_frames` finds two images of one frame.

    Images and frames match by name without folder and one suffix; letter case and Unicode form matter unless the file
    systems of this platform ignore them. If frames have no names, as in a video file, images are matched by the number
    at the end of their names, or by natural order if there is one for each frame.

    Args:
        names: names of images in a file of annotations, of `select_images`, or files of masks.
        frames: names of all frames without suffix; None if frames have no names.
        video: name of the video, for messages.
        length: number of frames; None if unknown.

    Raises:
        InputError: an image matches no frame.
    """
    stems = list(map(image_stem, names))
    if frames is not None:
        indices = {_fold(stem): index for index, stem in enumerate(frames)}
        missing = [name for name, stem in zip(names, stems, strict=True) if _fold(stem) not in indices]
        if missing:
            raise _explain_missing(missing, names, frames, video)
        return [indices[_fold(stem)] for stem in stems]
    unique_stems = list(dict.fromkeys(stems))
    numbers = dict(zip(unique_stems, _find_numbers(unique_stems, length), strict=True))
    return [numbers[stem] for stem in stems]


def select_images(names: Sequence[str | Path], frames: Sequence[str] | None, video: str) -> list[str | Path]:
    """Return the images in folders named after a video, or all images if there is no such folder.

    Raises `InputError` if the images are of several videos, none of that name. ``frames`` as in `match_frames`.
    """
    folders = {name: _list_folders(name) for name in names}
    if selected := [name for name in names if _fold(video) in folders[name]]:
        return selected
    are_distinct = frames and len(set(map(image_stem, names))) == len(folders)
    if len(set(folders.values())) > 1 and not are_distinct:
        listed = _shorten(sorted("/".join(parts) or "." for parts in folders.values()))
        raise InputError(f"its images are in the folders {listed}", remedy=f"expected a folder {video}, or one video")
    return [*names]


def require_different_frames(numbered: Iterable[tuple[int | None, str | Path]]) -> None:
    """Raise `InputError` if two images, given with their frame numbers, belong to one frame."""
    owners: dict[int, str] = {}
    for index, name in numbered:
        text = name.name if isinstance(name, Path) else name
        if index is not None and owners.setdefault(index, text) != text:
            raise InputError(f"{owners[index]!r} and {text!r} both belong to frame {index}", remedy="rename one")


def require_different_images(names: Sequence[str]) -> None:
    """Raise `ValueError` if two images of a file have the same name."""
    for name, count in Counter(names).most_common(1):
        if count > 1:
            raise ValueError(f"{count} of its images are called {name!r}; name each by its frame, like bus/00000.jpg")


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


def _find_numbers(stems: Sequence[str], length: int | None) -> list[int]:
    """Return the frame numbers of images of a video whose frames have no names."""
    numbers = trailing_numbers(stems)
    prefixes = {END_NUMBER.sub("", stem) for stem in stems}
    # Digits at the end of a random name, such as rf.3a8f21, are not a frame number.
    are_numbered = len(prefixes) == 1 or not any(prefix[-1:].isalnum() for prefix in prefixes)
    if len(set(numbers)) == len(stems) and are_numbered:
        return numbers
    if len(stems) == 1 or len(stems) == length:
        order = natural_sort(stems)
        return [order.index(stem) for stem in stems]
    raise InputError(
        f"its images {_shorten(stems)} do not end in different frame numbers",
        remedy="give the folder of frames as the video, or name them like 00012",
    )


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
