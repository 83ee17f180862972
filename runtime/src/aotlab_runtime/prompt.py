"""`Prompt`: points on an object and a box around it."""

from collections.abc import Mapping
from dataclasses import dataclass

from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Prompt:
    """Prompts for one object of a frame, in pixels of the frame; checked when they are used.

    >>> Prompt(points=[(120, 80), (40, 80)], labels=[1, 0])
    >>> Prompt(box=(100, 60, 50, 40))
    """

    points: ArrayLike = ()
    """Points (x, y), or a single point, on the object (positive) or off it (negative). Pixel centers are integers."""
    labels: ArrayLike | None = None
    """1 for a positive, 0 for a negative point; None: all are positive."""
    box: ArrayLike | None = None
    """Box around the object: left, top, width, height. The frame begins at 0."""


Prompts = Mapping[int, Prompt | ArrayLike]
"""Prompts by object id; ``{1: (x, y)}`` is short for ``{1: Prompt(points=(x, y))}``."""
