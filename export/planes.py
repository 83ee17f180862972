"""Planes of a prompt network, drawn from points with operators of ONNX."""

import torch
from torch import Tensor

from aotlab.prompting.planes import CLICK_RADIUS

NEGATIVE, POSITIVE, LEFT_TOP, RIGHT_BOTTOM = 0, 1, 2, 3
"""Labels of points, as in the exports of Segment Anything (Kirillov et al., ICCV 2023)."""


def draw_prompt_planes(points: Tensor, labels: Tensor, crop_size: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Draw points and a box of a crop that the network sees at ``size`` (height, width).

    Args:
        points: N×2 float32, (x, y) in pixels of the crop; the corner of its first pixel is -0.5 for points on and off
            the object, and 0 for the two corners of a box.
        labels: N int32: `POSITIVE`, `NEGATIVE`, or `LEFT_TOP` and `RIGHT_BOTTOM`, at most one box.
        crop_size: (height, width) of the crop.

    Returns:
        3×height×width of 0 and 1: discs of points on the object, discs of points off it, the box.
    """
    scale_y, scale_x = size[0] / crop_size[0], size[1] / crop_size[1]
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])
    y, x = (points[:, 1, None, None] + 0.5) * scale_y - 0.5, (points[:, 0, None, None] + 0.5) * scale_x - 0.5
    inside = (rows - y) ** 2 + (columns - x) ** 2 <= CLICK_RADIUS**2

    def draw_discs(label: int) -> Tensor:
        return (inside & (labels == label)[:, None, None]).any(0)

    def scale_corner(label: int) -> tuple[Tensor, Tensor]:
        corner = (points * (labels == label)[:, None]).sum(0)  # 0 without a box
        return (corner[0] * scale_x).round(), (corner[1] * scale_y).round()

    left, top = scale_corner(LEFT_TOP)
    right, bottom = scale_corner(RIGHT_BOTTOM)
    left, top = left.clamp(min=0).clamp(max=size[1] - 1), top.clamp(min=0).clamp(max=size[0] - 1)
    is_row = (rows >= top) & (rows < torch.maximum(bottom, top + 1))  # at least one pixel
    is_column = (columns >= left) & (columns < torch.maximum(right, left + 1))
    box = is_row & is_column & (labels == LEFT_TOP).any()
    return torch.stack([draw_discs(POSITIVE), draw_discs(NEGATIVE), box]).float()
