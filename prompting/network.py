"""Segmenter of a prompt network: a coarse pass, then a refining pass over a crop around each object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aotlab.media.prompt import Prompt
from aotlab.networks.fast.optimize import optimize_network
from aotlab.networks.model import Features
from aotlab.networks.preprocess import normalize, round_to_grid
from aotlab.prompting.guided_filter import guided_filter
from aotlab.prompting.planes import CropBox, draw_prompt_planes, find_crop
from aotlab.prompting.prompt_network import PromptNetwork
from aotlab.prompting.segmenter import PromptSegmenter
from aotlab.prompting.weights import load_prompt_network
from aotlab.utils.devices import copy_to_device
from aotlab.utils.errors import require_modules

# Margins, radii and distances below were set by hand; their sensitivity was not measured.
FRAME_EDGE = 321
"""Longer edge in pixels of the whole frame as network input."""
CROP_EDGE = 257
"""Longer edge in pixels of a crop as network input."""
COARSE_MARGIN = 0.5
"""Margin of the crop around a box in the coarse pass, as a fraction of the box's longer side."""
REFINE_MARGIN = 0.15
"""Margin of the crop around an object in the refining pass, as a fraction of its longer side."""
FILTER_RADIUS = 3
"""Radius of the guided filter, which is fitted at half the network's size, in its pixels."""
MAX_PART_DISTANCE = 0.5
"""Largest distance of a part without a prompt from the prompted parts, × sqrt(prompted area)."""
BOX_MARGIN = 0.12
"""Largest distance of an object's pixels from its box, as a fraction of the sides of the box."""
EXCLUDED = -12.0
"""Logit of pixels that an object cannot have."""
MAX_CACHED_CROPS = 8
"""Number of encoded crops of a frame that are kept."""


class NetworkSegmenter(PromptSegmenter):
    """Segmenter of a prompt network; objects of one call exclude each other.

    The encoding of the last frame is kept, so that further prompts on it are cheap.

    Args:
        load: returns the network, in evaluation mode; called at the first prompt on each frame.
        autocast: returns the context of each call.
    """

    def __init__(
        self, load: Callable[[], PromptNetwork], autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> None:
        self.load, self._autocast = load, autocast
        self._cached: tuple[np.ndarray, FrameSegmenter] | None = None

    def segment(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Segment objects, as `PromptSegmenter.segment`."""
        ids = np.array([0, *prompts], np.min_scalar_type(max(prompts)))
        return ids[self.logits(frame, prompts).max(0).indices.cpu().numpy()]

    def logits(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> Tensor:
        """Return logits (1+N)×H×W with background first, objects in the order of the prompts; as `segment`."""
        with self._autocast():
            if self._cached is None or not np.array_equal(self._cached[0], frame):
                self._cached = frame.copy(), FrameSegmenter(self.load(), frame)
            logits = self._cached[1].logits(list(prompts.values()))
        return torch.cat([-logits.max(0, keepdim=True).values, logits])


class NetworkLoader:
    """A prompt network on a device, prepared at the first call; shared by a tracker and its copies from `fresh`."""

    def __init__(
        self, network: PromptNetwork | None, device: torch.device, precision: str = "auto", *, fuse: bool = True
    ) -> None:
        """Keep the arguments.

        Args:
            network: None means the bundled one, loaded at the first call.
            device: device of the network.
            precision: precision of an optimized copy, as `optimize`.
            fuse: whether to optimize a copy instead of moving the network itself.
        """
        self._network, self._device, self._precision, self._fuse = network, device, precision, fuse
        self._prepared: PromptNetwork | None = None

    def __call__(self) -> PromptNetwork:
        """Return the network."""
        if self._prepared is None:
            network = load_prompt_network() if self._network is None else self._network
            is_fused, device = self._fuse, self._device
            self._prepared = optimize_network(network, device, self._precision) if is_fused else network.to(device)
        return self._prepared


class FrameSegmenter:
    """Segmentation of one frame from prompts; each crop is encoded once."""

    def __init__(self, network: PromptNetwork, frame: np.ndarray) -> None:
        """``frame``: H×W×3 uint8 RGB."""
        require_modules("cv2")  # finds connected parts
        self.network, self.align_corners = network, network.config.align_corners
        self.weight = self.network.projector.weight
        self.image = copy_to_device(frame, self.weight.device).permute(2, 0, 1)[None]
        self.size = (frame.shape[0], frame.shape[1])
        self._encoded: dict[tuple[CropBox, int], tuple[Features, tuple[int, int]]] = {}

    @torch.inference_mode()
    def logits(self, prompts: Sequence[Prompt]) -> Tensor:
        """Return logits N×H×W of the objects, each against everything else."""
        others = [[other for other in prompts if other is not prompt] for prompt in prompts]
        logits = torch.stack([self._segment_coarse(prompt, rest) for prompt, rest in zip(prompts, others, strict=True)])
        masks = suppress_overlaps(logits).cpu().numpy()
        for index, prompt in enumerate(prompts):
            logits[index] = self._refine(prompt, others[index], masks[index])
        for object_logits, prompt in zip(logits, prompts, strict=True):
            find_pixels = find_pixels_far_from_points if prompt.box is None else find_pixels_far_from_box
            far = find_pixels((object_logits > 0).cpu().numpy(), prompt)
            object_logits[torch.from_numpy(far).to(logits.device)] = EXCLUDED
        return logits

    def _segment_coarse(self, prompt: Prompt, others: Sequence[Prompt]) -> Tensor:
        """Return the logits H×W of one object from a crop around its box; without a box, from the whole frame."""
        crop, edge = CropBox(0, 0, self.size[1], self.size[0]), FRAME_EDGE
        if prompt.box is not None:
            crop, edge = find_crop(prompt, self.size, COARSE_MARGIN), CROP_EDGE
        logits, _ = self._segment_crop(crop, edge, prompt, others)
        return self._paste(logits, crop, prompt)

    def _refine(self, prompt: Prompt, others: Sequence[Prompt], rough_mask: np.ndarray) -> Tensor:
        """Return the logits H×W of one object from a crop around its rough mask, with outlines on edges."""
        crop = find_crop(prompt, self.size, REFINE_MARGIN, rough_mask)
        logits, size = self._segment_crop(crop, CROP_EDGE, replace(prompt, mask=rough_mask), others)
        image = self.image[0, :, crop.top : crop.bottom, crop.left : crop.right]
        logits = guided_filter(logits, image, (size[0] // 2, size[1] // 2), FILTER_RADIUS)
        return self._paste(logits, crop, prompt)

    def _paste(self, logits: Tensor, crop: CropBox, prompt: Prompt) -> Tensor:
        """Return logits of a crop as H×W, without the prompt's excluded pixels."""
        pasted = logits.new_full(self.size, EXCLUDED)
        pasted[crop.top : crop.bottom, crop.left : crop.right] = logits
        if prompt.exclude is not None:
            pasted[torch.from_numpy(prompt.exclude).to(pasted.device)] = EXCLUDED
        return pasted

    def _segment_crop(
        self, crop: CropBox, edge: int, prompt: Prompt, others: Sequence[Prompt]
    ) -> tuple[Tensor, tuple[int, int]]:
        """Return an object's logits h×w in a crop at the frame's resolution, and the network's (height, width)."""
        features, size = self._encode(crop, edge)
        planes = draw_prompt_planes(prompt, others, crop, size)
        logits = self.network(features, planes[None].to(self.weight))
        logits = F.interpolate(logits.float(), crop.size, mode="bilinear", align_corners=self.align_corners)
        return logits[0, 0], size

    def _encode(self, crop: CropBox, edge: int) -> tuple[Features, tuple[int, int]]:
        """Return the features of a crop whose longer edge becomes ``edge``, and its (height, width)."""
        if (crop, edge) not in self._encoded:
            size = crop_input_size(crop.size, edge, align_corners=self.align_corners)
            part = self.image[:, :, crop.top : crop.bottom, crop.left : crop.right].float()
            part = F.interpolate(part, size, mode="bilinear", antialias=True) / 255
            if len(self._encoded) >= MAX_CACHED_CROPS:
                del self._encoded[next(iter(self._encoded))]
            self._encoded[crop, edge] = self.network.encode(normalize(part).to(self.weight)), size
        return self._encoded[crop, edge]


def crop_input_size(size: tuple[int, int], edge: int, *, align_corners: bool) -> tuple[int, int]:
    """Return the network's input (height, width) for a crop of (height, width) whose longer edge becomes ``edge``."""
    scale = edge / max(size)
    height, width = (round_to_grid(side * scale, align_corners=align_corners, min_tokens=2) for side in size)
    return height, width


def suppress_overlaps(logits: Tensor) -> Tensor:
    """Return probabilities N×H×W of logits N×H×W, 0 where another object has a higher, positive logit."""
    strongest = logits.max(0, keepdim=True).values
    return logits.sigmoid().masked_fill((logits < strongest) & (strongest > 0), 0)


def find_pixels_far_from_box(mask: np.ndarray, prompt: Prompt) -> np.ndarray:
    """Return the pixels of a mask H×W bool far outside the prompt's box; none if the prompt has a mask."""
    assert prompt.box is not None
    if prompt.mask is not None:
        return np.zeros_like(mask)
    x, y, width, height = prompt.box
    corners = [
        (x - BOX_MARGIN * width, y - BOX_MARGIN * height),
        (x + (1 + BOX_MARGIN) * width, y + (1 + BOX_MARGIN) * height),
    ]
    points = [*corners, *prompt.positive_points, *prompt.scribble]
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    return mask & ~((rows >= low[1]) & (rows <= high[1]) & (columns >= low[0]) & (columns <= high[0]))


def find_pixels_far_from_points(mask: np.ndarray, prompt: Prompt) -> np.ndarray:
    """Return the pixels of a mask H×W bool in connected parts far from those with a point of the prompt.

    Parts that overlap the prompt's mask count as having a point; if no part does, the largest one counts.
    """
    import cv2

    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return np.zeros_like(mask)
    points = np.array([*prompt.positive_points, *prompt.scribble], float).reshape(-1, 2)
    columns, rows = np.clip(np.rint(points), 0, (mask.shape[1] - 1, mask.shape[0] - 1)).astype(int).T
    prompted = parts[rows, columns]
    if prompt.mask is not None:
        prompted = np.union1d(prompted, parts[prompt.mask > 0.5])
    if not prompted.any():
        areas = np.bincount(parts.ravel(), minlength=count)
        prompted = 1 + np.argmax(areas[1:])
    prompted_mask = mask & np.isin(parts, prompted)
    distance: Any = cv2.distanceTransform((~prompted_mask).astype(np.uint8), cv2.DIST_L2, 3)
    limit = MAX_PART_DISTANCE * float(np.sqrt(prompted_mask.sum()))
    return mask & ~np.isin(parts, parts[mask & (distance <= limit)])
