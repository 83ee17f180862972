"""Parser of regions in files of all formats: places in messages, shapes without pixels, kinds that are not read."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from aotlab.media.prompt import Box
from aotlab.media.rle import Size, drop_empty_polygons, fill_polygons
from aotlab.utils.errors import InputError
from aotlab.utils.files import describe_error, reading
from aotlab.utils.text import format_count, shorten
from aotlab_video.masks.regions import ParsedFile, ParsedRegion

NO_PIXELS = "without pixels"
"""Description of regions that COCO's reader drops too: fewer than three points, or no pixel inside."""
EXPECTED = "expected polygons of three points or more in pixels, not fractions of the image, or masks"


class RegionParser:
    """Regions of a file, added while it is parsed; `finish` returns them, and what is left out with counts.

    Every region is parsed within `skip_unreadable`, everything else within `locate`; messages have its place.
    """

    def __init__(self, size: Size) -> None:
        """``size``: (height, width) of the frames."""
        self.size = size
        self._regions: list[ParsedRegion] = []
        self._place = ""
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first_places: dict[tuple[str, str], str] = {}
        self._error: InputError | None = None

    @contextmanager
    def locate(self, place: str) -> Iterator[None]:
        """Turn errors of values in the block into an `InputError` about a place: file or image, and the region there.

        These are `ValueError`, which pydantic's are too, and those of `reading`.
        """
        self._place = place = shorten(place.encode("ascii", "backslashreplace").decode(), 200)
        with reading(place, "correct or remove this region"):
            yield

    @contextmanager
    def skip_unreadable(self, place: str) -> Iterator[None]:
        """Leave out a region that cannot be read in the block; an `InputError`, such as for another size, is raised."""
        try:
            with self.locate(place):
                yield
        except InputError as error:
            if error.__cause__ is None:
                raise
            self._error = self._error or error
            self._place += f": {describe_error(error.__cause__)}"
            self.leave_out("region", "not readable")

    def fill(self, polygons: Sequence[Sequence[float]]) -> np.ndarray:
        """Return the run lengths of polygons as `fill_polygons`; without pixels if all are lines, points or specks."""
        kept = drop_empty_polygons(polygons)
        if kept and len(kept) < len(polygons):
            self.leave_out("polygon", NO_PIXELS)
        return fill_polygons(kept, self.size) if kept else np.array([self.size[0] * self.size[1]])

    def add(self, region: ParsedRegion) -> None:
        """Add a region; one without pixels is left out."""
        if region.box is not None:
            region = replace(region, box=self._crop(region.box))
        if region.box is None and (region.rle is None or not region.rle[1::2].any()):
            self.leave_out("region", NO_PIXELS)
        else:
            self._regions.append(region)

    def _crop(self, box: Box) -> Box | None:
        """Return the part of a box inside the frame; None without any."""
        (left, top, width, height), (rows, columns) = box, self.size
        right, bottom = min(left + width, columns), min(top + height, rows)
        left, top = max(left, 0.0), max(top, 0.0)
        return (left, top, right - left, bottom - top) if left < right and top < bottom else None

    def add_absent(self, region: ParsedRegion) -> None:
        """Add a frame without objects (no run lengths), or an object that is absent from a frame (no pixels)."""
        self._regions.append(region)

    def leave_out(self, noun: str, description: str) -> None:
        """Count what is not read at the current place, such as ``shape``, ``of kind ellipse``."""
        self._counts[noun, description] += 1
        self._first_places.setdefault((noun, description), self._place)

    def finish(
        self, classes: Mapping[str, int] | None = None, video: str = "", *, counts_from_zero: bool = False
    ) -> ParsedFile:
        """Return the regions and what is left out, with the class ids and the video of the file.

        Raises `InputError` if something is left out and no region remains, the first one if regions are not readable.
        """
        text = ", ".join(
            f"{format_count(count, noun)} {description}".encode("ascii", "backslashreplace").decode()[:120]
            + f" ({'first: ' if count > 1 else ''}{self._first_places[noun, description]})"
            for (noun, description), count in sorted(self._counts.items())
        )
        is_found = not text or any(region.rle is not None or region.box is not None for region in self._regions)
        if not is_found:
            raise self._error or InputError(f"only {text}", remedy=EXPECTED)
        return ParsedFile(self._regions, classes or {}, video, counts_from_zero, text)
