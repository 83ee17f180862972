"""Trackers of transformers with random weights: ``python -m research.speed.compare edgetam sam2_tiny,objects=4``.

``pip install transformers timm`` beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from transformers import (
    EdgeTamVideoConfig,
    EdgeTamVideoModel,
    EdgeTamVisionConfig,
    Sam2VideoConfig,
    Sam2VideoModel,
    TimmWrapperConfig,
)
from transformers.models.edgetam import configuration_edgetam
from transformers.models.edgetam_video.modeling_edgetam_video import EdgeTamVideoInferenceSession
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

PeerModel: TypeAlias = EdgeTamVideoModel | Sam2VideoModel
PeerSession: TypeAlias = EdgeTamVideoInferenceSession | Sam2VideoInferenceSession

SIZE = 1024
"""Side of the model's square input in pixels."""
FRAMES = 10_000
"""Largest number of frames to time; all show the same noise."""
WARM_UP = 9
"""Frames until memory is full, which are not timed."""


class RepViT:
    """Stands in for the hub, from which the configuration reads the name of its backbone."""

    @staticmethod
    def from_pretrained(name: str, model_args: dict[str, object]) -> TimmWrapperConfig:
        """Return the configuration of RepViT-M1 at four strides."""
        return TimmWrapperConfig(architecture="repvit_m1", do_pooling=False, model_args=model_args)


def build_model(name: str) -> PeerModel:
    """Build EdgeTAM (13.9 million parameters) or SAM 2.1 tiny (39 million) without weights."""
    if name == "sam2_tiny":
        return Sam2VideoModel(Sam2VideoConfig()).eval()
    configuration_edgetam.AutoConfig = RepViT
    return EdgeTamVideoModel(EdgeTamVideoConfig(vision_config=EdgeTamVisionConfig())).eval()


def start_session(name: str, objects: int, size: tuple[int, int], device: str, dtype: torch.dtype) -> PeerSession:
    """Return a session of noise frames with one mask per object, stripes of the first frame; size: width, height."""
    video = torch.randn(1, 3, SIZE, SIZE, device=device, dtype=dtype).expand(FRAMES, -1, -1, -1)
    make = Sam2VideoInferenceSession if name == "sam2_tiny" else EdgeTamVideoInferenceSession
    session = make(video=video, video_width=size[0], video_height=size[1], inference_device=device, dtype=dtype)
    stripes = torch.arange(SIZE, device=device) * objects // SIZE
    for index in range(objects):
        mask = (stripes == index).to(dtype).expand(1, 1, SIZE, SIZE)
        session.add_mask_inputs(session.obj_id_to_idx(index + 1), 0, mask)
        session.obj_with_new_inputs.append(index + 1)
    return session


def prepare_tracking(setting: dict[str, Any]) -> Callable[[], object]:
    """Track to the first timed frame; return a function that tracks one more."""
    values = dict(text.split("=") for text in setting["overrides"])
    dtype = getattr(torch, values["compute.precision"])
    name = setting["config"]
    model = build_model(name).to(setting["device"], dtype)
    session = start_session(name, setting["objects"], setting["size"], setting["device"], dtype)
    index = -1

    @torch.inference_mode()
    def track_frame() -> object:
        nonlocal index
        index += 1
        return model(inference_session=session, frame_idx=index)

    for _ in range(1 + max(WARM_UP, setting["at_frame"])):
        track_frame()
    return track_frame
