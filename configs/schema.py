"""Schema of all settings. The string under a field is its help text; YAML presets list differences only.

Each value is checked against its annotation; validators check values that depend on each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializeAsAny,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from aotlab.configs.methods import Dim, MethodName, Stage, find_method
from aotlab.configs.settings import FileName, Settings, Text
from aotlab.configs.training import Count, CountOrZero, DataConfig, Edge, Finite, Positive, Precision, TrainConfig
from aotlab.utils.numbers import Range
from aotlab.utils.plugins import ENCODER_PLUGINS, HOOK_PLUGINS, POLICY_PLUGINS, PluginChoices, find_plugin

ENCODERS = ("mobilenet_v2", "resnet50", "resnet101", "resnest101", "swin_base")
TIMM_PREFIX = "timm:"
"""Beginning of the names of timm's encoders."""


class EncoderChoices(PluginChoices):
    """Names of encoders, also those of timm."""

    def __contains__(self, name: object) -> bool:
        return str(name).startswith(TIMM_PREFIX) or super().__contains__(name)


EncoderName = Annotated[Text, AfterValidator(EncoderChoices(ENCODER_PLUGINS, ENCODERS).check)]
BOUNDED_POLICIES = ("bounded_fifo", "rmem", "ermu")
"""Memory policies that keep at most `memory.frames` frames."""
POLICIES = ("first_frame", "every_nth", *BOUNDED_POLICIES)
PolicyName = Annotated[Text, AfterValidator(PluginChoices(POLICY_PLUGINS, POLICIES).check)]
HookName = Annotated[Text, AfterValidator(PluginChoices(HOOK_PLUGINS, ()).check)]


class ModelConfig(Settings):
    """The network."""

    method: MethodName = "aot"
    """Method of a paper."""
    encoder: EncoderName = "mobilenet_v2"
    """Image encoder; timm:NAME is one of timm that has maps at strides 4, 8 and 16."""
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
    stages: list[SerializeAsAny[Stage]] = Field(default_factory=list, validate_default=True)
    """Stacks of blocks, coarse to fine; msdeaot has three, paot any number, the other methods one. Without any, the
    model has one stage with the defaults of its method."""

    @classmethod
    def nested(cls, values: Mapping[str, Any]) -> dict[str, type[Settings]]:
        """Return the class of the stages of the model's method."""
        return {"stages": find_method(str(values.get("method", "aot"))).stage}

    @field_validator("stages", mode="before")
    @classmethod
    def _build_stages(cls, stages: Any, info: ValidationInfo) -> Any:
        if "method" not in info.data:  # refused already
            return []
        kind = find_method(info.data["method"]).stage
        return TypeAdapter(list[kind]).validate_python([{}] if stages == [] else stages)  # type: ignore[valid-type]

    @property
    def bank_channels(self) -> int:
        """Channels of the masks that identity banks embed: background, identities and ignored pixels."""
        return 1 + self.max_objects + self.ignore_plane

    @property
    def scalable(self) -> bool:
        """Whether every depth has its own input layer of the decoder, so that fewer blocks may be used."""
        return find_method(self.method).scalable

    @property
    def depths(self) -> list[int]:
        """Number of blocks in use of each stage."""
        return [stage.depth if self.depth is None else min(self.depth, stage.depth) for stage in self.stages]

    @model_validator(mode="after")
    def _check(self) -> Self:
        method, stages = find_method(self.method), self.stages
        strides = [stage.stride for stage in stages]
        if strides[0] != 16 or strides != sorted(strides, reverse=True):
            raise ValueError(f"stages: strides must begin with 16 and go from coarse to fine, got {strides}")
        if not all(stage.depth for stage in (stages[0], *stages[:-1])):
            raise ValueError("stages: only the last of several stages may have depth 0")
        if method.strides not in (None, tuple(strides)):
            raise ValueError(f"stages: {self.method} has stages at strides {method.strides}, got {tuple(strides)}")
        if method.refines and stages[-1].depth:
            raise ValueError(f"stages: the last stage of {self.method} must have depth 0")
        for number, stage in enumerate(stages):
            try:
                width = stage.width(self.dim)
            except ValueError as error:
                raise ValueError(f"stages.{number}: {error}") from None
            if number == 0 and width != self.dim:
                raise ValueError(f"stages.0.dim must be model.dim, {self.dim}, got {width}")
        if self.depth is not None:
            if not method.scalable:
                raise ValueError(f"depth: {self.method} has no such setting; remove it")
            if not 1 <= self.depth <= stages[0].depth:
                raise ValueError(f"depth must be 1 to {stages[0].depth}, got {self.depth}")
        return self


class MemoryConfig(Settings):
    """Memory of tracking and training."""

    policy: PolicyName = "first_frame"
    """Frames that long-term memory keeps. first_frame keeps only reference frames. every_nth also keeps every n-th
    frame. The others keep at most `frames`: bounded_fifo the newest, rmem (RMem) the most relevant and least often
    scored, ermu (ERMU) the most relevant and least redundant."""
    every: Count = 5
    """Interval in frames between tracked frames stored in long-term memory (unused by first_frame)."""
    every_in_training: Count = 2
    """Interval in training clips, where all bounded policies act as bounded_fifo."""
    frames: Count = 9
    """Largest number of frames in long-term memory, including the reference frame (bounded_fifo, rmem, ermu)."""
    max_tracked: CountOrZero | None = None
    """Largest number of tracked frames in long-term memory; null means up to `frames` (bounded_fifo). Overriding
    `policy` or `frames` resets it."""
    max_stored: Count | None = None
    """About how many frames to store of a video, if its number of frames is known: sets the interval between them,
    rounded and at least `every`; null means `every`."""
    score_early: bool = False
    """Update scores while the bank still has room, as the published DeAOT models do (rmem, ermu)."""
    relevance_weight: Finite = 4.0
    """Weight of relevance relative to redundancy (ermu)."""
    redundancy_slope: Finite = 10.0
    """Slope of the redundancy sigmoid (ermu)."""
    redundancy_threshold: Finite = 0.4
    """Redundancy at which the sigmoid is 0.5 (ermu)."""
    short_term_lag: Annotated[int, Range(1, 1000)] = 1
    """Steps from the current frame back to the newest frame in short-term memory."""
    short_term_frames: Annotated[int, Range(1, 1000)] = 1
    """Number of consecutive frames in short-term memory."""

    @property
    def is_bounded(self) -> bool:
        """Whether the policy keeps at most `frames` frames; that of a plug-in is imported and asked."""
        if self.policy in POLICIES:
            return self.policy in BOUNDED_POLICIES
        return find_plugin(POLICY_PLUGINS, self.policy)(self).capacity is not None


def list_resets(overridden: Mapping[str, Any]) -> list[str]:
    """Return the overrides that reset the settings which depend on ``overridden`` settings."""
    memory = overridden.get("memory")
    changed = isinstance(memory, Mapping) and not memory.keys().isdisjoint(("policy", "frames"))
    return ["memory.max_tracked=null"] if changed else []


class InputConfig(Settings):
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


class RulesConfig(Settings):
    """Corrections of predictions in tracking; they need no training."""

    cuts: bool = False
    """Detect cuts in the video; the first frame after a cut reads zeros instead of short-term memory."""
    after_cut: Literal["end", "recognize", "continue"] = "recognize"
    """Objects after a cut: continue tracks all; recognize hides those that look different; end hides all."""
    hooks: list[HookName] = Field(default_factory=list)
    """Hooks of plug-ins, which run after the detection of cuts."""


class ComputeConfig(Settings):
    """Precision and compilation in tracking; training has separate settings."""

    precision: Precision = "float32"
    """Auto means bfloat16 if the processor supports it, else float32."""
    compile: bool = False
    """Compile encoder, blocks and decoder with torch.compile, for many frames of one size on CUDA."""


class Config(Settings):
    """All settings of a model, its tracking and its training."""

    name: FileName = "aott"
    """Name of the configuration, part of file names."""
    confidence_temperature: Positive = 1.0
    """Divisor of logits for confidences, fitted on validation clips; does not change masks."""
    model: ModelConfig = Field(default_factory=ModelConfig)
    memory: MemoryConfig = Field(default_factory=MemoryConfig)
    input: InputConfig = Field(default_factory=InputConfig)
    rules: RulesConfig = Field(default_factory=RulesConfig)
    compute: ComputeConfig = Field(default_factory=ComputeConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)

    @model_validator(mode="after")
    def _check(self) -> Self:
        method, frames = self.model.method, self.memory.short_term_frames
        limit = find_method(method).max_short_term_frames
        if limit is not None and frames > limit:
            raise ValueError(f"memory.short_term_frames must be at most {limit} with {method}, got {frames}")
        return self
