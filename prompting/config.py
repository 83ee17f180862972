"""Settings of a prompt network, stored in its file."""

from __future__ import annotations

from typing import Annotated

from aotlab.configs.methods import AOTStage, Dim, Window
from aotlab.configs.schema import EncoderName
from aotlab.configs.settings import Settings
from aotlab.configs.training import Width
from aotlab.utils.numbers import Range


class PromptConfig(Settings):
    """The network that makes masks from clicks, boxes and rough masks."""

    encoder: EncoderName = "mobilenet_v2"
    """Image encoder."""
    dim: Dim = 256
    """Width of the embeddings."""
    blocks: Annotated[int, Range(1, 1000)] = 2
    """Number of blocks."""
    heads: Width = 8
    """Attention heads."""
    window: Window = 15
    """Side of the short-term attention window in tokens, odd, at most 1001."""
    feedforward: Annotated[int, Range(32, 2**20, step=32)] = 1024
    """Hidden width of the feed-forward layers."""
    align_corners: bool = True
    """Round input sizes to 16k+1 and align corner pixels in resizing; false rounds to 16k."""

    @property
    def stage(self) -> AOTStage:
        """Settings of its blocks."""
        return AOTStage(heads=self.heads, window=self.window, feedforward=self.feedforward, drop_path=0.0)
