"""Reading and writing of a video's masks: PNG, COCO, and the formats of installed plug-ins."""

import json
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from aotlab.media.coco import format_coco, parse_classes, parse_coco, parse_video_name
from aotlab.media.images import open_image, read_mode, require_image_size
from aotlab.media.job_record import (
    CORRECTED_FILE,
    JOB_RECORD,
    MASKS_FOLDER,
    read_job_record,
    require_tracked_frames,
)
from aotlab.media.masks import MAX_OBJECTS, is_blurred, is_void, read_mask
from aotlab.media.matching import image_stem, list_image_files
from aotlab.media.region_matching import NO_OBJECT, match_regions
from aotlab.media.regions import Annotations, ParsedRegion, VideoInfo
from aotlab.media.rle import Size, encode_rle
from aotlab.utils.errors import InputError, require, require_choice
from aotlab.utils.files import atomic_path, prefix_errors, read_json, reading, require_file
from aotlab.utils.plugins import (
    MASK_READER_PLUGINS,
    MASK_WRITER_PLUGINS,
    STUDIO_NEEDED,
    list_mask_formats,
    list_plugins,
    load_plugin,
)

log = logging.getLogger(__name__)

STUDIO_OUTPUTS = ("cvat", "cvat_polygons", "label_studio", "mots", "yolo", "youtube_vis", "review")
"""Formats and outputs of the package aotlab-studio."""
TRACKED_MASKS = (MASKS_FOLDER, "coco.json", "cvat.xml", "youtube_vis.json")
"""Outputs of a job that contain the masks of all frames, in order of preference."""
MaskReader = Callable[[Path, VideoInfo], Annotations | None]
"""Reader of a mask format: returns None for files of other formats, and raises errors of parsing within `reading`."""


@dataclass(frozen=True)
class MaskWriter:
    """Format in which the objects of a video can be written."""

    file_name: str
    """Usual name of the file or folder."""
    description: str
    write: Callable[[Path, Annotations, VideoInfo], None]
    """Writes the objects to a path; raises `InputError` if the format cannot hold them."""
    images: bool = False
    """Whether frames are stored beside the masks, as ``images/<frame>.jpg`` in the folder."""
    files: tuple[str, ...] = ()
    """Glob patterns of the files in a folder, where ``*`` is the name of a frame; a later run replaces them."""
    side_files: tuple[str, ...] = ()
    """Names of further files that it writes beside a file with the usual name."""


def read_annotations(
    path: Path, video: VideoInfo, *, frame: int | None = None, strict: bool = False
) -> Annotations:
    """Return the objects on the annotated frames of a file or folder. An annotated frame may have no objects.

    Args:
        path: a PNG of object ids; a folder of ``<frame>.png`` (ids) or ``<object>/<frame>.png`` (binary); COCO JSON; a
            folder of results, whose record has the names of the video and of classes; or a format of a plug-in.
        video: the video that the masks belong to.
        frame: return only this frame. The masks of a file with a single frame are used for this one.
        strict: raise an error instead of a warning if the file names another video.

    Raises:
        InputError: the file is missing, damaged, of another size, in an unknown format, or has no object or not this
            frame; results lack masks of tracked frames or have masks of others.
    """
    folder, record = path, read_job_record(path)
    if record is not None and record.error is not None:
        log.warning("%s: results of an unfinished run (%s)", folder, record.error)
    if (folder / JOB_RECORD).is_file() or (folder / CORRECTED_FILE).is_file():
        outputs = [name for name in TRACKED_MASKS if (folder / name).exists()]
        require(outputs, f"{folder}: results without masks; track the video again and write masks")
        # without a record, only the other outputs have class names
        path = folder / min(outputs, key=lambda name: record is None and name == MASKS_FOLDER)
    if not path.is_dir():
        require_file(path, "expected a file of masks")
    with prefix_errors(path):
        annotations = _read(path, replace(video, frame=frame), tracked=path != folder)
        if record is not None:
            annotations.video = record.video_name or annotations.video
            annotations.class_names = record.class_names
            require_tracked_frames(folder, record, annotations.frames)
        if annotations.video and video.name not in (annotations.video, image_stem(annotations.video)):
            problem = f"belongs to video {annotations.video}, not {video.name}"
            remedy = f"give masks of this video, or rename the video{'' if record else ' in the file'}"
            require(not strict, f"{problem}; {remedy}")
            log.warning("%s: %s", path, problem)
        if frame is not None:
            shown = sorted(index for index, regions in annotations.frames.items() if regions)
            require(shown, NO_OBJECT)
            listed = ", ".join(map(str, shown[:10]))
            require(frame in shown, f"has no object on frame {frame}, but on {listed}")
            annotations.frames = {frame: annotations.frames[frame]}
        if video.frame_names is not None:
            annotations.frame_names = {index: video.frame_names[index] for index in annotations.frames}
        return annotations


def require_output_name(name: str, names: Collection[str], subject: str) -> None:
    """Raise `InputError` about ``subject`` unless a name is one of those of the installed formats and outputs."""
    if name in STUDIO_OUTPUTS and name not in names:
        raise InputError(f"{subject} {name}: {STUDIO_NEEDED}")
    require_choice(name, names, subject)


def find_mask_writer(name: str) -> MaskWriter:
    """Return the writer of a format.

    Raises `InputError` if it is unknown, or its package is not installed.
    """
    if name == "coco":
        return MaskWriter("coco.json", "COCO, with track ids and confidence", _write_coco)
    require_output_name(name, list_mask_formats(), "format")
    writer: MaskWriter = load_plugin(list_plugins(MASK_WRITER_PLUGINS)[name])
    return writer


def _read(path: Path, video: VideoInfo, *, tracked: bool) -> Annotations:
    """Return the objects of images or COCO JSON, or from the first plug-in that accepts the file or folder.

    ``tracked``: the path is in a folder of results.
    """
    plugins = map(load_plugin, list_plugins(MASK_READER_PLUGINS).values())
    built_in: tuple[MaskReader, ...] = (_read_images, _read_coco)
    # a folder of another format may hold images too
    plugins_first = path.is_dir() and not tracked
    for read in chain(plugins, built_in) if plugins_first else chain(built_in, plugins):
        if (annotations := read(path, video)) is not None:
            return annotations
    if not path.is_dir() and path.suffix.lower() not in (".json", ".xml", ".txt"):
        read_mask(path)  # raises if it is not a mask image
    raise InputError(
        "not masks in a known format; expected PNGs of object ids in FRAME.png, binary ones in OBJECT/FRAME.png, "
        "COCO JSON, or a format of an installed plug-in"
    )


def _read_images(path: Path, video: VideoInfo) -> Annotations | None:
    with reading(path):
        regions = _parse_images(path, video.size)
    return None if regions is None else match_regions(regions, video)


def _read_coco(path: Path, video: VideoInfo) -> Annotations | None:
    tree = read_json(path) if path.suffix.lower() == ".json" and not path.is_dir() else None
    if not isinstance(tree, dict) or not {"images", "annotations"} <= tree.keys():
        return None
    with reading(path):
        regions = parse_coco(tree, video)
        classes, name = parse_classes(tree), parse_video_name(tree, video)
    annotations = match_regions(regions, video)
    annotations.classes, annotations.video = classes, name
    return annotations


def _write_coco(path: Path, annotations: Annotations, video: VideoInfo) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(format_coco(annotations, video), separators=(",", ":")) + "\n")


def _parse_images(path: Path, size: Size) -> list[ParsedRegion] | None:
    """Return the objects of a mask image or of a folder of them; None for colored images and other files."""
    if not path.is_dir():
        if read_mode(path) in ("", "RGB", "RGBA"):
            return None
        return _parse_masks({path: ""}, size)
    images = list_image_files(path, (".png",))
    folders = [entry for entry in sorted(path.iterdir()) if entry.is_dir() and entry.name[0] != "."]
    folders = [folder for folder in folders if list_image_files(folder, (".png",))]
    if images and folders:
        raise InputError(f"{path}: has PNGs and a folder {folders[0].name} of PNGs; move one of the two")
    if folders:
        return _parse_object_folders(folders, size)
    return _parse_masks({image: image for image in images}, size) if images else None


def _parse_masks(names: Mapping[Path, str | Path], size: Size) -> list[ParsedRegion]:
    """Return the objects of images of object ids, by path with the names of their frames.

    255 in 8 bits is object 1 if the only other value of all images is 0; otherwise it is void.
    """
    regions: dict[Path, list[ParsedRegion]] = {}
    voids: dict[Path, np.ndarray] = {}
    for path, image in names.items():
        mask = read_mask(path, size=size)
        void = is_void(mask)
        if void.any():
            voids[path] = encode_rle(void)
            mask[void] = 0
        ids = np.unique(mask[mask > 0]).tolist()
        if len(ids) > MAX_OBJECTS or is_blurred(mask):
            raise InputError(
                f"{path}: has {len(ids)} different ids, like a gray or smoothed image; give one value for each object: "
                "threshold it (magick mask.png -threshold 50% mask.png), and save it without smoothing"
            )
        masks = [(object_id, encode_rle(mask == object_id)) for object_id in ids]
        regions[path] = [ParsedRegion(None, rle, key=object_id, image=image) for object_id, rle in masks]
    binary = not any(regions.values())
    if voids:
        meaning = "object 1" if binary else "void, not an object"
        log.warning("%s: 255 is treated as %s (masks with it: %d)", next(iter(voids)), meaning, len(voids))
    for path in voids if binary else ():
        regions[path] = [ParsedRegion(None, voids[path], key=1, image=names[path])]
    empty = [ParsedRegion(None, None, image=image) for path, image in names.items() if not regions[path]]
    return [*chain.from_iterable(regions.values()), *empty]


def _read_binary_mask(path: Path, size: Size, *, palette: bool) -> np.ndarray:
    """Return the H×W bool mask of an image of 0 and either 1 or 255; ``palette``: accept palette images."""
    with open_image(path, "give a black and white PNG") as image:
        mode_allowed = palette or image.mode != "P"
        mask = np.array(image if image.mode in ("1", "P", "L") else image.convert("L"))
    require_image_size(mask, size, path, "its frame")
    values = {*np.unique(mask).tolist()}
    if not mode_allowed or not (values <= {0, 1} or values <= {0, 255}):
        kind = "gray" if mode_allowed else "palette"
        problem = (
            f"has {len(values)} {kind} values up to {max(values)}, but OBJECT/FRAME.png is black and white"
        )
        raise InputError(f"{path}: {problem}; for object ids, give the folder that holds FRAME.png itself")
    return mask > 0


def _parse_object_folders(folders: Sequence[Path], size: Size) -> list[ParsedRegion]:
    """Return the objects of folders named by id or class. If a folder is called 0, as in SA-V, ids are one higher."""
    ids = {folder: int(folder.name) for folder in folders if re.fullmatch("[0-9]{1,5}", folder.name)}
    if len(set(ids.values())) < len(ids):
        names = ", ".join(sorted(folder.name for folder in ids))
        raise InputError(f"two of the folders {names} have the same object id; merge or rename them")
    first = 1 if 0 in ids.values() else 0
    regions = []
    # SA-V and SAM 2 write palette images of 0 and 1 into folders named by id. In other folders, a palette image holds
    # object ids.
    for folder in folders:
        name, key = ("", ids[folder] + first) if folder in ids else (folder.name, folder.name)
        for path in list_image_files(folder, (".png",)):
            mask = _read_binary_mask(path, size, palette=folder in ids)
            rle = encode_rle(mask) if mask.any() else None
            regions.append(ParsedRegion(None, rle, name, key, Path(path.name)))
    return regions
