"""Masks in formats of other labeling tools: what a file contains, and helpers of parsers and writers."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from msgspec import Struct

from aotlab import sdk

log = logging.getLogger(__name__)

Size = tuple[int, int]
"""(height, width) in pixels"""


class ParsedFile(Struct):
    """Contents of a file of masks."""

    regions: list[sdk.ParsedRegion]
    classes: dict[str, int] = {}
    """class ids by class name; empty if unset"""
    video: str = ""
    """name of the video; empty if unset"""


def average(values: Sequence[float]) -> float:
    """Return the mean with four decimals; 0 without values."""
    return round(sum(values) / max(len(values), 1), 4)


def require_masks(regions: Sequence[sdk.ParsedRegion], others: Collection[str]) -> None:
    """Log the kinds of shapes that are left out; raise `ValueError` if no region has a mask."""
    kinds = ", ".join(sorted(others)).encode("ascii", "backslashreplace").decode()[:200]
    if not any(region.rle is not None for region in regions):
        raise ValueError(
            f"only shapes of kind {kinds}, no mask or polygon" if others else "no mask or polygon"
        )
    if others:
        log.warning("shapes of kind %s are left out", kinds)


def parse_numbers(text: str) -> list[float]:
    """Return the numbers of a text like ``1,2;3,4``; raise `ValueError` for any other."""
    return [float(part) for part in text.replace(";", " ").replace(",", " ").split()]
