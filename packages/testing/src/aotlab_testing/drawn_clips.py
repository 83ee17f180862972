"""Drawn clips, writers of them in the layouts of data sets, and a segmenter that knows their colors."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from aotlab.media.masks import PALETTE, write_mask

HEIGHT, WIDTH = 48, 64


@dataclass(frozen=True)
class Clip:
    """The frames of a video and their labels."""

    stems: tuple[str, ...]
    frames: np.ndarray
    """T×H×W×3 uint8."""
    labels: np.ndarray
    """T×H×W uint8, 255 for void."""


def draw_moving_clip(
    stems: Sequence[str],
    ids: Mapping[int, int] | None = None,
    *,
    seed: int = 0,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Clip:
    """Draw discs that move over a speckled ground.

    Args:
        stems: names of the frames.
        ids: index of the first frame of each object; default: objects 1 and 2 from the start.
        seed: decides places and speckles.
        size: (height, width) in pixels.
    """
    ids = {1: 0, 2: 0} if ids is None else ids
    rng = np.random.default_rng(seed)
    height, width = size
    speckles = rng.integers(60, 120, (HEIGHT, WIDTH, 1), dtype=np.uint8).repeat(3, axis=2)
    # large frames have large speckles, which pack quickly
    ground = speckles[np.arange(height)[:, None] * HEIGHT // height, np.arange(width) * WIDTH // width]
    frames = np.stack([ground] * len(stems))
    labels = np.zeros((len(stems), height, width), dtype=np.uint8)
    for position, (object_id, start) in enumerate(sorted(ids.items())):
        radius = height // (6 + position)
        row = height * (2 * position + 1) // (2 * len(ids))
        column = int(rng.integers(height // 6, width // 2))
        for index in range(start, len(stems)):
            inside = draw_disc(size, row, column + index * width // 64, radius)
            labels[index][inside] = object_id
            frames[index][inside] = PALETTE[object_id] // 2 + 120
    return Clip(tuple(stems), frames, labels)


def stems_from(first: int, count: int, step: int = 1, form: str = "{:05d}") -> list[str]:
    """Return the names of ``count`` frames."""
    return [form.format(first + step * index) for index in range(count)]


def write_noise(path: Path, size: tuple[int, int] = (24, 32), seed: int = 0, **options: str) -> None:
    """Write an image of random pixels, with options of Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **options)


def write_plain(folder: Path, count: int, size: tuple[int, int] = (32, 48), first: int = 0) -> Path:
    """Write frames of one color as ``00000.png`` and so on; their blue value counts from 40. Return the folder."""
    folder.mkdir(parents=True)
    for index in range(count):
        Image.new("RGB", size[::-1], (40, 90, 40 + index)).save(folder / f"{first + index:05d}.png")
    return folder


def write_images(folder: Path, images: Iterable[np.ndarray], form: str = "{:05d}.png", **options: object) -> Path:
    """Write numbered images, with the encoder's options of Pillow; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / form.format(index), **options)
    return folder


def write_masks(folder: Path, masks: Iterable[np.ndarray], form: str = "{:05d}.png") -> Path:
    """Write numbered masks; return the folder."""
    for index, mask in enumerate(masks):
        write_mask(folder / form.format(index), mask)
    return folder


def write_frames(folder: Path, clip: Clip) -> None:
    """Write the frames under ``.jpg`` names, in PNG format to keep every pixel."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, frame in zip(clip.stems, clip.frames, strict=True):
        Image.fromarray(frame).save(folder / f"{stem}.jpg", format="PNG", compress_level=1)


def write_labels(folder: Path, clip: Clip, only: Iterable[str] | None = None) -> None:
    """Write the masks of the frames in ``only``, or of all."""
    selected = set(clip.stems if only is None else only)
    for stem, labels in zip(clip.stems, clip.labels, strict=True):
        if stem in selected:
            write_mask(folder / f"{stem}.png", labels)


def write_list(path: Path, names: Iterable[str]) -> None:
    """Write a list file, one name per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(names) + "\n")


def write_davis(root: Path, clips: Mapping[str, Clip], folder: str, split: str, *, first_only: bool = False) -> None:
    """Write clips in the layout of DAVIS and VISOR, with a list of them in ``ImageSets/<folder>``."""
    for name, clip in clips.items():
        write_frames(root / "JPEGImages" / "480p" / name, clip)
        write_labels(root / "Annotations" / "480p" / name, clip, clip.stems[:1] if first_only else None)
    write_list(root / "ImageSets" / folder / f"{split}.txt", clips)


def write_split(folder: Path, clips: Mapping[str, Clip], *, labels: Mapping[str, Sequence[str]] | None = None) -> None:
    """Write clips in the layout of YouTube-VOS, MOSE, LVOS or a plain folder; ``labels``: frames that get a mask."""
    for name, clip in clips.items():
        write_frames(folder / "JPEGImages" / name, clip)
        write_labels(folder / "Annotations" / name, clip, None if labels is None else labels[name])


def find_first_frames(clip: Clip) -> dict[int, int]:
    """Return the index of the first frame of each object."""
    ids = sorted(set(np.unique(clip.labels).tolist()) - {0, 255})
    return {object_id: int((clip.labels == object_id).any(axis=(1, 2)).argmax()) for object_id in ids}


def write_youtube_meta(folder: Path, clips: Mapping[str, Clip], *, categories: bool) -> None:
    """Write meta.json of YouTube-VOS, in which each object has all frames from its first one on."""
    videos: dict[str, dict] = {name: {"objects": {}} for name in clips}
    for name, clip in clips.items():
        for object_id, first in find_first_frames(clip).items():
            category = {"category": "fish" if object_id % 2 else "kite"} if categories else {}
            videos[name]["objects"][str(object_id)] = {"frames": list(clip.stems[first:]), **category}
    (folder / "meta.json").write_text(json.dumps({"videos": videos}))


def write_lvos_meta(folder: Path, clips: Mapping[str, Clip]) -> None:
    """Write the metadata of LVOS, whose numbers are strings."""
    videos: dict[str, dict] = {name: {"objects": {}} for name in clips}
    for name, clip in clips.items():
        for object_id, first in find_first_frames(clip).items():
            end, count = int(clip.stems[-1]) + 1, len(clip.stems) - first
            span = {"start": str(int(clip.stems[first])), "end": str(end), "frame_nums": str(count)}
            videos[name]["objects"][str(object_id)] = {"frame_range": span}
    (folder / f"{folder.name}_meta.json").write_text(json.dumps({"videos": videos}))


def draw_parts(seed, height=480, width=854):
    """Draw a mask H×W bool of several parts, some of which touch at corners only."""
    rng = np.random.default_rng(seed)
    tiles = rng.random((7, 13)) > 0.6
    mask = tiles.repeat(height // 7 + 1, 0).repeat(width // 13 + 1, 1)[:height, :width]
    return mask & (rng.random((height, width)) > 0.02)


def draw_thin_stripes():
    """Draw objects 1 to 12 side by side, two pixels wide each: ids 48×64 that look like a smoothed edge."""
    stripes = np.zeros((48, 64), np.uint8)
    stripes[8:40, 20:44] = np.arange(1, 13).repeat(2)
    return stripes


def draw_box(size, rows, columns, object_id=1, dtype=np.uint8):
    """Draw a box: a mask H×W whose rows and columns are given as (start, end), without the end."""
    mask = np.zeros(size, dtype)
    mask[slice(*rows), slice(*columns)] = object_id
    return mask


def draw_disc(size, row, column, radius):
    """Draw a disc: a mask H×W bool."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def draw_two_squares(index):
    """Draw the labels 40×60 uint16 of a frame: object 1 slides right from frame to frame, object 2 stays."""
    labels = np.zeros((40, 60), np.uint16)
    labels[5:15, 5 + 2 * index : 15 + 2 * index], labels[25:35, 40:50] = 1, 2
    return labels


def draw_square(top, left, object_id=1):
    """Draw a square with sides of 20 pixels: a mask 60×80 uint8."""
    return draw_box((60, 80), (top, top + 20), (left, left + 20), object_id)


def segment_by_color(frame, prompts, keep=None):
    """Segment the color under a point or scribble, and in a box every color except that of the lower left corner."""
    labels = np.zeros(frame.shape[:2], np.uint16)
    for object_id, prompt in prompts.items():
        prompt.crop_box(frame.shape[:2])
        found = np.zeros(labels.shape, bool) if prompt.mask is None else prompt.mask > 0.5
        if prompt.box is not None:
            x, y, width, height = map(int, prompt.box)
            inside = np.s_[max(0, y) : y + height, max(0, x) : x + width]
            found[inside] = (frame[inside] != frame[-1, 0]).any(2)
        for points, value in (((*prompt.positive_points, *prompt.scribble), True), (prompt.negative_points, False)):
            for column, row in points:
                found[(frame == frame[int(row), int(column)]).all(2)] = value
        labels[found] = object_id
    if keep is not None:
        labels = np.where((keep > 0) & ~np.isin(keep, list(prompts)), keep, labels)
    return labels
