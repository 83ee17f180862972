"""CPU seconds of EdgeTAM for one frame, with random weights: ``python -m research.speed.edgetam --objects 4``.

EdgeTAM comes from transformers; ``pip install transformers timm`` beforehand.
"""

from __future__ import annotations

import statistics
import sys
import time
from argparse import ArgumentParser

import torch
from transformers import EdgeTamVideoConfig, EdgeTamVideoModel, EdgeTamVisionConfig, TimmWrapperConfig
from transformers.models.edgetam import configuration_edgetam
from transformers.models.edgetam_video.modeling_edgetam_video import EdgeTamVideoInferenceSession

SIZE = 1024
"""side of the model's square input in pixels"""
FRAMES, WARM_UP = 9, 3
"""frames that are tracked, and how many of them are not counted"""


class RepViT:
    """Stands in for the hub, from which the configuration reads the name of its backbone."""

    @staticmethod
    def from_pretrained(name: str, model_args: dict[str, object]) -> TimmWrapperConfig:
        """Return the configuration of RepViT-M1 at four strides."""
        return TimmWrapperConfig(architecture="repvit_m1", do_pooling=False, model_args=model_args)


def build_model() -> EdgeTamVideoModel:
    """Build EdgeTAM (13.9 million parameters) without weights."""
    configuration_edgetam.AutoConfig = RepViT
    return EdgeTamVideoModel(EdgeTamVideoConfig(vision_config=EdgeTamVisionConfig())).eval()


def start_session(objects: int) -> EdgeTamVideoInferenceSession:
    """Return a session of noise frames with one mask per object, stripes of the first frame."""
    session = EdgeTamVideoInferenceSession(
        video=torch.randn(FRAMES, 3, SIZE, SIZE), video_height=480, video_width=854, dtype=torch.float32
    )
    stripes = torch.arange(SIZE) * objects // SIZE
    for number in range(objects):
        mask = (stripes == number).float().expand(1, 1, SIZE, SIZE)
        session.add_mask_inputs(session.obj_id_to_idx(number + 1), 0, mask)
        session.obj_with_new_inputs.append(number + 1)
    return session


@torch.inference_mode()
def main() -> int:
    """Print the median; return the exit status."""
    parser = ArgumentParser(
        "python -m research.speed.edgetam", description="CPU seconds of EdgeTAM for one frame."
    )
    parser.add_argument("--objects", type=int, default=1, help="objects to track (default: 1)")
    objects = parser.parse_args().objects
    torch.set_num_threads(1)
    model, session = build_model(), start_session(objects)
    seconds = []
    for frame in range(FRAMES):
        begin = time.process_time()
        model(inference_session=session, frame_idx=frame)
        seconds.append(time.process_time() - begin)
    print(f"EdgeTAM, {objects} objects: {statistics.median(seconds[WARM_UP:]):.2f} CPU seconds per frame")
    return 0


if __name__ == "__main__":
    sys.exit(main())
