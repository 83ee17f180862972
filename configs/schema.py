"""Every setting there is. The string under a field is its help; a YAML preset says only what differs."""

from __future__ import annotations

from dataclasses import dataclass, field

BLOCKS = ("lstt", "gpm")
POLICIES = ("first_frame", "every_nth")
SOURCE_KINDS = ("static", "video")
PRECISIONS = ("float32", "bfloat16")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


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
        _require(self.stride == 16, f"model.stages.stride must be 16, got {self.stride}")
        _require(
            self.block in BLOCKS, f"model.stages.block must be one of {', '.join(BLOCKS)}, got {self.block}"
        )
        _require(self.depth >= 1, f"model.stages.depth must be at least 1, got {self.depth}")
        _require(self.window % 2 == 1, f"model.stages.window must be odd, got {self.window}")
        _require(0 <= self.drop_path < 1, f"model.stages.drop_path must be in [0, 1), got {self.drop_path}")


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
        _require(self.max_objects >= 1, f"model.max_objects must be at least 1, got {self.max_objects}")
        _require(len(self.stages) == 1, f"model.stages must hold one stage, got {len(self.stages)}")
        heads = [stage.heads for stage in self.stages if self.dim % stage.heads]
        _require(not heads, f"model.dim {self.dim} must be a multiple of model.stages.heads, got {heads}")


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
        _require(
            self.policy in POLICIES, f"memory.policy must be one of {', '.join(POLICIES)}, got {self.policy}"
        )
        for name in ("every", "every_in_training", "short_term_skip"):
            _require(getattr(self, name) >= 1, f"memory.{name} must be at least 1, got {getattr(self, name)}")


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
            _require(edge is None or edge >= 32, f"input.{name} must be at least 32 or null, got {edge}")
        _require(self.scale > 0, f"input.scale must be positive, got {self.scale}")


@dataclass(frozen=True)
class SourceConfig:
    """One folder of training material: JPEGImages/ and Annotations/ below data.root."""

    path: str = "???"
    """folder below data.root"""
    kind: str = "video"
    """static: single images made into clips; video: folders of frames"""
    split: str | None = None
    """list file in ImageSets/ without .txt; all when null"""
    weight: float = 1.0
    """how often this source is drawn, relative to the others"""
    max_gap: int = 3
    """largest number of frames between two frames of a clip (video)"""

    def __post_init__(self) -> None:
        kinds = ", ".join(SOURCE_KINDS)
        _require(
            self.kind in SOURCE_KINDS, f"train.phases.sources.kind must be one of {kinds}, got {self.kind}"
        )
        _require(self.weight > 0, f"train.phases.sources.weight must be positive, got {self.weight}")


@dataclass(frozen=True)
class DataConfig:
    """Where training and validation data are, and how clips are cut from them."""

    root: str | None = None
    """folder that holds the sources"""
    workers: int = 2
    """processes that prepare clips"""
    validation: list[SourceConfig] = field(default_factory=list)
    """videos that are tracked and scored while training"""

    def __post_init__(self) -> None:
        _require(self.workers >= 0, f"data.workers must be at least 0, got {self.workers}")


@dataclass(frozen=True)
class PhaseConfig:
    """One stretch of training with its own data and schedule."""

    name: str = "???"
    """what it is called in logs and file names"""
    steps: int = 100_000
    """optimiser steps"""
    batch: int = 16
    """clips in a step"""
    clip_length: int = 5
    """frames in a clip"""
    short_edge: int = 480
    """size of a video's shortest side, in pixels, before the random scale of 0.7 to 1.3"""
    crop: int = 465
    """side of a training clip in pixels"""
    merge: float = 0.3
    """probability that a second clip's objects are pasted over the first's"""
    lr: float = 2e-4
    """learning rate after warm-up"""
    final_lr: float = 2e-5
    """learning rate at the start of warm-up and at the end"""
    weight_decay: float = 0.07
    """AdamW weight decay of matrices"""
    reference_loss_until: float = 1.0
    """part of the steps over which the loss on reference frames fades out"""
    own_predictions_from: float = 0.5
    """part of the steps after which the model remembers its own masks instead of the true ones"""
    sources: list[SourceConfig] = field(default_factory=list)
    """the mixture of data"""

    def __post_init__(self) -> None:
        _require(self.steps >= 1, f"train.phases.steps must be at least 1, got {self.steps}")
        _require(self.lr > 0, f"train.phases.lr must be positive, got {self.lr}")
        _require(self.batch >= 1, f"train.phases.batch must be at least 1, got {self.batch}")
        _require(self.crop >= 32, f"train.phases.crop must be at least 32, got {self.crop}")
        _require(
            self.clip_length >= 2, f"train.phases.clip_length must be at least 2, got {self.clip_length}"
        )
        _require(0 <= self.merge <= 1, f"train.phases.merge must be in [0, 1], got {self.merge}")


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation."""

    output: str = "runs/aott"
    """folder for checkpoints and logs"""
    encoder_weights: str | None = None
    """ImageNet weights of the encoder: a file, 'torchvision', or null for random ones"""
    start_from: str | None = None
    """checkpoint whose weights training starts from"""
    precision: str = "float32"
    """float32 or bfloat16 (autocast)"""
    warmup: float = 0.05
    """part of the steps with a rising learning rate"""
    power: float = 0.9
    """exponent of the falling learning rate"""
    encoder_lr_ratio: float = 0.1
    """the encoder's learning rate, relative to the others"""
    freeze_encoder_stages: int = 2
    """encoder stages, from the image on, that are not trained"""
    hardest_pixels: float = 0.15
    """part of the pixels that bootstrapped cross-entropy ends at"""
    hardest_pixels_at: float = 0.5
    """part of the steps after which it is reached"""
    clip_gradients: float = 5.0
    """largest norm of the gradient"""
    ema: float = 0.1
    """the averaged weights look back over this part of the steps"""
    seed: int = 0
    """seed of all randomness"""
    save_every: int = 500
    """steps from one checkpoint to the next"""
    validate_every: int = 0
    """steps from one validation to the next, besides the one at the end of each phase; 0: that one alone"""
    log_every: int = 20
    """steps from one log line to the next"""
    phases: list[PhaseConfig] = field(default_factory=list)
    """stretches of training, in order"""

    def __post_init__(self) -> None:
        names = ", ".join(PRECISIONS)
        _require(
            self.precision in PRECISIONS, f"train.precision must be one of {names}, got {self.precision}"
        )


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
