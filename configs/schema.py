"""Every setting there is. The string under a field is its help; a YAML preset says only what differs."""

from __future__ import annotations

from dataclasses import dataclass, field

from configs.checks import require
from configs.training import DataConfig, TrainConfig

BLOCKS = ("lstt", "gpm")
POLICIES = ("first_frame", "every_nth")



@dataclass(frozen=True)
class StageConfig:
    """A stack of propagation blocks at one stride."""

    stride: int = 16
    """pixels per token; 16 is the encoder's last map"""
    block: str = "lstt"
    """kind of block: lstt (AOT) or gpm (DeAOT)"""
    depth: int = 1
    """number of blocks"""
    heads: int = 8
    """attention heads (lstt; gpm has one)"""
    window: int = 15
    """side of the square that short-term attention sees, in tokens, odd"""
    feedforward: int = 1024
    """hidden width of the feed-forward part (lstt)"""
    drop_path: float = 0.1
    """probability that training drops a residual branch, per sample"""

    def __post_init__(self) -> None:
        require(self.stride == 16, f"model.stages.stride must be 16, got {self.stride}")
        require(
            self.block in BLOCKS, f"model.stages.block must be one of {', '.join(BLOCKS)}, got {self.block}"
        )
        require(self.depth >= 1, f"model.stages.depth must be at least 1, got {self.depth}")
        require(self.window % 2 == 1, f"model.stages.window must be odd, got {self.window}")
        require(0 <= self.drop_path < 1, f"model.stages.drop_path must be in [0, 1), got {self.drop_path}")


@dataclass(frozen=True)
class ModelConfig:
    """The network."""

    encoder: str = "mobilenet_v2"
    """mobilenet_v2, resnet50 or swin_base"""
    dim: int = 256
    """width of the propagated embeddings"""
    max_objects: int = 10
    """identities in the bank, that is objects in a group"""
    align_corners: bool = True
    """sizes are 16k+1 and resizing aligns corner pixels; false: sizes are 16k"""
    decode_all_blocks: bool = True
    """the decoder reads the output of every block, not of the last alone"""
    stages: list[StageConfig] = field(default_factory=lambda: [StageConfig()])
    """stacks of blocks, coarse to fine"""

    def __post_init__(self) -> None:
        require(self.max_objects >= 1, f"model.max_objects must be at least 1, got {self.max_objects}")
        require(len(self.stages) == 1, f"model.stages must hold one stage, got {len(self.stages)}")
        heads = [stage.heads for stage in self.stages if self.dim % stage.heads]
        require(not heads, f"model.dim {self.dim} must be a multiple of model.stages.heads, got {heads}")


@dataclass(frozen=True)
class MemoryConfig:
    """What is remembered while tracking and training."""

    policy: str = "first_frame"
    """first_frame keeps reference frames alone; every_nth adds one frame in so many"""
    every: int = 5
    """frames from one long-term memory to the next while tracking (every_nth)"""
    every_in_training: int = 2
    """the same in training clips"""
    short_term_skip: int = 1
    """short-term memory is the frame this many steps ago"""

    def __post_init__(self) -> None:
        require(
            self.policy in POLICIES, f"memory.policy must be one of {', '.join(POLICIES)}, got {self.policy}"
        )
        for name in ("every", "every_in_training", "short_term_skip"):
            require(getattr(self, name) >= 1, f"memory.{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class InputConfig:
    """How large a frame the network sees; bigger frames are scaled down, none is enlarged."""

    max_long_edge: int | None = 1040
    """longest side in pixels"""
    max_short_edge: int | None = None
    """shortest side in pixels"""
    scale: float = 1.0
    """factor on both sides after the limits"""

    def __post_init__(self) -> None:
        for name in ("max_long_edge", "max_short_edge"):
            edge = getattr(self, name)
            require(edge is None or edge >= 32, f"input.{name} must be at least 32 or null, got {edge}")
        require(self.scale > 0, f"input.scale must be positive, got {self.scale}")


@dataclass(frozen=True)
class Config:
    """All settings of a model, its tracking and its training."""

    name: str = "aott"
    """what this configuration is called"""
    model: ModelConfig = field(default_factory=ModelConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    input: InputConfig = field(default_factory=InputConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
