"""Readers of workspaces of the VOT toolkit: DiDi, and VOTSr, whose objects are given as texts.

``list.txt`` names the sequences. A sequence is a folder with frames, by default ``color/00000001.jpg`` and so on, and a
file ``sequence`` with lines ``key=value``. A mask is a line ``m<x>,<y>,<width>,<height>,<run>,<run>,...`` of a box and
the lengths of its runs in rows, of background first; a line ``0`` is an absent object.
Sources: the VOT toolkit's ``vot.region.io`` and ``vot.dataset.common``, votchallenge.net/howto/referral.html, and
``run_on_didi.py`` of github.com/jovanavidenovic/DAM4SAM.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from aotlab.dataloaders.benchmarks import sequences
from aotlab.dataloaders.benchmarks.labeled_video import ObjectInfo, ObjectMasks, Video
from aotlab.media.images import read_image
from aotlab.media.rle import Size, compress_rle, encode_rle
from aotlab.utils.errors import require
from aotlab.utils.files import read_text, reading, require_file_name
from aotlab.utils.numbers import MAX_SIDE

ABSENT = "0"
"""Line of a frame without the object."""
DIDI_MASK = "first_frame_segm.txt"
"""File with the mask of the first frame."""


def read_didi(root: Path) -> list[Video]:
    """Read the sequences of DiDi; the mask of the first frame is given, boxes of all frames are public."""
    root = find_sequences(root)

    def read(name: str) -> Video:
        frames = list_vot_frames(root / name)
        file = root / name / DIDI_MASK
        image = read_image(frames[0])
        size = (image.shape[0], image.shape[1])
        with reading(file, "download it again"):
            mask = parse_mask((read_text(file, "DiDi has it for each sequence").splitlines() or [""])[0], size)
        require(mask.any(), "an empty mask", subject=file)
        first = ObjectMasks(file, frames[0].stem, rle={1: compress_rle(encode_rle(mask))}, size=size)
        return Video(name, frames, {0: first}, objects=(ObjectInfo(1, tuple(frame.stem for frame in frames)),))

    return sequences.read_videos(root, sorted(sequences.read_names(root / "list.txt")), read)


def read_votsr(root: Path) -> list[Video]:
    """Read the sequences of VOTSr, which have no masks: an object is given by `read_texts`."""
    root = find_sequences(root)
    names = sorted(sequences.read_names(root / "list.txt"))
    return [Video(name, list_vot_frames(root / name)) for name in names]


def find_sequences(root: Path) -> Path:
    """Return the folder of the sequences: ``sequences`` in a workspace, or the root itself."""
    return root / "sequences" if (root / "sequences").is_dir() else root


def list_vot_frames(folder: Path) -> tuple[Path, ...]:
    """Return the frames of a sequence in temporal order."""
    # printf's pattern of the file names; without a suffix it is a folder
    pattern = Path(read_properties(folder).get("channels.color", "color/%08d.jpg"))
    name = str(pattern.parent) if pattern.suffix else str(pattern)
    return sequences.list_frames(folder / require_file_name(name, str(folder / "sequence")))


def read_properties(folder: Path) -> dict[str, str]:
    """Return the values of the file ``sequence`` by key."""
    text = read_text(folder / "sequence", "the VOT toolkit writes it for each sequence")
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def read_texts(folder: Path) -> list[str]:
    """Return the texts of a sequence of VOTSr; each describes its object, and is tracked separately."""
    texts = read_properties(folder).get("prompts", "")
    require(texts, "no prompts=", subject=folder / "sequence", remedy="expected a sequence of VOTSr")
    return texts.split(";")


def parse_mask(text: str, size: Size) -> np.ndarray:
    """Return the mask of a line: H×W bool of (height, width), without what lies outside; an absent object is empty.

    Raises `ValueError` if the line is not a mask.
    """
    mask = np.zeros(size, bool)
    if text.strip() == ABSENT:
        return mask
    if not text.startswith("m"):
        raise ValueError(f"not a mask: {text[:20]!r}")
    left, top, width, height, *runs = map(int, text[1:].split(","))
    count = sum(runs)  # the runs may end before the box does
    if min(width, height, *runs) < 0 or max(width, height) > MAX_SIDE or count > width * height:
        raise ValueError(f"runs of {count} pixels do not fit into {width}×{height}")
    flat = np.zeros(width * height, bool)
    flat[:count] = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    crop = flat.reshape(height, width)[max(-top, 0) :, max(-left, 0) :]
    inside = mask[max(top, 0) :, max(left, 0) :][: crop.shape[0], : crop.shape[1]]
    inside |= crop[: inside.shape[0], : inside.shape[1]]
    return mask


def format_mask(mask: np.ndarray) -> str:
    """Return the line of a mask, H×W bool."""
    if not mask.any():
        return ABSENT
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    crop = mask[top : top + height, left : left + width]
    return "m" + ",".join(map(str, (left, top, width, height, *encode_rle(crop.T).tolist())))


def format_box(mask: np.ndarray) -> str:
    """Return the line ``x,y,width,height`` of the box around a mask, H×W bool; zeros if it is empty."""
    return ",".join(map(str, cv2.boundingRect(mask.astype(np.uint8))))
