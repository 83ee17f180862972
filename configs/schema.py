"""Schema of all settings. The string under a field is its help text; YAML presets list differences only.

`configs/load.py` checks each value against its annotation; ``__post_init__`` checks values that depend on each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Annotated, Any

from aotlab.configs.training import (
    Count,
    CountOrZero,
    DataConfig,
    Edge,
    Finite,
    Positive,
    Precision,
    TrainConfig,
    Width,
)
from aotlab.utils.errors import require
from aotlab.utils.files import require_file_name
from aotlab.utils.numbers import Range

STRIDES = (16, 8, 4)
Dim = Annotated[int, Range(16, 2**16, step=16)]
"""Width of embeddings."""
PYRAMID_SETTINGS = ("dim", "memory_stride", "identity_stride")
"""Settings of methods with several stages."""


@dataclass(frozen=True)
class Method:
    """Settings and defaults of a method; `networks/build.py:MODEL_CLASSES` has its class."""

    settings: tuple[str, ...]
    """Settings of `StageConfig` that only some methods have."""
    strides: tuple[int, ...] | None = (16,)
    """Strides of its stages in pixels, coarse to fine; None if any."""
    refines: bool = False
    """Whether its last stage has no blocks and only refines the output of the previous one."""
    window_optional: bool = False
    """Whether ``window: 0`` may turn short-term attention off."""
    scalable: bool = False
    """Whether ``model.depth`` may select fewer blocks than were trained."""
    max_short_term_frames: int | None = None
    """Upper limit of ``memory.short_term_frames``; None if unlimited."""
    augmentation: str = "aot"
    """Training augmentation in its authors' code, one of `AUGMENTATIONS`."""


METHODS = {
    "aot": Method(("heads", "feedforward", "window", "sine_position", "relative_position"), window_optional=True),
    "aot_rmem": Method(("heads", "feedforward", "temporal_slots"), max_short_term_frames=1),
    "deaot": Method(("window",), augmentation="deaot"),
    "deaot_rmem": Method(("window", "temporal_slots"), augmentation="deaot"),
    "msdeaot": Method(("window", *PYRAMID_SETTINGS), strides=(16, 8, 4), refines=True, augmentation="deaot"),
    "aost": Method(("heads", "feedforward", "window", "shared"), scalable=True),
    "paot": Method(("heads", "feedforward", "window", *PYRAMID_SETTINGS, "self_heads", "self_stride"), strides=None),
}
ENCODERS = ("mobilenet_v2", "resnet50", "resnet101", "resnest101", "swin_base")
BOUNDED_POLICIES = ("bounded_fifo", "restricted", "relevance_redundancy")
"""Memory policies that keep at most `memory.frames` frames."""
POLICIES = ("first_frame", "every_nth", *BOUNDED_POLICIES)


@dataclass(frozen=True)
class StageConfig:
    """Consecutive propagation blocks at one stride, or a refinement of features without blocks.

    `METHODS` lists the settings that only some methods have.
    """

    stride: Annotated[int, STRIDES] = 16
    """Pixels per token."""
    depth: Annotated[int, Range(0, 1000)] = 1
    """Number of blocks; only the last stage may have 0, and then refines the output of the previous one."""
    shared: bool = False
    """Apply one block `depth` times, each time with its own memory, and decode only the last output."""
    heads: Width = 8
    """Attention heads."""
    window: Annotated[int, Range(0, 1001)] = 15
    """Side of the short-term attention window in tokens, odd; 0 turns short-term attention off (an ablation of AOT)."""
    feedforward: Annotated[int, Range(32, 2**20, step=32)] = 1024
    """Hidden width of the feed-forward layers."""
    drop_path: Annotated[float, Range(0, 1, exclusive_high=True)] = 0.1
    """Probability that training drops a residual branch, per sample."""
    dim: Dim | None = None
    """Width of the embeddings, or of each of two branches; null means model.dim."""
    self_heads: Width | None = None
    """Heads of self-attention; null means heads."""
    self_stride: Width = 1
    """Self-attention reads every n-th token, in row order."""
    memory_stride: Width = 1
    """Long-term memory keeps every n-th token along both axes."""
    identity_stride: Annotated[int, STRIDES] | None = None
    """Pixels per patch of the identity bank, whose embeddings are repeated to the stage's tokens; null means stride."""
    temporal_slots: Annotated[int, Range(0, 2**16)] = 0
    """Positions of the temporal embedding of long-term memory (RMem has 4); 0 means no temporal embedding."""
    sine_position: bool = True
    """Add a sine position embedding in self-attention."""
    relative_position: bool = True
    """Add relative positions in short-term attention."""


@dataclass(frozen=True)
class ModelConfig:
    """The network."""

    method: Annotated[str, METHODS] = "aot"
    """Method of a paper."""
    encoder: Annotated[str, ENCODERS] = "mobilenet_v2"
    """Image encoder."""
    dim: Dim = 256
    """Width of the propagated embeddings."""
    max_objects: Annotated[int, Range(1, 254)] = 10
    """Identities in the bank, which is the number of objects in a group."""
    ignore_plane: bool = False
    """Give the identity bank one more channel, for pixels to ignore in training (label 255)."""
    align_corners: bool = True
    """Round input sizes to 16k+1 and align corner pixels in resizing; false rounds to 16k."""
    depth: int | None = None
    """Blocks to use, from 1 to the trained depth (aost); null means all."""
    stages: list[StageConfig] = field(default_factory=lambda: [StageConfig()])
    """Stacks of blocks, coarse to fine; msdeaot has three, paot any number, the other methods one."""

    @property
    def bank_channels(self) -> int:
        """Channels of the masks that identity banks embed: background, identities and ignored pixels."""
        return 1 + self.max_objects + self.ignore_plane

    @property
    def scalable(self) -> bool:
        """Whether every depth has its own input layer of the decoder, so that fewer blocks may be used."""
        return METHODS[self.method].scalable

    @cached_property
    def block_stages(self) -> list[int]:
        """Stage index of each block in use."""
        return [stage for stage, depth in enumerate(self.depths) for _ in range(depth)]

    @property
    def depths(self) -> list[int]:
        """Number of blocks in use of each stage."""
        return [stage.depth if self.depth is None else min(self.depth, stage.depth) for stage in self.stages]

    def __post_init__(self) -> None:
        _check_stages(self.stages, self.dim)
        _check_method(self.method, self.stages)
        trained = self.stages[0].depth
        if self.depth is not None:
            require(self.scalable, f"{self.method} has no such setting", subject="model.depth", remedy="remove it")
            require(self.depth in range(1, trained + 1), f"model.depth must be 1 to {trained}, got {self.depth}")


def _check_stages(stages: list[StageConfig], model_dim: int) -> None:
    """Raise InputError unless the stages form a valid coarse-to-fine stack."""
    strides = [stage.stride for stage in stages]
    require(
        strides[:1] == [16] and strides == sorted(strides, reverse=True),
        f"strides must begin with 16 and go from coarse to fine, got {strides}",
        subject="model.stages",
    )
    first_dim = stages[0].dim
    require(first_dim in (None, model_dim), f"model.stages.0.dim must be model.dim, {model_dim}, got {first_dim}")
    has_blocks = all(stage.depth for stage in (stages[0], *stages[:-1]))
    require(has_blocks, "only the last of several stages may have depth 0", subject="model.stages")
    for number, stage in enumerate(stages):
        name, dim = f"model.stages.{number}", stage.dim or model_dim
        for heads in (stage.heads, stage.self_heads or stage.heads):
            require(dim % heads == 0, f"dim {dim} is not divisible by {heads} heads", subject=name)
        patch = stage.identity_stride or stage.stride
        require(patch >= stage.stride, f"{name}.identity_stride must be at least {stage.stride}, got {patch}")


def _check_method(name: str, stages: list[StageConfig]) -> None:
    """Raise InputError for stages or settings that the method does not have."""
    method = METHODS[name]
    optional = {setting for other in METHODS.values() for setting in other.settings} - set(method.settings)
    for number, stage in enumerate(stages):
        for setting in fields(stage):
            require(
                setting.name not in optional or getattr(stage, setting.name) == setting.default,
                f"{name} has no such setting",
                subject=f"model.stages.{number}.{setting.name}",
                remedy=f"leave it at {json.dumps(setting.default)}",
            )
        allowed = "odd or 0" if method.window_optional else "odd"
        require(
            stage.window % 2 == 1 or (stage.window == 0 and method.window_optional),
            f"model.stages.{number}.window must be {allowed}, got {stage.window}",
        )
    strides = tuple(stage.stride for stage in stages)
    require(
        method.strides is None or strides == method.strides,
        f"{name} has stages at strides {method.strides}, got {strides}",
        subject="model.stages",
    )
    require(
        stages[-1].depth == 0 or not method.refines,
        f"the last stage of {name} must have depth 0",
        subject="model.stages",
    )


@dataclass(frozen=True)
class MemoryConfig:
    """Memory of tracking and training."""

    policy: Annotated[str, POLICIES] = "first_frame"
    """Frames that long-term memory keeps. first_frame keeps only reference frames. every_nth also keeps every n-th
    frame. The others keep at most `frames`: bounded_fifo the newest, restricted (RMem) the most relevant and least
    often scored, relevance_redundancy (ERMU) the most relevant and least redundant."""
    every: Count = 5
    """Interval in frames between tracked frames stored in long-term memory (unused by first_frame)."""
    every_in_training: Count = 2
    """Interval in training clips, where all bounded policies act as bounded_fifo."""
    frames: Count = 9
    """Largest number of frames in long-term memory, including the reference frame (bounded_fifo, restricted,
    relevance_redundancy)."""
    newest: CountOrZero | None = None
    """Largest number of tracked frames in long-term memory; null means up to `frames` (bounded_fifo). Overriding
    `policy` or `frames` resets it."""
    insertions: Count | None = None
    """Number of frames to store of a video, if its number of frames is known; `every` is still the smallest interval;
    null means no limit."""
    score_early: bool = False
    """Update scores while the bank still has room, as the published DeAOT models do (restricted,
    relevance_redundancy)."""
    relevance_weight: Finite = 4.0
    """Weight of relevance relative to redundancy (relevance_redundancy)."""
    redundancy_slope: Finite = 10.0
    """Slope of the redundancy sigmoid (relevance_redundancy)."""
    redundancy_threshold: Finite = 0.4
    """Redundancy at which the sigmoid is 0.5 (relevance_redundancy)."""
    short_term_skip: Annotated[int, Range(1, 1000)] = 1
    """Steps from the current frame back to the newest frame in short-term memory."""
    short_term_frames: Annotated[int, Range(1, 1000)] = 1
    """Number of consecutive frames in short-term memory."""


def list_resets(overridden: Mapping[str, Any]) -> list[str]:
    """Return the overrides that reset the settings which depend on ``overridden`` settings."""
    memory = overridden.get("memory")
    changed = isinstance(memory, Mapping) and not memory.keys().isdisjoint(("policy", "frames"))
    return ["memory.newest=null"] if changed else []


@dataclass(frozen=True)
class InputConfig:
    """Size of the network's input.

    Frames above the limits are scaled down. Frames below `min_short_edge`, or with objects below `min_object`, are
    scaled up, by a factor of at most 2 and within the limits. Without `max_long_edge`, no frame is scaled up.
    """

    max_long_edge: Edge | None = 1040
    """Upper limit of the longer side in pixels, before it is rounded to the model's grid."""
    max_short_edge: Edge | None = None
    """Upper limit of the shorter side in pixels."""
    scale: Annotated[float, Range(0, 16, exclusive_low=True)] = 1.0
    """Factor on both sides after the limits."""
    min_short_edge: Edge | None = None
    """Length of the shorter side in pixels below which frames are scaled up."""
    min_object: Edge | None = None
    """Side in pixels of the smallest object (√area on the first mask) below which frames are scaled up."""


@dataclass(frozen=True)
class RulesConfig:
    """Corrections of predictions that prevent identity switches in tracking; they need no training."""

    ownership: bool = False
    """Assign a component that splits off an object to a lost object nearby."""
    cuts: bool = False
    """Detect cuts in the video; the first frame after a cut reads zeros instead of short-term memory."""


@dataclass(frozen=True)
class ComputeConfig:
    """Precision and compilation in tracking; training has separate settings."""

    precision: Precision = "float32"
    """Auto means bfloat16 if the processor supports it, else float32."""
    compile: bool = False
    """Compile encoder, blocks and decoder with torch.compile, for many frames of one size on CUDA."""


@dataclass(frozen=True)
class Config:
    """All settings of a model, its tracking and its training."""

    name: Annotated[str, require_file_name] = "aott"
    """Name of the configuration, part of file names."""
    confidence_temperature: Positive = 1.0
    """Divisor of logits for confidences, fitted on validation clips; does not change masks."""
    model: ModelConfig = field(default_factory=ModelConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    input: InputConfig = field(default_factory=InputConfig)
    rules: RulesConfig = field(default_factory=RulesConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        limit = METHODS[self.model.method].max_short_term_frames
        require(
            limit is None or self.memory.short_term_frames <= limit,
            f"memory.short_term_frames must be at most {limit} with {self.model.method}, "
            f"got {self.memory.short_term_frames}",
        )
