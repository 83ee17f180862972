"""Nodes with ComfyUI's types: IMAGE B×H×W×3 float 0 to 1, MASK B×H×W float 0 or 1."""

import json
from typing import Any

import numpy as np
import torch

from aotlab import InputError, Prompt, Tracker


class LoadTracker:
    """Load a model."""

    CATEGORY, FUNCTION = "aotlab", "load"
    RETURN_TYPES = ("AOTLAB_TRACKER",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """Return the inputs as ComfyUI lists them."""
        return {
            "required": {"model": ("STRING", {"default": "bundled"}), "device": (["auto", "cpu", "cuda"],)},
            "optional": {
                "frames_in_memory": ("INT", {"default": 0, "min": 0, "max": 1000, "tooltip": "0: the model's own"})
            },
        }

    def load(self, model: str, device: str, frames_in_memory: int = 0) -> tuple[Tracker]:
        """Return the tracker of a checkpoint or name, as in `Tracker.from_pretrained`."""
        overrides = (f"memory.frames={frames_in_memory}",) if frames_in_memory else ()
        return (Tracker.from_pretrained(model, device=device, overrides=overrides),)


class FirstMask:
    """Segment one object of a frame from clicks and a box."""

    CATEGORY, FUNCTION = "aotlab", "segment"
    RETURN_TYPES = ("MASK",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """Return the inputs as ComfyUI lists them."""
        points = ("STRING", {"default": "[]", "multiline": True, "tooltip": "[[x, y], ...] in pixels"})
        return {
            "required": {
                "tracker": ("AOTLAB_TRACKER",), "images": ("IMAGE",),
                "frame": ("INT", {"default": 0, "min": 0, "max": 1_000_000}),
                "points": points, "negative_points": points,
                "box": ("STRING", {"default": "", "tooltip": "left, top, width, height in pixels; empty: no box"}),
            }
        }  # fmt: skip

    def segment(
        self, tracker: Tracker, images: torch.Tensor, frame: int, points: str, negative_points: str, box: str
    ) -> tuple[torch.Tensor]:
        """Return the object's mask 1×H×W; raise `InputError` for unusable prompts or ones without a pixel."""
        positive, negative = (json.loads(text or "[]") for text in (points, negative_points))
        clicks, point_labels = [*positive, *negative], [1] * len(positive) + [0] * len(negative)
        prompt = Prompt(clicks, point_labels, tuple(map(float, box.split(","))) if box.strip() else None)
        labels = tracker.fresh().prompt(to_frame(images[frame]), {1: prompt}).labels
        return (torch.from_numpy(labels > 0).float()[None],)


class TrackMasks:
    """Track the objects of masks on one frame through the video."""

    CATEGORY, FUNCTION = "aotlab", "track"
    RETURN_TYPES = ("MASK", "MASK")
    RETURN_NAMES = ("all objects", "one after another")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        """Return the inputs as ComfyUI lists them."""
        return {
            "required": {
                "tracker": ("AOTLAB_TRACKER",), "images": ("IMAGE",), "masks": ("MASK",),
                "frame": ("INT", {"default": 0, "min": 0, "max": 1_000_000}),
                "backward": ("BOOLEAN", {"default": True, "tooltip": "track from the frame to the start too"}),
            }
        }  # fmt: skip

    def track(
        self, tracker: Tracker, images: torch.Tensor, masks: torch.Tensor, frame: int, backward: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Track N masks N×H×W, later ones in front; return their union B×H×W, and each object's masks N·B×H×W.

        Raises `InputError` for an empty or covered mask.
        """
        first = np.zeros(images.shape[1:3], np.uint16)
        for number, mask in enumerate(masks.cpu().numpy(), start=1):
            first[mask > 0.5] = number
        hidden = sorted({*range(1, len(masks) + 1)} - {*np.unique(first).tolist()})
        if hidden:
            raise InputError(
                f"mask {hidden[0]} of {len(masks)}: no pixel above 0.5, or all covered by later masks; remove it, or "
                "give the object some pixels"
            )
        labels = np.zeros(images.shape[:3], np.uint16)
        orders = [range(frame, len(images)), *([range(frame, -1, -1)] if backward else [])]
        for order in orders:
            moving = tracker.fresh()
            for index in order:
                labels[index] = moving.step(to_frame(images[index]), first if index == frame else None).labels
        objects = [torch.from_numpy(labels == number).float() for number in range(1, len(masks) + 1)]
        return torch.from_numpy(labels > 0).float(), torch.cat(objects)


def to_frame(image: torch.Tensor) -> np.ndarray:
    """Convert an image H×W×3 or H×W×4, float 0 to 1, to H×W×3 uint8."""
    return (image[..., :3].clamp(0, 1) * 255).round().byte().cpu().contiguous().numpy()


NODE_CLASS_MAPPINGS = {"AotlabLoadTracker": LoadTracker, "AotlabFirstMask": FirstMask, "AotlabTrackMasks": TrackMasks}
NODE_DISPLAY_NAME_MAPPINGS = {
    "AotlabLoadTracker": "Load tracker (aotlab)",
    "AotlabFirstMask": "First mask by clicks and box (aotlab)",
    "AotlabTrackMasks": "Track masks (aotlab)",
}
