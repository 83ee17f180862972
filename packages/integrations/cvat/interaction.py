"""CVAT interactor: masks from clicks and a box, for ``cvat-cli function run-agent``."""

from pathlib import Path

import cvat_sdk.auto_annotation as cvataa
import numpy as np
import PIL.Image
from cvat_sdk.masks import encode_mask

from aotlab import Prompt
from aotlab.sdk import load_segmenter


class InteractionFunction:
    """`cvat_sdk.auto_annotation.InteractionFunction` of a segmenter.

    Args:
        checkpoint: file of a prompt network, or name of a tracker with a segmenter; None: the bundled network.
        device: auto, cpu, cuda or cuda:N.
    """

    spec = cvataa.InteractionFunctionSpec(min_pos_points=0, min_neg_points=0, min_bounding_boxes=0)

    def __init__(self, checkpoint: str | None, device: str) -> None:
        if checkpoint is not None and Path(checkpoint).is_file():
            self._segment = load_segmenter(checkpoint=Path(checkpoint), device=device)
        else:
            self._segment = load_segmenter(checkpoint, device=device)

    def preprocess_image(self, context: cvataa.InteractionFunctionContext, image: PIL.Image.Image) -> np.ndarray:
        """Return the frame H×W×3 uint8; the segmenter keeps the encoding of the last one."""
        return np.asarray(image.convert("RGB"))

    def detect(
        self, context: cvataa.InteractionFunctionContext, pp_image: np.ndarray, prompts: cvataa.InteractionPrompts
    ) -> list[cvataa.InteractionResultShape]:
        """Return the mask of the prompted object; [] without a box and positive point, or if no pixel is found."""
        if prompts.bounding_box is None and not prompts.pos_points:
            return []
        box = None
        if prompts.bounding_box is not None:
            (left, top), (right, bottom) = prompts.bounding_box
            box = (left, top, right - left, bottom - top)
        points = [*prompts.pos_points, *prompts.neg_points]
        labels = [1] * len(prompts.pos_points) + [0] * len(prompts.neg_points)
        mask = self._segment(pp_image, {1: Prompt(points, labels, box)}) > 0
        if not mask.any():
            return []
        return [cvataa.InteractionResultShape(type="mask", points=encode_mask(mask))]


def create(checkpoint: str | None = None, device: str = "auto") -> InteractionFunction:
    """Return the function for an agent; `cvat-cli` passes its ``-p NAME=TYPE:VALUE`` as arguments."""
    return InteractionFunction(checkpoint, device)
