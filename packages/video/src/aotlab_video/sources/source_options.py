"""Options for reading the frames of a source, however they are given."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from aotlab.sdk import Settings, build
from aotlab.utils.errors import describe_wrong_choice, require
from aotlab.utils.numbers import POSITIVE
from aotlab.utils.text import shorten
from aotlab_video.sources.levels import INPUT_TRANSFORMS, OCIO_PREFIX

IMAGE_RATE = Fraction(24)
"""Default frame rate of image sequences, as in DAVIS and most films."""
MAX_RATE = 1000
RATE = re.compile(r"[0-9]{1,4}(\.[0-9]{1,20})?|[0-9]{1,9}/[1-9][0-9]{0,8}")
"""Syntax of frame rates; `Fraction` would compute all digits of 1e999999999."""
MATRICES = {"bt601": 6, "bt709": 1, "bt2020": 9}
"""Color matrices of video by name, as FFmpeg's numbers."""


def parse_rate(rate: Any) -> Fraction | None:
    """Return frames per second, such as 25 or 30000/1001; raise `ValueError` unless above 0 and at most `MAX_RATE`."""
    if rate is None:
        return None
    text = str(rate).strip()
    # video files store fractions of small integers
    parsed = Fraction(text if RATE.fullmatch(text) else 0).limit_denominator(1_000_000)
    if not 0 < parsed <= MAX_RATE:
        raise ValueError(f"{text:.40}: expected frames per second, for example 25 or 30000/1001")
    return parsed


def parse_levels(levels: Any) -> tuple[float, float] | Literal["auto"] | None:
    """Return the pair of numbers of ``LOW,HIGH``, or ``auto``; raise `ValueError` for other values."""
    if levels is None or str(levels) == "auto":
        return None if levels is None else "auto"
    try:
        low, high = map(float, levels.split(",") if isinstance(levels, str) else levels)
    except (ValueError, TypeError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        expected = "expected auto, or LOW,HIGH with LOW below HIGH, for example 0,4095"
        raise ValueError(f"{shorten(levels)}: {expected}")
    return low, high


def _check_transform(name: str | None) -> str | None:
    if name not in (None, *INPUT_TRANSFORMS) and (name == OCIO_PREFIX or not name.startswith(OCIO_PREFIX)):
        raise ValueError(describe_wrong_choice(name, (*INPUT_TRANSFORMS, "ocio:SPACE")))
    return name


def _parse_answer(value: Any) -> Any:
    """Return True for yes and False for no; other values unchanged."""
    if isinstance(value, str) and value not in ("yes", "no"):
        raise ValueError(describe_wrong_choice(value, ("yes", "no")))
    return value == "yes" if isinstance(value, str) else value


def _parse_seconds(value: Any) -> float:
    try:
        return float(POSITIVE.check(float(value)))
    except (TypeError, ValueError):
        raise ValueError(f"{shorten(value)}: expected seconds above 0") from None


class SourceOptions(Settings):
    """Options for reading the frames of a source; on the command line, ``--source KEY=VALUE`` for each option.

    >>> SourceOptions(fps=25, layer="ViewLayer.Combined")
    """

    fps: Annotated[float | Fraction | None, PlainValidator(parse_rate)] = None
    """Images: frames per second, such as 25 or 30000/1001 (default: the files', else 24)."""
    levels: Annotated[tuple[float, float] | Literal["auto"] | None, PlainValidator(parse_levels)] = None
    """Images: values shown as black and white, LOW,HIGH; auto: percentiles of the video (default: 8-bit images
    unchanged, others auto)."""
    input_transform: Annotated[str | None, AfterValidator(_check_transform)] = None
    """Images: curve of their values, for the tracker only: linear, srgb, or ocio:SPACE of OpenColorIO (default:
    linear for EXR, srgb for others)."""
    layer: str | None = None
    """EXR images: layer, such as ViewLayer.Combined (default: the one without a name, or else the only one with
    colors)."""
    matrix: Literal["bt601", "bt709", "bt2020"] | None = None
    """Video files that state no color matrix: bt601, bt709 or bt2020 (default: bt709 above standard definition, else
    bt601)."""
    interlaced: Annotated[bool, BeforeValidator(_parse_answer)] = False
    """Video files: yes, to read interlaced frames as they are, with two moments in alternate lines (default: no)."""
    timeout: Annotated[float, PlainValidator(_parse_seconds)] = Field(default=30.0, exclude=True)
    """Seconds without a frame after which tracking stops (default: 30)."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values of what the frames depend on: options that are not the default, but for ``timeout``."""
        defaults = {name: item.default for name, item in type(self).model_fields.items() if not item.exclude}
        changed = {name: value for name, value in self if value != defaults.get(name, value)}
        plain: dict[type, Callable[[Any], Any]] = {Fraction: str, tuple: list}
        return {name: plain.get(type(value), lambda same: same)(value) for name, value in changed.items()}


IMAGE_OPTIONS = ("fps", "levels", "input_transform", "layer")
"""Options of folders of images and TIFF stacks only."""


def parse_source_options(value: Any) -> SourceOptions:
    """Return the options of one or several texts ``KEY=VALUE``, or of a mapping; `SourceOptions` are unchanged.

    Raises:
        InputError: an unknown option, or a wrong value.
    """
    if isinstance(value, SourceOptions):
        return value
    if isinstance(value, Mapping):
        return build(SourceOptions, {str(name): option for name, option in value.items()})
    texts = [value] if isinstance(value, str) or not isinstance(value, Iterable) else [*value]
    options: dict[str, Any] = dict(str(text).partition("=")[::2] for text in texts)
    for name, option in options.items():
        require(option, "expected KEY=VALUE, for example fps=25", subject=f"source {shorten(name)}")
    return build(SourceOptions, options)
