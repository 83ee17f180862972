"""Image preprocessing that training and tracking share."""

from __future__ import annotations

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
"""ImageNet statistics of RGB in [0, 1], subtracted and divided per channel"""


def network_size(
    size: tuple[int, int],
    *,
    align_corners: bool,
    max_long_edge: float | None = 1040,
    max_short_edge: float | None = None,
    scale: float = 1.0,
    stride: int = 16,
) -> tuple[int, int]:
    """The size a frame is resized to before the network (the rule of the published evaluation).

    Edges over their limits are scaled down, never up; then ``scale`` applies; then both sides are rounded to
    16k+1 (``align_corners``) or 16k, half to even, at least one token.

    Args:
        size: (height, width) of the frame in pixels.

    Returns:
        (height, width) in pixels.
    """
    height, width = float(size[0]), float(size[1])
    if max_short_edge is not None and min(height, width) > max_short_edge:
        ratio = max_short_edge / min(height, width)
        height, width = height * ratio, width * ratio
    if max_long_edge is not None and max(height, width) > max_long_edge:
        ratio = max_long_edge / max(height, width)
        height, width = height * ratio, width * ratio
    extra = 1 if align_corners else 0
    rounded = [
        max(round((int(side * scale) - extra) / stride), 1) * stride + extra for side in (height, width)
    ]
    return rounded[0], rounded[1]
