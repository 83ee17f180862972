"""Results of a benchmark for its server: archives of id PNGs."""

import io
import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from aotlab.dataloaders.labeled_video import Video
from aotlab.dataloaders.object_masks import read_labels
from aotlab.evaluation.sequence_scores import find_unknown_ids, raise_if_unknown
from aotlab.media.images import decode_image, decode_pixels
from aotlab.media.masks import PALETTE, list_ids
from aotlab.media.rle import Size
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import atomic_path, reading, require_none_missing
from aotlab.utils.progress import progress_bar
from aotlab.utils.run_folder import find_masks_folder
from aotlab.utils.text import format_count

log = logging.getLogger(__name__)

DATE = (1980, 1, 1, 0, 0, 0)
"""Time stamp of all entries, so that the same results give the same archive."""


class SubmittedResults(NamedTuple):
    """Results of all videos of a split."""

    folder: Path
    """Folder with ``<sequence>/<frame>.png``, or with a folder of results for each sequence."""
    videos: Sequence[Video]
    root: Path
    """Folder of the data set."""
    split: str


def read_size_and_ids(video: Video) -> tuple[Size, list[int]]:
    """Return the (height, width) of a video's results and its object ids; reads the reference masks."""
    masks = [read_labels(mask) for mask in video.reference_masks.values()]
    ids = {item.object_id for item in video.objects} or set[int]().union(*map(list_ids, masks))
    return video.output_size(*masks[0].shape), sorted(ids)


def write_archive(results: SubmittedResults, output: Path, *, folder: str = "") -> int:
    """Pack the id PNGs, all with the standard palette; return the number of masks.

    ``folder``: folder of the sequences in the archive; "" for its root. Raises `InputError` if masks are missing, or
    invalid; the logger prints each invalid one at debug level.
    """
    sizes_and_ids = {video.name: read_size_and_ids(video) for video in results.videos}
    frames = [
        (video.name, find_masks_folder(results.folder / video.name) / f"{stem}.png")
        for video in results.videos
        for stem in video.written_stems
    ]
    missing = [path for _, path in frames if not path.is_file()]
    require_none_missing(missing, f"expected {len(frames)} palette PNGs for the frames of the split")
    problems = []
    with (
        atomic_path(output) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
        progress_bar(len(frames), unit="frame", title="packing") as bar,
    ):
        for name, path in frames:
            bar.update()
            try:
                with reading(path, "save it again"):
                    content = standardize_mask(path, *sizes_and_ids[name])
                add_entry(archive, "/".join(filter(None, (folder, name, path.name))), content)
            except InputError as error:
                problems.append(str(error))
        for problem in problems:
            log.debug("%s", problem)
        if problems:  # nothing is written
            found = format_count(len(problems), "problem")
            raise InputError(
                f"{found}, which --verbose lists", subject=results.folder, remedy=f"the first: {problems[0]}"
            )
    return len(frames)


def add_entry(archive: zipfile.ZipFile, name: str, content: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    """Add a file with a fixed time, so that the same results give the same archive."""
    entry = zipfile.ZipInfo(name, DATE)
    entry.external_attr = 0o644 << 16  # readable where the server unpacks it
    archive.writestr(entry, content, compression)


def standardize_mask(path: Path, size: Size, ids: Sequence[int]) -> bytes:
    """Return the bytes of a mask's file with the standard palette, unchanged if it has that already.

    Raises `InputError` unless it is an 8-bit mask of (height, width) with no other ids than these and 0.
    """
    content = path.read_bytes()
    with decode_image(io.BytesIO(content)) as image:
        mode, (width, height) = image.mode, image.size
        require(mode in ("P", "L"), f"mode {mode}", remedy="expected an 8-bit palette PNG")
        # A small file can decode to a huge image, so the size is compared first.
        require((height, width) == size, f"{width}×{height}", remedy=f"expected {size[1]}×{size[0]}")
        labels = decode_pixels(image)
        is_standard = mode == "P" and image.getpalette() == PALETTE.ravel().tolist()
    raise_if_unknown(find_unknown_ids(labels, ids), ids, path)
    if is_standard:
        return content
    palette_image = Image.fromarray(labels, mode="P")
    palette_image.putpalette(PALETTE.tobytes())
    out = io.BytesIO()
    palette_image.save(out, format="PNG")
    return out.getvalue()
