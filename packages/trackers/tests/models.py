"""Small models with random weights: SAM 2, SAM 3's tracker, EdgeTAM and Cutie, for frames of a few pixels."""

import re
from copy import deepcopy
from functools import lru_cache

import numpy as np
import pytest
import torch

from aotlab.configs.files import ROOT
from aotlab_trackers.sam import SamSegmenter, SamTracker

SIDE = 128
"""Side of the input of SAM's models in pixels."""
CHANNELS = 128
HEIGHT, WIDTH = 48, 64
"""Size of the frames."""


def make_parts(video: bool) -> dict:
    """Settings of the parts behind the encoder."""
    parts = {
        "prompt_encoder_config": {"hidden_size": CHANNELS, "image_size": SIDE, "patch_size": 16},
        "mask_decoder_config": {
            "hidden_size": CHANNELS, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32,
        },
    }  # fmt: skip
    memory = {
        "image_size": SIDE, "memory_attention_hidden_size": CHANNELS, "memory_attention_num_layers": 2,
        "memory_attention_rope_feat_sizes": [SIDE // 16] * 2, "memory_encoder_hidden_size": CHANNELS,
        "memory_encoder_output_channels": 64, "mask_downsampler_embed_dim": CHANNELS,
        "memory_fuser_embed_dim": CHANNELS, "memory_fuser_intermediate_dim": 64,
    }  # fmt: skip
    return parts | memory if video else parts


def sizes(*strides: int) -> list[list[int]]:
    return [[SIDE // stride] * 2 for stride in strides]


def build_sam2(video: bool):
    import transformers as t

    backbone = t.Sam2HieraDetConfig(
        hidden_size=16, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1], embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 1, 2, 2], window_size_per_stage=[8, 4, 4, 4], global_attention_blocks=[3],
    )  # fmt: skip
    vision = t.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[128, 64, 32, 16], backbone_feature_sizes=sizes(4, 8, 16),
        fpn_hidden_size=CHANNELS,
    )  # fmt: skip
    if video:
        return t.Sam2VideoModel(t.Sam2VideoConfig(vision_config=vision, **make_parts(True)))
    return t.Sam2Model(t.Sam2Config(vision_config=vision, **make_parts(False)))


def build_edgetam(video: bool):
    import transformers as t

    # the configuration would read the name of its backbone from the hub
    backbone = t.TimmWrapperConfig(
        architecture="repvit_m1", do_pooling=False,
        model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    )  # fmt: skip
    vision = t.EdgeTamVisionConfig(
        backbone_config=backbone, backbone_feature_sizes=sizes(4, 8, 16), fpn_hidden_size=CHANNELS
    )
    if not video:
        return t.EdgeTamModel(t.EdgeTamConfig(vision_config=vision, **make_parts(False)))
    parts = make_parts(True) | {
        "memory_attention_rope_k_sizes": [4, 4], "perceiver_resampler_num_latents": 16,
        "perceiver_resampler_num_latents_2d": 16,
    }  # fmt: skip
    return t.EdgeTamVideoModel(t.EdgeTamVideoConfig(vision_config=vision, **parts))


def build_sam3(video: bool):
    import transformers as t

    backbone = t.Sam3ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=SIDE,
        pretrain_image_size=SIDE, patch_size=16, window_size=4, global_attn_indexes=[1],
    )  # fmt: skip
    vision = t.Sam3VisionConfig(
        backbone_config=backbone, fpn_hidden_size=CHANNELS, backbone_feature_sizes=sizes(4, 8, 16)
    )
    if video:
        return t.Sam3TrackerVideoModel(t.Sam3TrackerVideoConfig(vision_config=vision, **make_parts(True)))
    return t.Sam3TrackerModel(t.Sam3TrackerConfig(vision_config=vision, **make_parts(False)))


BUILDERS = {"sam2": build_sam2, "edgetam": build_edgetam, "sam3": build_sam3}


@lru_cache
def build_sam(family: str, *, video: bool = True):
    """A model, with weights large enough that masks move and stay, and its processor."""
    transformers = pytest.importorskip("transformers", reason="needs transformers (./packages/trackers[sam])")
    torch.manual_seed(0)
    model = BUILDERS[family](video).eval()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(3)
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(10)  # no object disappears
    size = {"height": SIDE, "width": SIDE}
    images = transformers.Sam2ImageProcessor(size=size, mask_size={"height": SIDE // 4, "width": SIDE // 4})
    if not video:
        return model, transformers.Sam2Processor(images, target_size=SIDE)
    videos = transformers.Sam2VideoVideoProcessor(size=size)
    return model, transformers.Sam2VideoProcessor(images, videos, target_size=SIDE)


@lru_cache
def build_cutie():
    """A network with random weights, and its settings."""
    pytest.importorskip("cutie", reason="needs rf-cutie (./packages/trackers[cutie])")
    from aotlab_trackers.cutie import build_network, make_config

    config = make_config("small", short_edge=None)
    config.top_k = 4  # of a memory of few pixels
    torch.manual_seed(0)
    return build_network(config), config


def read_tutorial() -> str:
    """The code of the tracker of the tutorial."""
    page = (ROOT / "docs" / "tutorials" / "tracker.md").read_text("utf-8")
    return re.search(r"```python\n(.+?)```", page, re.DOTALL)[1]


def make_tracker(name: str, **options):
    """A tracker of one of aotlab's models or of another's; with options, of a copy of the model."""
    if name == "flow":
        names: dict = {}
        exec(read_tutorial(), names)
        return names["FlowTracker"]()
    if name == "aot":
        from aotlab import Tracker
        from aotlab_testing.small_model import build

        return Tracker(*build())
    if name == "cutie":
        from aotlab_trackers.cutie import CutieTracker

        network, config = build_cutie()
        return CutieTracker(deepcopy(network) if options else network, config, device="cpu", **options)
    model, processor = build_sam(name)
    return SamTracker(deepcopy(model) if options else model, processor, device="cpu", **options)


def make_segmenter(family: str) -> SamSegmenter:
    return SamSegmenter(lambda: build_sam(family, video=False), device="cpu")


def draw_frames(count: int) -> list[np.ndarray]:
    """Frames of a texture that moves."""
    texture = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    texture = texture.repeat(8, 0).repeat(8, 1)
    return [np.roll(texture, 3 * index, 1) for index in range(count)]


def draw_mask(**boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask of boxes (top, bottom, left, right) by name of the object: ``o300``."""
    mask = np.zeros((HEIGHT, WIDTH), np.int64)
    for name, (top, bottom, left, right) in boxes.items():
        mask[top:bottom, left:right] = int(name[1:])
    return mask
