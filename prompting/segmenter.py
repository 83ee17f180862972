"""Interface of segmenters: masks of objects from prompts on one frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral
from typing import TypeGuard

import numpy as np

from aotlab.media.arrays import FrameLike, MaskLike, convert_frame, convert_mask
from aotlab.media.prompt import Point, Prompt
from aotlab.utils.errors import InputError, require
from aotlab.utils.files import prefix_errors
from aotlab.utils.numbers import MAX_COUNT

EXPECTED_PROMPTS = "prompts: give a dict of prompts by object id from 1, {1: Prompt(...)}"


class PromptSegmenter(ABC):
    """Segments objects of one frame from prompts; subclasses define `segment`.

    >>> mask = segmenter(frame, {1: Prompt(box=(10, 20, 200, 100))})
    >>> mask = segmenter(frame, {2: Prompt(points=[(300, 250)])}, keep=mask)
    """

    def __call__(
        self, frame: FrameLike, prompts: Mapping[int, Prompt | Point], *, keep: MaskLike | None = None
    ) -> np.ndarray:
        """Return the object ids H×W of a frame.

        Args:
            frame: H×W×3 uint8 RGB.
            prompts: by object id; boxes are cropped to the frame.
            keep: object ids H×W; objects without a prompt keep their pixels; pixels of prompted objects are ignored.

        Raises:
            InputError: unusable frame or mask to keep, no prompts by object id, or one that does not fit the frame.
        """
        frame = convert_frame(frame)
        checked_prompts = check_prompts(prompts, (frame.shape[0], frame.shape[1]))
        if keep is not None:
            with prefix_errors("keep"):
                keep = convert_mask(keep, frame.shape[:2], required=False)
        if keep is None:
            return self.segment(frame, checked_prompts)
        kept = (keep > 0) & ~np.isin(keep, list(checked_prompts))
        checked_prompts = {
            object_id: replace(prompt, exclude=kept if prompt.exclude is None else kept | prompt.exclude)
            for object_id, prompt in checked_prompts.items()
        }
        return np.where(kept, keep, self.segment(frame, checked_prompts))

    @abstractmethod
    def segment(self, frame: np.ndarray, prompts: Mapping[int, Prompt]) -> np.ndarray:
        """Return the object ids H×W, unsigned integers, of a frame H×W×3 uint8 RGB; 0 where no object is.

        ``prompts`` fit the frame. No object may take pixels that its prompt excludes.
        """


def has_prompts(prompts: Mapping[int, Prompt | Point] | None) -> TypeGuard[Mapping[int, Prompt | Point]]:
    """Return whether there are any prompts; raises `InputError` unless they are None or a dict."""
    require(prompts is None or isinstance(prompts, Mapping), EXPECTED_PROMPTS)
    return bool(prompts)


def check_prompts(prompts: Mapping[int, Prompt | Point], size: tuple[int, int]) -> dict[int, Prompt]:
    """Return prompts by object id, with boxes cropped to a frame of (height, width); a pair (x, y) is one point.

    Raises:
        InputError: not prompts by object id, or one that does not fit the frame.
    """
    require(has_prompts(prompts), EXPECTED_PROMPTS)
    return {object_id: prompt.crop_box(size, object_id) for object_id, prompt in convert_prompts(prompts).items()}


def convert_prompts(prompts: Mapping[int, Prompt | Point], *, max_id: int = MAX_COUNT) -> dict[int, Prompt]:
    """Return prompts by object id; a pair (x, y) is one point.

    Raises:
        InputError: not prompts by object id from 1 to ``max_id``.
    """
    converted = dict[int, Prompt]()
    for object_id, prompt in prompts.items() if has_prompts(prompts) else ():
        is_id = isinstance(object_id, Integral) and not isinstance(object_id, bool) and 1 <= object_id <= max_id
        require(is_id, f"object id {object_id!r:.40}, expected a whole number from 1 to {max_id}", subject="prompts")
        is_foreign = type(prompt).__name__ == "Prompt" and not isinstance(prompt, Prompt)
        require(not is_foreign, "of another package", subject="prompts", remedy="import Prompt from aotlab")
        converted[int(object_id)] = prompt if isinstance(prompt, Prompt) else Prompt(prompt)
    return converted


def require_pixels(labels: np.ndarray, prompts: Mapping[int, Prompt | Point]) -> None:
    """Raise `InputError` unless each prompted object has a pixel in the ids H×W."""
    for object_id in prompts:
        if not (labels == object_id).any():
            raise InputError("no pixel found there", subject=f"object {object_id}", remedy="give another box or point")
