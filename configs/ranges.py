"""Types of settings with their allowed values, which the loader checks."""

from __future__ import annotations

from typing import Annotated

from aotlab.utils.numbers import COUNT, COUNT_OR_ZERO, FRACTION, NON_NEGATIVE, POSITIVE, SEED, Range

PRECISIONS = ("float32", "bfloat16", "float16", "auto")
"""auto: bfloat16 if the processor computes it, else float32"""

Count = Annotated[int, COUNT]
CountOrZero = Annotated[int, COUNT_OR_ZERO]
Seed = Annotated[int, SEED]
Fraction = Annotated[float, FRACTION]
Positive = Annotated[float, POSITIVE]
NonNegative = Annotated[float, NON_NEGATIVE]
Finite = Annotated[float, Range()]
Width = Annotated[int, Range(1, 2**16)]
"""channels, heads and objects"""
Edge = Annotated[int, Range(32, 2**15)]
"""side of an image in pixels"""
CropEdge = Annotated[int, Range(32, 2**13)]
"""side of a training image in pixels; OpenCV warps sides below 2**15 only, and images may be wide"""
Rate = Annotated[float, Range(0, 1e6)]
"""learning rates and decays, whose products must fit into float32"""
Precision = Annotated[str, PRECISIONS]
