"""VISOR: DAVIS's rules with the last frame and means over unseen kitchens, its submission, and its conversion.

Source: Darkhalil et al. 2022; submission: github.com/epic-kitchens/C6-SemiVOS.

`convert_visor` reads the data as distributed. A JSON file holds ``video_annotations``, one entry a frame: ``image``
with ``name``, ``video`` and ``subsequence``, and ``annotations``, each an object's ``name`` and its ``segments``, which
are polygons of [x, y] on an image of 1920×1080. The conversion follows the official script: 854×480, ids by the
alphabetical order of names, in val only the objects of a sequence's first frame, no sequence of fewer than two (val) or
three (train) frames with masks.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import dropwhile
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, Field

from aotlab.dataloaders import sequences
from aotlab.dataloaders.labeled_video import Video
from aotlab.evaluation.archive import SubmittedResults, add_entry, read_size_and_ids
from aotlab.evaluation.benchmark import Benchmark
from aotlab.evaluation.label_scores import plan_labels
from aotlab.evaluation.rows import Row, Summary, column_mean, mean_row, select_rows
from aotlab.evaluation.sequence_scores import ScoringPlan, find_unknown_ids, raise_if_unknown
from aotlab.media.images import read_image
from aotlab.media.masks import VOID, read_mask, write_mask
from aotlab.utils.errors import InputError, output_exists_error, require
from aotlab.utils.files import atomic_path, read_model, require_file_name, write_bytes, write_json, write_text
from aotlab.utils.locks import staging_folder
from aotlab.utils.numbers import MAX_SIDE
from aotlab.utils.run_folder import find_masks_folder

INFO = {
    "Dataset Name": "VISOR",
    "Challenge": "semi_supervised_vos",
    "Version": "0.1",
    "Resolution": "854x480",
    "URL": "https://epic-kitchens.github.io/VISOR",
}
"""Head of a submission."""
Split = Literal["train", "val"]
ANNOTATION_SIZE = (1080, 1920)
"""(height, width) of the images on which polygons are defined."""
SIZE = (480, 854)
"""(height, width) of written images and masks."""
MIN_FRAMES = {"train": 3, "val": 2}
"""Minimum number of frames with masks in a sequence."""
UNSEEN_KITCHENS = frozenset(
    ["P07_101", "P07_103", "P07_110", "P09_02", "P09_07", "P09_103", "P09_104", "P09_106", "P21_01", "P29_04"]
)


@dataclass(frozen=True)
class VISOR(Benchmark):
    """VISOR as `convert_visor` writes it."""

    layout = "JPEGImages/480p/<sequence>/*.jpg, Annotations/480p/<sequence>/*.png, ImageSets/2022/<split>.txt"
    source = "https://epic-kitchens.github.io/VISOR (convert it with aotlab convert-visor)"
    folder = "VISOR_2022"
    submission_suffix = ".zip"
    min_frames = 2

    def read_videos(self, root: Path, split: str) -> list[Video]:
        """Read the sequences of a split (train, val, val_unseen), sorted by name; those of val_unseen are marked."""
        lists = root / "ImageSets" / "2022"
        path = sequences.find_list_file(split, lists)
        unseen = sequences.read_optional_list(lists / "val_unseen.txt")

        def read(name: str) -> Video:
            seen = None if unseen is None else name not in unseen
            folders = (root / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
            return replace(sequences.read_video(name, *folders), seen_in_training=seen)

        return sequences.read_videos(path, sorted(sequences.read_names(path)), read)

    def plan(self, video: Video) -> ScoringPlan:
        return plan_labels(video, self.measure, drop_last=False, strict=self.strict_protocol)

    def summarize(self, rows: Sequence[Row], seen: Sequence[bool | None]) -> Summary:
        """Return the means over all objects, and over those in kitchens unseen in training."""
        unseen = select_rows(rows, seen, False)
        return {**mean_row(rows), **{f"{column}_unseen": column_mean(unseen, column) for column in ("J&F", "J", "F")}}

    def write_submission(self, results: SubmittedResults, output: Path) -> int:
        """Write a zip without folders with ``<split>.json``; return the number of masks in it, without empty ones.

        The objects are named as in ``<split>_data_mapping.json``, which the conversion writes.
        """
        split = results.split
        mapping = results.root / f"{split.removesuffix('_unseen')}_data_mapping.json"
        remedy = "convert VISOR again"
        names_by_sequence = read_model(mapping, dict[str, dict[int, str]], remedy)
        unnamed = [video.name for video in results.videos if video.name not in names_by_sequence]
        require(not unnamed, f"missing {next(iter(unnamed), '')!r}", subject=mapping, remedy=remedy)
        entries = []
        for video in results.videos:
            objects, (size, _) = names_by_sequence[video.name], read_size_and_ids(video)
            for stem in video.written_stems:
                path = find_masks_folder(results.folder / video.name) / f"{stem}.png"
                entries.append(_make_entry(video.name, stem, read_mask(path, size=size), objects, path))
        text = json.dumps({"info": INFO, "video_annotations": entries})
        with atomic_path(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            add_entry(archive, f"{split}.json", text.encode(), zipfile.ZIP_DEFLATED)
        return sum(len(entry["annotations"]) for entry in entries)


def trace_polygons(mask: np.ndarray) -> list[list[list[int]]]:
    """Return the outlines of an H×W bool mask and its holes; `cv2.fillPoly` of all restores the mask."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return [outline[:, 0].tolist() for outline in contours]


def _make_entry(sequence: str, stem: str, labels: np.ndarray, names: Mapping[int, str], path: Path) -> dict[str, Any]:
    """Return the entry of one frame."""
    raise_if_unknown(find_unknown_ids(labels, [*names]), names, path)
    video = "_".join(sequence.split("_")[:2])
    name = f"{stem}.png"
    image = {"image_path": f"{video}/{name}", "name": name, "subsequence": sequence, "video": video}
    annotations = [
        {"name": names[object_id], "segments": trace_polygons(labels == object_id)}
        for object_id in np.unique(labels[labels > 0]).tolist()
    ]
    return {"image": image, "annotations": annotations}


Coordinate = Annotated[float, Field(ge=-MAX_SIDE, le=MAX_SIDE, allow_inf_nan=False)]


class Outlines(BaseModel):
    """An object of a frame as distributed."""

    name: str
    segments: list[list[tuple[Coordinate, Coordinate]]]


class ImageName(BaseModel):
    """An annotated image as distributed."""

    name: str
    video: str
    subsequence: str
    image_path: str = ""


class FrameRecord(BaseModel):
    """An annotated frame as distributed."""

    image: ImageName
    annotations: list[Outlines]


class AnnotationFile(BaseModel):
    """A file as distributed."""

    video_annotations: list[FrameRecord]


@dataclass(frozen=True)
class Frame:
    """One annotated image."""

    video: str
    name: str
    """File name."""
    outlines: tuple[tuple[str, tuple[np.ndarray, ...]], ...]
    """Object names with polygons, n×2 int32 each, in file order; later ones lie on top."""


@dataclass
class Conversion:
    """Results of a conversion."""

    names: dict[str, dict[str, str]] = field(default_factory=dict)
    """Names of objects by written sequence and id."""
    masks: int = 0
    """Number of written masks."""
    too_short: int = 0
    """Number of sequences with too few frames."""
    failures: dict[str, str] = field(default_factory=dict)
    """Error message by file or sequence."""


def convert_visor(annotations: Path, images: Path, output: Path, split: Split, *, force: bool = False) -> Conversion:
    """Convert the sequences of all ``*.json`` in a folder; broken ones are skipped and reported.

    Args:
        annotations: the folder of a split's JSON files.
        images: holds ``<video>/<frame>.jpg``, or that in a folder for each kitchen.
        output: receives JPEGImages, Annotations, ImageSets and the names of objects, as ``VISOR_2022``; sequences of
            earlier conversions stay in the lists.
        split: "val" keeps only objects of the first frame.
        force: replace sequences of earlier conversions; otherwise they are failures.

    Raises:
        InputError: no JSON file, or nothing in them can be converted.
    """
    files = sorted(annotations.glob("[!.]*.json"))
    conversion = Conversion()
    for file in files:
        try:
            sequences = read_polygons(file)
        except InputError as error:
            conversion.failures[file.name] = str(error)
            continue
        for name, frames in sequences.items():
            try:
                ids = number_objects(frames, first_only=split == "val")
                drawn = [(frame, draw_labels(frame, ids)) for frame in frames]
                count = sum(bool(mask.any()) for _, mask in drawn)
                if count < MIN_FRAMES[split]:
                    conversion.too_short += 1
                    continue
                _write_sequence(name, drawn, images, output, force=force)
            except InputError as error:
                conversion.failures[name] = str(error)
                continue
            conversion.masks += count
            conversion.names[name] = {str(object_id): text for text, object_id in ids.items()}
    if not conversion.names:
        problem = f"{annotations}: no sequence of enough frames in {len(files)} JSON files; expected P01_01.json, ..."
        raise InputError(next(iter(conversion.failures.values()), problem))
    _write_lists(output, split, conversion.names)
    return conversion


def read_polygons(path: Path) -> dict[str, list[Frame]]:
    """Read the frames of each sequence of a JSON file, in temporal order."""
    sequences: dict[str, list[Frame]] = {}
    records = read_model(path, AnnotationFile).video_annotations
    for record in sorted(records, key=lambda item: item.image.image_path or item.image.name):
        image = record.image
        for name in (image.name, image.video, image.subsequence):
            require_file_name(name, str(path))
        outlines = tuple((item.name, _list_polygons(item)) for item in record.annotations)
        sequences.setdefault(image.subsequence, []).append(Frame(image.video, image.name, outlines))
    return sequences


def number_objects(frames: Sequence[Frame], *, first_only: bool) -> dict[str, int]:
    """Number the objects with an outline on the frames, or only on the first, sorted by name."""
    selected = frames[:1] if first_only else frames
    names = sorted({name for frame in selected for name, polygons in frame.outlines if polygons})
    if not 0 < len(names) < VOID:
        raise InputError(
            f"{len(names)} objects", subject=frames[0].name, remedy=f"expected 1 to {VOID - 1} with an outline"
        )
    return {name: object_id for object_id, name in enumerate(names, start=1)}


def draw_labels(frame: Frame, ids: Mapping[str, int]) -> np.ndarray:
    """Draw the ids of a frame, H×W uint8 in `SIZE`; objects without an id are skipped."""
    mask = np.zeros(ANNOTATION_SIZE, dtype=np.uint8)
    for name, polygons in frame.outlines:
        if name in ids and polygons:
            cv2.fillPoly(mask, list(polygons), ids[name])
    return np.asarray(cv2.resize(mask, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_NEAREST))


def _list_polygons(item: Outlines) -> tuple[np.ndarray, ...]:
    """Return polygons without empty ones; coordinates are truncated to integers, as in the script."""
    return tuple(np.array(polygon).astype(np.int32) for polygon in item.segments if polygon)


def _write_sequence(
    name: str, drawn: Sequence[tuple[Frame, np.ndarray]], images: Path, output: Path, *, force: bool
) -> None:
    """Write the images and masks of a sequence, from its first mask on, all or none."""
    frames, masks = (output / kind / "480p" / name for kind in ("JPEGImages", "Annotations"))
    for folder in (frames, masks):
        if any(folder.glob("[!.]*")) and not force:
            raise output_exists_error(folder, "files", suggest_force=True)
    with staging_folder(frames) as new_frames, staging_folder(masks) as new_masks:
        for frame, mask in dropwhile(lambda pair: not pair[1].any(), drawn):
            image = read_image(_find_image(images, frame))
            small = cv2.resize(image, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_LINEAR)
            _, jpeg = cv2.imencode(".jpg", small[:, :, ::-1])
            stem = Path(frame.name).stem
            write_bytes(new_frames / f"{stem}.jpg", jpeg.data)
            if mask.any():
                write_mask(new_masks / f"{stem}.png", mask)


def _find_image(images: Path, frame: Frame) -> Path:
    """Return the image of a frame, which may be missing."""
    folders = (images / frame.video, images / frame.video.split("_")[0] / frame.video)
    files = [folder / frame.name for folder in folders]
    return next(filter(Path.is_file, files), files[0])


def _write_lists(output: Path, split: Split, names: Mapping[str, Mapping[str, str]]) -> None:
    """Add sequences to the lists of a split and to the names of their objects."""
    mapping = output / f"{split}_data_mapping.json"
    if mapping.is_file():
        names = {**read_model(mapping, dict[str, dict[str, str]]), **names}
    names = dict(sorted(names.items()))
    lists: dict[str, list[str]] = {split: list(names)}
    if split == "val":
        lists["val_unseen"] = [name for name in names if "_".join(name.split("_")[:2]) in UNSEEN_KITCHENS]
    for title, listed in lists.items():
        write_text(output / "ImageSets" / "2022" / f"{title}.txt", "".join(f"{name}\n" for name in listed))
    write_json(mapping, names, indent=1)
