"""Images and videos with masks, in the layouts of their data sets, and clips made of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from aotlab.configs.training import PhaseConfig, SourceConfig
from aotlab.dataloaders.benchmarks.davis import read_sequence_names
from aotlab.dataloaders.benchmarks.sequences import FRAME_SUFFIXES, find_list_file, read_metadata
from aotlab.dataloaders.training.augment import MERGE_PIXELS, count_ids, make_image_clip, make_video_clip
from aotlab.dataloaders.training.clips import Clip, reflect_index, relabel
from aotlab.media.images import open_image, read_image
from aotlab.media.masks import VOID, read_mask
from aotlab.media.matching import order_names
from aotlab.utils.errors import InputError
from aotlab.utils.files import is_folder, read_text, require_file_name

log = logging.getLogger(__name__)

MIN_FRAMES = 2
"""minimum number of labelled frames of a video, and in YouTube-VOS of an object"""
MIN_REFERENCE_PIXELS = 200
"""number of labelled pixels that a reference frame must exceed"""
MAX_IGNORED_FRACTION = 0.2
"""largest number of ignored pixels on a reference frame, relative to its labelled ones"""
REFERENCE_TRIES = 20
WINDOW_TRIES = 6
"""number of attempts to choose frames without new objects after the reference frame"""
VIDEO_LAYOUTS = (("JPEGImages/480p", "Annotations/480p"), ("JPEGImages", "Annotations"))
RESOLUTIONS = ("480p", "Full-Resolution", "1080p")

MaskReader = Callable[[Path], np.ndarray]
"""reader from file to H×W uint8: ids, 0 background, 255 ignored"""


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """An image file and the file of its mask."""

    image: Path
    source: Path
    """file of the mask"""

    @property
    def name(self) -> str:
        """Name in messages: the path of the image."""
        return str(self.image)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the image H×W×3 uint8 RGB and its mask H×W uint8: ids, 0 background, 255 ignored.

        Raises:
            InputError: not readable, or image and mask differ in size.
        """
        image, mask = read_image(self.image), self.read_mask()
        (height, width), size = mask.shape, image.shape
        if (height, width) != size[:2]:
            raise InputError(
                f"{self.image}: {size[1]}×{size[0]}, but its mask is {width}×{height} in {self.source}; "
                "give the image that the mask was made for"
            )
        return image, mask

    def read_mask(self) -> np.ndarray:
        """Return only the mask."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class MaskedImage(LabelledImage):
    """An image file and its mask file."""

    reader: MaskReader
    dropped: tuple[int, ...] = ()
    """ids treated as background"""

    def read_mask(self) -> np.ndarray:
        """Return only the mask."""
        mask = self.reader(self.source)
        return np.where(np.isin(mask, self.dropped), np.uint8(0), mask) if self.dropped else mask


@dataclass(frozen=True)
class LabelledVideo:
    """The labelled frames of one video, in order; all of one size."""

    name: str
    frames: tuple[LabelledImage, ...]


def read_ids(path: Path) -> np.ndarray:
    """Read unchanged ids, 255 ignored: DAVIS 2017, YouTube-VOS, VOST, instances of PASCAL VOC.

    Raises:
        InputError: not a readable mask, or an id above 255.
    """
    mask = read_mask(path)
    if mask.max(initial=0) > VOID:
        raise InputError(f"{path}: object id {mask.max()}; ids of training masks must be 1 to 254")
    return mask.astype(np.uint8, copy=False)


def read_ids_or_saliency(path: Path) -> np.ndarray:
    """Read ids; if 255 is the only value besides 0, it is the object, as in saliency sets."""
    mask = read_ids(path)
    if not ((mask > 0) & (mask < VOID)).any():
        return (mask == VOID).astype(np.uint8)
    return mask


def read_single_object(path: Path) -> np.ndarray:
    """Read everything above 0 as one object: DAVIS 2016, whose first release stores 255."""
    return (read_mask(path) > 0).astype(np.uint8)


def read_saliency(path: Path) -> np.ndarray:
    """Read the brighter half of the grey levels as one object; colours are converted to grey."""
    with open_image(path, "mask", "give a grey PNG, white where the object is") as image:
        return (np.asarray(image.convert("L")) > 127).astype(np.uint8)


@dataclass(frozen=True)
class Subset:
    """Adjacent images of an `ImageSet` with a common sampling weight."""

    name: str
    first: int
    """index of the first image"""
    count: int
    """number of images, at least 1"""
    share: float
    """probability of drawing this subset; adds up to 1 over all subsets"""


@dataclass(frozen=True)
class ImageSet:
    """Single images, each of which is moved to give a clip."""

    images: tuple[LabelledImage, ...]
    subsets: tuple[Subset, ...] = ()
    """subsets to draw from before an image is drawn; empty: images are drawn uniformly"""

    def describe(self) -> str:
        """Return the number of images, and the shares of the subsets."""
        shares = ", ".join(f"{subset.name} {100 * subset.share:.0f} %" for subset in self.subsets)
        return f"{len(self.images)} images" + (f" ({shares})" if shares else "")

    def draw(self, rng: Generator) -> int:
        """Draw the index of an image."""
        if not self.subsets:
            return int(rng.integers(len(self.images)))
        subset = self.subsets[int(rng.choice(len(self.subsets), p=[subset.share for subset in self.subsets]))]
        return subset.first + int(rng.integers(subset.count))

    def sample(self, index: int, phase: PhaseConfig, rng: Generator, *, max_objects: int) -> Clip:
        """Make a clip of an image; raises `InputError` if it is not readable."""
        frames, labels = make_image_clip(*self.images[index].read(), phase, rng)
        clip = relabel(frames, labels, rng, minimum=0, max_objects=max_objects)
        return replace(clip, names=(self.images[index].name,))


@dataclass(frozen=True)
class VideoSet:
    """Videos, from which clips are cut."""

    name: str
    videos: tuple[LabelledVideo, ...]
    max_gap: int
    """largest number of frames between two frames of a clip"""

    def describe(self) -> str:
        """Return the number of videos and labelled frames, and the largest gap."""
        frames = sum(len(video.frames) for video in self.videos)
        return f"{len(self.videos)} videos with {frames} labelled frames, gaps up to {self.max_gap}"

    def draw(self, rng: Generator) -> int:
        """Draw the index of a video."""
        return int(rng.integers(len(self.videos)))

    def sample(self, index: int, phase: PhaseConfig, rng: Generator, *, max_objects: int) -> Clip:
        """Make a clip of frames of a video, in one random crop.

        Raises:
            InputError: a frame is not readable, or two differ in size.
        """
        video = self.videos[index]
        indices = choose_frames(video, phase.clip_length, self.max_gap, rng)
        frames_read = {index: video.frames[index].read() for index in sorted(set(indices))}
        height, width = frames_read[indices[0]][1].shape
        for index, (_, mask) in frames_read.items():
            if mask.shape != (height, width):
                raise InputError(
                    f"{video.frames[index].name}: {mask.shape[1]}×{mask.shape[0]}, but another frame of its video is "
                    f"{width}×{height}; give frames of one size"
                )
        images, masks = zip(*(frames_read[index] for index in indices), strict=True)
        frames, labels = make_video_clip(images, masks, phase, rng)
        clip = relabel(frames, labels, rng, minimum=MERGE_PIXELS, max_objects=max_objects)
        return replace(clip, names=(video.name,))


def choose_frames(video: LabelledVideo, length: int, max_gap: int, rng: Generator) -> list[int]:
    """Draw frame indices with random gaps, forwards or backwards, the reference frame first.

    After a few attempts at most, the reference frame shows enough and later frames bring no new objects, if possible.

    Raises:
        InputError: a mask is not readable.
    """
    # Backwards is forwards through the reversed frames.
    order = range(len(video.frames)) if rng.random() < 0.5 else range(len(video.frames))[::-1]

    @cache
    def counts(index: int) -> np.ndarray:
        return count_ids(video.frames[index].read_mask())

    for _ in range(WINDOW_TRIES):
        steps = rng.integers(1, max_gap + 1, length - 1)
        for _ in range(REFERENCE_TRIES):
            start = int(rng.integers(len(order)))
            if is_reference_frame(counts(order[start])):
                break
        positions = [start, *(start + np.cumsum(steps))]
        indices = [order[reflect_index(int(position), len(order))] for position in positions]
        present = [counts(index)[1:VOID] > 0 for index in indices]
        if not (np.any(present, axis=0) & ~present[0]).any():
            break
    return indices


def is_reference_frame(counts: np.ndarray) -> bool:
    """Return whether a frame with these pixel counts per id can be a reference frame."""
    labelled = counts[1:VOID].sum()
    return bool(labelled > MIN_REFERENCE_PIXELS and counts[VOID] <= MAX_IGNORED_FRACTION * labelled)


def read_split(path: Path) -> list[str]:
    """Return the names in a list file, one per line; raises `InputError` if it is missing or empty."""
    find_list_file(path.stem, path.parent)
    lines = read_text(path, "write one name per line").splitlines()
    names = [require_file_name(line.strip(), str(path)) for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path}: empty list; write one name per line")
    return list(dict.fromkeys(names))


def find_paths(folder: Path, forms: Iterable[Sequence[str]], layout: str) -> tuple[Path, ...]:
    """Return the first of several tuples of paths below a folder that all exist; archives differ in outer folders.

    Raises:
        InputError: no such paths; ``layout`` describes the expected ones.
    """
    for form in forms:
        paths = tuple(folder / name for name in form)
        if all(path.exists() for path in paths):
            return paths
    raise InputError(f"{folder}: not a training set of this kind; expected {layout} below it")


def list_subfolders(folder: Path) -> list[str]:
    """Return the sorted names of readable subfolders; hidden ones and dangling links are skipped."""
    if not is_folder(folder):
        raise InputError(f"{folder}: no such folder; expected a folder with subfolders")
    with os.scandir(folder) as entries:
        return sorted(
            entry.name for entry in entries if not entry.name.startswith(".") and is_folder(Path(entry.path))
        )


def pair_files(
    images: Path, masks: Path, reader: MaskReader, *, dropped: tuple[int, ...] = ()
) -> list[MaskedImage]:
    """Pair images and masks of the same stem, in natural order; files without a partner are skipped."""
    mask_files = list_files_by_stem(masks, (".png",))
    suffixes = FRAME_SUFFIXES if images != masks else (".jpg", ".jpeg")  # in one folder, PNGs are masks
    image_files = list_files_by_stem(images, suffixes)
    return [
        MaskedImage(images / image_files[stem], masks / mask_files[stem], reader, dropped)
        for stem in order_names(image_files.keys() & mask_files.keys())
    ]


def list_files_by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, str]:
    """Return the file names in a folder by stem; empty without a folder. Hidden files are skipped.

    Of several files with the same stem, the suffix listed first wins.
    """
    if not is_folder(folder):
        return {}
    rank = {suffix: index for index, suffix in enumerate(suffixes)}
    files: dict[str, tuple[int, str]] = {}
    for file in os.listdir(folder):
        stem, suffix = os.path.splitext(file)
        order = rank.get(suffix.lower())
        if order is None or file.startswith("."):
            continue
        files[stem] = min(files.get(stem, (order, file)), (order, file))
    return {stem: file for stem, (_, file) in files.items()}


def require_existing(names: Iterable[str], known: Iterable[str], folder: Path) -> None:
    """Check the names of a list; raises `InputError` if a name is missing in ``folder``."""
    missing = sorted(set(names) - set(known))
    if missing:
        raise InputError(
            f"{folder / missing[0]}: missing, but listed in the split ({len(missing)} in all); "
            "add the data or correct the list"
        )


def open_static(folder: Path, source: SourceConfig) -> ImageSet:
    """Find folders of images, one per set, or images without subfolders.

    A split lists names of sets, or of images without suffix if there are no sets.
    """
    layout = "JPEGImages/<set>/*.jpg and Annotations/<set>/*.png"
    images, masks = find_paths(folder, [("JPEGImages", "Annotations")], layout)
    loose = pair_files(images, masks, read_ids_or_saliency)
    sets = {
        name: pair_files(images / name, masks / name, read_ids_or_saliency)
        for name in list_subfolders(images)
    }
    if source.split is not None:
        names = set(read_split(folder / "ImageSets" / f"{source.split}.txt"))
        require_existing(names, sets.keys() | {pair.image.stem for pair in loose}, images)
        loose = [pair for pair in loose if pair.image.stem in names]
        sets = {name: pairs for name, pairs in sets.items() if name in names}
    image_set = make_image_set(loose + [pair for pairs in sets.values() for pair in pairs], images, masks)
    counts = {"": len(loose), **{name: len(pairs) for name, pairs in sets.items()}}
    return replace(image_set, subsets=balance_sets(counts, source.balance)) if source.balance else image_set


def balance_sets(counts: Mapping[str, int], balance: float) -> tuple[Subset, ...]:
    """Return adjacent subsets with sampling weights ``count ** (1 - balance)``; empty ones are dropped."""
    filled = {name: count for name, count in counts.items() if count}
    total = sum(count ** (1 - balance) for count in filled.values())
    firsts = accumulate(filled.values(), initial=0)
    return tuple(
        Subset(name, first, count, count ** (1 - balance) / total)
        for first, (name, count) in zip(firsts, filled.items(), strict=False)
    )


SALIENCY_SETS: dict[str, tuple[list[tuple[str, str]], str]] = {
    "ecssd": (
        [("images", "ground_truth_mask"), ("ECSSD/images", "ECSSD/ground_truth_mask")],
        "images/*.jpg and ground_truth_mask/*.png",
    ),
    "msra10k": (
        [(name, name) for name in ("MSRA10K_Imgs_GT/Imgs", "Imgs", "MSRA10K/Imgs", ".")],
        "MSRA10K_Imgs_GT/Imgs/x.jpg with x.png beside it",
    ),
    # its grey levels count votes for an object; at least half of the votes select it
    "pascal_s": (
        [(f"{name}imgs/pascal", f"{name}masks/pascal") for name in ("datasets/", "", "PASCAL-S/datasets/")],
        "datasets/imgs/pascal/*.jpg and datasets/masks/pascal/*.png",
    ),
}
"""kind of a saliency set to its possible folders of images and masks, and its layout in messages"""


def open_saliency(folder: Path, source: SourceConfig) -> ImageSet:
    """Find a saliency set of `SALIENCY_SETS`."""
    if source.split is not None:
        raise InputError(
            f"train.phases.sources.split={source.split}: {source.kind} has no splits; remove it, or use "
            "kind static with a list of images"
        )
    forms, layout = SALIENCY_SETS[source.kind]
    if not list_files_by_stem(folder, (".jpg",)):
        forms = [form for form in forms if form != (".", ".")]
    images, masks = find_paths(folder, forms, layout)
    return make_image_set(pair_files(images, masks, read_saliency), images, masks)


def open_voc2012(folder: Path, source: SourceConfig) -> ImageSet:
    """Find the images of PASCAL VOC 2012 with instance masks (default split: trainval)."""
    layout = (
        "VOCdevkit/VOC2012/JPEGImages/*.jpg, SegmentationObject/*.png and ImageSets/Segmentation/trainval.txt"
    )
    prefixes = ("VOCdevkit/VOC2012", "VOC2012", ".")
    images, masks = find_paths(
        folder, [(f"{prefix}/JPEGImages", f"{prefix}/SegmentationObject") for prefix in prefixes], layout
    )
    lists = images.parent / "ImageSets" / "Segmentation"
    names = set(read_split(lists / f"{source.split or 'trainval'}.txt"))
    pairs = pair_files(images, masks, read_ids)
    return make_image_set([pair for pair in pairs if pair.image.stem in names], images, masks)


def make_image_set(images: Sequence[LabelledImage], folder: Path, masks: Path) -> ImageSet:
    """Return a set of images; raises `InputError` without any."""
    if not images:
        raise InputError(f"{folder}: no image with a mask in {masks}; expected pairs x.jpg and x.png")
    return ImageSet(tuple(images))


def open_video_folders(folder: Path, source: SourceConfig) -> VideoSet:
    """Find folders of frames: all, or those of a list in ImageSets/."""
    images, masks = find_paths(
        folder, VIDEO_LAYOUTS, "JPEGImages/<video>/*.jpg and Annotations/<video>/*.png"
    )
    names = list_subfolders(images)
    if source.split is not None:
        names = read_split(folder / "ImageSets" / f"{source.split}.txt")
    return _read_videos(source, images, masks, names)


def open_davis(folder: Path, source: SourceConfig) -> VideoSet:
    """Find DAVIS 2017 (default split: train); with a split 2016/... all ids of a video are one object."""
    layout = (
        "JPEGImages/480p/<sequence>/00000.jpg, Annotations/480p/<sequence>/00000.png and "
        "ImageSets/2017/train.txt"
    )
    inner = [f"{prefix}{{}}/{size}" for prefix in ("", "DAVIS/") for size in RESOLUTIONS]
    forms = [(form.format("JPEGImages"), form.format("Annotations")) for form in inner]
    images, masks = find_paths(folder, forms, layout)
    base = images.parents[1]
    year, _, split = (source.split or "train").rpartition("/")
    lists = [base / "ImageSets" / (year or "2017")]
    if year == "2016":  # the first release stores its lists below the resolution's name
        lists.append(base / "ImageSets" / "480p")
    names = read_sequence_names(find_list_file(split, *lists))
    return _read_videos(source, images, masks, names, read_single_object if year == "2016" else read_ids)


def open_vost(folder: Path, source: SourceConfig) -> VideoSet:
    """Find the labelled frames of VOST at 5 frames per second (default split: train)."""
    layout = "JPEGImages/<video>/*.jpg, Annotations/<video>/*.png and ImageSets/train.txt"
    images, masks = find_paths(
        folder, [("JPEGImages", "Annotations"), ("VOST/JPEGImages", "VOST/Annotations")], layout
    )
    names = read_split(images.parent / "ImageSets" / f"{source.split or 'train'}.txt")
    return _read_videos(source, images, masks, names)


def open_youtube_vos(folder: Path, source: SourceConfig) -> VideoSet:
    """Find YouTube-VOS train, 2018 or 2019; a split is a list in ImageSets/ beside JPEGImages/.

    Objects and videos with fewer than two frames in meta.json are dropped.
    """
    layout = "train/JPEGImages/<video>/00000.jpg, train/Annotations/<video>/00000.png and train/meta.json"
    parts = ("JPEGImages", "Annotations", "meta.json")
    base = find_paths(folder, [[f"train/{part}" for part in parts], parts], layout)[0].parent
    meta = read_metadata(base / "meta.json")
    names: Iterable[str] = sorted(meta)
    if source.split not in (None, "train"):
        names = read_split(base / "ImageSets" / f"{source.split}.txt")
        require_existing(names, meta, base / "JPEGImages")
    videos = [_youtube_video(base, name, meta[name]) for name in names]
    return _make_video_set(source, videos, base / "JPEGImages", base / "Annotations")


def _youtube_video(base: Path, name: str, objects: Mapping[Any, Any]) -> LabelledVideo:
    try:
        listed = {int(number): list(item["frames"]) for number, item in objects.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{base / 'meta.json'}: the objects of {name} are not readable ({error!r}); expected ids with frames"
        ) from error
    kept = {number for number, frames in listed.items() if len(frames) >= MIN_FRAMES}
    stems = {stem for number in kept for stem in listed[number]}
    dropped = tuple(sorted(listed.keys() - kept))
    pairs = pair_files(base / "JPEGImages" / name, base / "Annotations" / name, read_ids, dropped=dropped)
    return LabelledVideo(name, tuple(pair for pair in pairs if pair.image.stem in stems))


def _read_videos(
    source: SourceConfig, images: Path, masks: Path, names: Iterable[str], reader: MaskReader = read_ids
) -> VideoSet:
    names = list(names)
    require_existing(names, list_subfolders(images), images)
    videos = [LabelledVideo(name, tuple(pair_files(images / name, masks / name, reader))) for name in names]
    return _make_video_set(source, videos, images, masks)


def _make_video_set(
    source: SourceConfig, candidates: list[LabelledVideo], images: Path, masks: Path
) -> VideoSet:
    videos = tuple(video for video in candidates if len(video.frames) >= MIN_FRAMES)
    if not videos:
        raise InputError(
            f"{images}: no video with {MIN_FRAMES} frames that have masks of the same name in {masks}; "
            "expected <video>/00000.jpg with <video>/00000.png"
        )
    if len(videos) < len(candidates):
        short = len(candidates) - len(videos)
        log.info("%s: %d videos with fewer than %d labelled frames left out", images, short, MIN_FRAMES)
    return VideoSet(source.path, videos, source.max_gap)
