"""Trackers of other projects with random weights: ``python -m research.speed.compare edgetam sam2_tiny,objects=4``.

``pip install './packages/trackers[sam,cutie]'`` beforehand; for ``aott authors:aott``, ``pip install --no-deps
deaotpy``.
"""

from __future__ import annotations

from typing import Any

from aotlab import VideoTracker
from aotlab_trackers.authors import AuthorsTracker, build_network
from aotlab_trackers.cutie import CutieTracker, make_config
from aotlab_trackers.cutie import build_network as build_cutie
from aotlab_trackers.sam import SamTracker


def build_model(name: str) -> Any:
    """Build EdgeTAM (13.9 million parameters) or SAM 2.1 tiny (39 million) without weights."""
    import transformers as t

    if name == "sam2_tiny":
        return t.Sam2VideoModel(t.Sam2VideoConfig())
    layers = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
    # the default would be read from the hub
    backbone = t.TimmWrapperConfig(architecture="repvit_m1", do_pooling=False, model_args=layers)
    return t.EdgeTamVideoModel(t.EdgeTamVideoConfig(vision_config=t.EdgeTamVisionConfig(backbone_config=backbone)))


def build_tracker(name: str, device: str, precision: str) -> VideoTracker:
    """Return the tracker of this name: edgetam, sam2_tiny, cutie_small, cutie_base, or ``authors:`` and a preset."""
    if name.startswith("authors:"):
        return AuthorsTracker(build_network(name.partition(":")[2]), device=device)
    if name.startswith("cutie_"):
        config = make_config(name.removeprefix("cutie_"))
        return CutieTracker(build_cutie(config), config, device=device, precision=precision)
    from transformers import Sam2ImageProcessor, Sam2VideoProcessor, Sam2VideoVideoProcessor

    processor = Sam2VideoProcessor(Sam2ImageProcessor(), Sam2VideoVideoProcessor())
    return SamTracker(build_model(name), processor, device=device, precision=precision)
