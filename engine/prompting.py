"""Masks of objects from prompts on one frame: a look at the whole frame, then a closer one around each object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.engine.inputs import MaskLike, given_mask
from aotlab.engine.prediction import Prediction
from aotlab.engine.prompt_planes import NOTHING, Window, drop_far_parts, planes_of, region_of
from aotlab.media.prompt import Prompt
from aotlab.networks.model import Model
from aotlab.networks.preprocess import STRIDE, normalise
from aotlab.networks.prompts import PromptNetwork
from aotlab.utils.errors import InputError, require_extra


@dataclass(frozen=True)
class PromptSettings:
    """Sizes of the looks and the rule for parts."""

    whole_edge: int = 321
    """longer edge in pixels of the whole frame as the network sees it"""
    close_edge: int = 257
    """longer edge in pixels of a closer look"""
    margin: float = 0.25
    """room around an object in a closer look, as a share of its longer side"""
    closer: int = 1
    """closer looks at each object; 0: the whole frame only"""
    near: float = 0.5
    """largest distance of a part without a prompt from the prompted part, as a share of the root of its area"""


SETTINGS = PromptSettings()


class PromptedFrame:
    """One frame that takes prompts; its encoding is computed once, so that further prompts are cheap."""

    def __init__(self, model: Model, frame: np.ndarray, settings: PromptSettings = SETTINGS) -> None:
        """``frame``: H×W×3 uint8 RGB, contiguous. Raises InputError if the model takes no prompts."""
        network = getattr(model, "prompts", None)
        if network is None:
            raise InputError("this model takes no prompts; use the bundled weights or give a mask")
        require_extra("video", "cv2")  # finds connected parts
        self.network: PromptNetwork = network
        self.align_corners, self.settings = model.config.align_corners, settings
        pixels = torch.from_numpy(np.require(frame, requirements=["C", "W"])).to(
            network.projector.weight.device
        )
        self.image = pixels.permute(2, 0, 1)[None]
        self.size = (frame.shape[0], frame.shape[1])
        self._encoded: dict[Window, tuple[list[Tensor], tuple[int, int]]] = {}

    @torch.inference_mode()
    def logits(self, prompts: Sequence[Prompt]) -> Tensor:
        """Logits N×H×W of the objects, each against all else; raises `InputError` for a prompt outside the frame."""
        for prompt in prompts:
            prompt.check_inside(self.size)
        whole = (0, 0, self.size[1], self.size[0])
        answers = self._look(whole, prompts, prompts)
        for _ in range(self.settings.closer):
            rough = answers.sigmoid()
            closer = [self._closer(index, prompts, mask) for index, mask in enumerate(rough.cpu().numpy())]
            answers = torch.stack(closer)
        for answer, prompt in zip(answers, prompts, strict=True):
            drop_far_parts(answer, prompt, self.settings.near)
        return answers

    def _closer(self, index: int, prompts: Sequence[Prompt], rough: np.ndarray) -> Tensor:
        """Logits H×W of one object from a look at its region, given its rough mask."""
        window = region_of(prompts[index], rough, self.settings.margin)
        told = [replace(prompt, mask=rough) if n == index else prompt for n, prompt in enumerate(prompts)]
        left, top, right, bottom = window
        answer = self.image.new_full(self.size, NOTHING, dtype=torch.float32)
        answer[top:bottom, left:right] = self._look(window, [told[index]], told)[0]
        return answer

    def _look(self, window: Window, prompts: Sequence[Prompt], everyone: Sequence[Prompt]) -> Tensor:
        """Logits N×h×w of the objects in a window, at the frame's resolution."""
        features, size = self._encode(window)
        planes = [
            planes_of(prompt, [other for other in everyone if other is not prompt], window, size)
            for prompt in prompts
        ]
        logits = self.network(features, torch.stack(planes).to(self.image.device))
        left, top, right, bottom = window
        inside = (bottom - top, right - left)
        return F.interpolate(logits.float(), inside, mode="bilinear", align_corners=self.align_corners)[:, 0]

    def _encode(self, window: Window) -> tuple[list[Tensor], tuple[int, int]]:
        """Features of a window and its size (height, width) in the network's pixels; the last few are kept."""
        if window not in self._encoded:
            left, top, right, bottom = window
            whole = (right - left, bottom - top) == self.size[::-1]
            edge = self.settings.whole_edge if whole else self.settings.close_edge
            size = look_size((bottom - top, right - left), edge, align_corners=self.align_corners)
            part = self.image[:, :, top:bottom, left:right].float()
            part = F.interpolate(part, size, mode="bilinear", antialias=True) / 255
            if len(self._encoded) >= 8:
                del self._encoded[next(iter(self._encoded))]
            self._encoded[window] = self.network.encode(normalise(part)), size
        return self._encoded[window]


def look_size(size: tuple[int, int], edge: int, *, align_corners: bool) -> tuple[int, int]:
    """(height, width) as the network sees a window of that size whose longer edge becomes ``edge``."""
    extra, scale = int(align_corners), edge / max(size)
    height, width = (max(2, round((side * scale - extra) / STRIDE)) * STRIDE + extra for side in size)
    return height, width


def exclusive(logits: Tensor) -> Tensor:
    """Logits (1+N)×H×W with background first, of objects N×H×W that were each decided against all else."""
    background = -logits.max(0, keepdim=True).values
    return torch.cat([background, logits])


def given_ids(
    segment: Callable[[np.ndarray, Mapping[int, Prompt]], Prediction],
    frame: np.ndarray,
    mask: MaskLike | None,
    prompts: Mapping[int, Prompt] | None,
    *,
    required: bool,
) -> np.ndarray | None:
    """Return the object ids H×W that a mask and prompts give, prompted objects over the mask; None without objects.

    Args:
        segment: `Tracker.prompt`.
        required: refuse a mask without objects if there are no prompts.

    Raises:
        InputError: no such mask, or a prompted object has no pixel.
    """
    ids = None if mask is None else given_mask(mask, frame, required=required and not prompts)
    if not prompts:
        return ids
    labels = segment(frame, prompts).labels
    for number in prompts:
        if not (labels == number).any():
            raise InputError(f"object {number}: no pixel found there; give another box or point")
    return labels if ids is None else np.where(labels > 0, labels, ids)
