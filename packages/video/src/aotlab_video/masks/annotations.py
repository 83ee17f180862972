"""Reading and writing of a video's masks: images, COCO, and the formats of installed plug-ins."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from aotlab.media.names import image_stem
from aotlab.utils.errors import InputError, require, require_choice
from aotlab.utils.files import prefix_errors, read_json, reading, require_file, write_json
from aotlab.utils.plugins import check_signature, find_plugin, list_plugin_names
from aotlab.utils.text import join_truncated
from aotlab_video.masks.coco import format_coco, parse_coco
from aotlab_video.masks.mask_images import LabelCheck, parse_images
from aotlab_video.masks.region_matching import NO_OBJECT, match_regions
from aotlab_video.masks.regions import Annotations, ParsedFile, VideoInfo
from aotlab_video.plugins import MASK_READER_PLUGINS, MASK_WRITER_PLUGINS, list_mask_formats

log = logging.getLogger("aotlab.video")

OUTPUTS_PAGE = "https://aotlab.github.io/aotlab/formats.html"
"""Page that lists the outputs and formats, and their packages."""
MaskReader = Callable[[Path, VideoInfo], ParsedFile | Annotations | None]
"""Reader of a mask format: returns None for files of other formats, and raises errors of parsing within `reading`.

A `ParsedFile` is matched with the frames of the video; `Annotations` have its frame numbers already.
"""


@dataclass(frozen=True)
class MaskWriter:
    """Format in which the objects of a video can be written."""

    file_name: str
    """Usual name of the file or folder."""
    description: str
    write: Callable[..., None]
    """Function of a path, `Annotations` and a `VideoInfo`, and of its options by name, which writes the objects.

    It raises `InputError` if the format cannot hold them.
    """
    images: bool = False
    """Whether frames are stored beside the masks, as ``images/<frame>.jpg`` in the folder."""
    attributes: bool = False
    """Whether attributes of objects are stored."""

    def write_file(self, path: Path, annotations: Annotations, video: VideoInfo, **options: object) -> None:
        """Write the objects to a path; log a warning with the attributes that the format leaves out."""
        names = {name for _, region in annotations.regions() for name in region.attributes} - {"name"}
        if names and not self.attributes:
            log.warning("%s: without the attributes %s, which coco and cvat store", path, join_truncated(sorted(names)))
        self.write(path, annotations, video, **options)


def read_mask_files(
    path: Path,
    video: VideoInfo,
    *,
    frame: int | None = None,
    strict: bool = False,
    boxes: bool = False,
    check: LabelCheck | None = None,
) -> Annotations:
    """Return the objects on the annotated frames of a file or folder. An annotated frame may have no objects.

    Args:
        path: a PNG of object ids; a folder of ``<frame>.png`` (ids) or ``<object>/<frame>.png`` (binary); COCO JSON; or
            a format of a plug-in.
        video: the video that the masks belong to.
        frame: return only this frame. The masks of a file with a single frame are used for this one.
        strict: raise an error instead of a warning if the file names another video.
        boxes: keep objects with a box only; else they are left out, with their count in a warning.
        check: check of mask images whose format ``video`` does not state; None: no check.

    Raises:
        InputError: the file is missing, damaged, of another size, in an unknown format, or has no object or not this
            frame.
    """
    if not path.is_dir():
        require_file(path, "expected a file of masks")
    with prefix_errors(path):
        parsed = _read(path, video, check)
        annotations = parsed if isinstance(parsed, Annotations) else match_regions(parsed, video, frame)
        if not boxes:
            _leave_out_boxes(annotations)
        for warning in annotations.warnings:
            log.warning("%s: %s", path, warning)
        check_video_name(path, annotations.video, video, strict=strict)
        if frame is not None:
            shown = sorted({*annotations.boxes, *(index for index, regions in annotations.frames.items() if regions)})
            require(shown, NO_OBJECT)
            require(frame in shown, f"has no object on frame {frame}, but on {join_truncated(shown)}")
            annotations.frames = {index: found for index, found in annotations.frames.items() if index == frame}
            annotations.boxes = {index: found for index, found in annotations.boxes.items() if index == frame}
        if video.frame_names is not None:
            annotations.frame_names = {index: video.frame_names[index] for index in annotations.frames}
        return annotations


def check_video_name(path: Path, name: str, video: VideoInfo, *, strict: bool) -> None:
    """Warn about masks that state the name of another video, or raise `InputError` if ``strict``."""
    if name and video.name not in (name, image_stem(name)):
        problem = f"belongs to video {name}, not {video.name}"
        if strict:
            raise InputError(problem, remedy="give masks of this video, or rename the video in the file")
        log.warning("%s: %s", path, problem)


def _leave_out_boxes(annotations: Annotations) -> None:
    """Remove the boxes and log their count; raise `InputError` if there is nothing else."""
    count = sum(map(len, annotations.boxes.values()))
    has_mask = any(region.area for _, region in annotations.regions())
    boxes = f"{count} box{'es' * (count > 1)} without a mask"
    remedy = "give it to aotlab track --mask, which reads boxes as prompts"
    require(has_mask or not count, f"only {boxes}", remedy=remedy)
    if count:
        annotations.warnings.append(f"left out: {boxes}; aotlab track uses them as prompts")
    annotations.boxes = {}


def require_output_name(name: str, names: Collection[str], subject: str) -> None:
    """Raise `InputError` about ``subject`` unless a name is one of those of the installed formats and outputs."""
    require_choice(name, names, subject, f"for others, see {OUTPUTS_PAGE}")


def find_mask_writer(name: str) -> MaskWriter:
    """Return the writer of a format.

    Raises `InputError` if it is unknown, or its package is not installed.
    """
    if name == "coco":
        return MaskWriter("coco.json", "COCO, with track ids and confidence", _write_coco, attributes=True)
    require_output_name(name, list_mask_formats(), "format")
    writer: MaskWriter = find_plugin(MASK_WRITER_PLUGINS, name)
    check_signature(writer.write, ("path", "annotations", "video"))
    return writer


def _read(path: Path, video: VideoInfo, check: LabelCheck | None) -> ParsedFile | Annotations:
    """Return the objects of images or COCO JSON, or from the first plug-in that accepts the file or folder."""
    plugins = (find_plugin(MASK_READER_PLUGINS, name) for name in list_plugin_names(MASK_READER_PLUGINS))
    built_in: tuple[MaskReader, ...] = (partial(_read_images, check=check), _read_coco)
    # a folder of another format may hold images too
    plugins_first = path.is_dir() and video.mask_format is None
    for read in chain(plugins, built_in) if plugins_first else chain(built_in, plugins):
        if (parsed := read(path, video)) is not None:
            return parsed
    if not path.is_dir() and path.suffix.lower() not in (".json", ".xml", ".txt"):
        with reading(path):
            return ParsedFile(parse_images(path, video, rgb=True, check=check) or [])
    raise InputError(
        "not masks in a known format",
        remedy=(
            "expected PNGs of object ids in FRAME.png, binary ones in OBJECT/FRAME.png, COCO "
            "JSON, or a format of an installed plug-in"
        ),
    )


def _read_images(path: Path, video: VideoInfo, check: LabelCheck | None) -> ParsedFile | None:
    with reading(path):
        regions = parse_images(path, video, check=check)
    return None if regions is None else ParsedFile(regions)


def _read_coco(path: Path, video: VideoInfo) -> ParsedFile | None:
    if path.is_dir() or path.suffix.lower() != ".json":
        return None
    tree = read_json(path)
    if not isinstance(tree, dict) or not {"images", "annotations"} <= tree.keys():
        return None
    with reading(path):
        return parse_coco(tree, video)


def _write_coco(path: Path, annotations: Annotations, video: VideoInfo) -> None:
    write_json(path, format_coco(annotations, video))
