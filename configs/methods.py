"""Methods: the settings of their stages, and what else depends on the method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, ValidationInfo, field_validator

from aotlab.configs.settings import Settings, Text
from aotlab.configs.training import Width
from aotlab.utils.errors import require
from aotlab.utils.numbers import Range
from aotlab.utils.plugins import METHOD_PLUGINS, PluginChoices, check_signature, describe_object, find_plugin

Stride = Literal[16, 8, 4]
Dim = Annotated[int, Range(16, 2**16, step=16)]
"""Width of embeddings."""
TemporalSlots = Annotated[int, Range(0, 2**16)]


def _check_odd(window: int) -> int:
    if window not in range(1, 1002, 2):
        raise ValueError(f"must be odd, 1 to 1001, got {window}")
    return window


def _check_odd_or_0(window: int) -> int:
    if window not in (0, *range(1, 1002, 2)):
        raise ValueError(f"must be odd or 0, up to 1001, got {window}")
    return window


def _require_divisible(width: int, heads: int) -> int:
    if width % heads:
        raise ValueError(f"dim {width} is not divisible by {heads} heads")
    return width


Window = Annotated[int, AfterValidator(_check_odd)]


class Stage(Settings):
    """Consecutive propagation blocks at one stride, or a refinement of features without blocks."""

    stride: Stride = 16
    """Pixels per token."""
    depth: Annotated[int, Range(0, 1000)] = 1
    """Number of blocks; only the last stage may have 0, and then refines the output of the previous one."""
    drop_path: Annotated[float, Range(0, 1, exclusive_high=True)] = 0.1
    """Probability that training drops a residual branch, per sample."""

    @property
    def long_term_stride(self) -> int:
        """Long-term memory keeps every n-th token along both axes."""
        return 1

    def width(self, model_dim: int) -> int:
        """Return the width of its embeddings in a model of width ``model_dim``.

        Raises:
            ValueError: not divisible by the number of heads.
        """
        return model_dim


class HeadedStage(Stage):
    """Stage of blocks with attention heads and feed-forward layers."""

    heads: Width = 8
    """Attention heads."""
    feedforward: Annotated[int, Range(32, 2**20, step=32)] = 1024
    """Hidden width of the feed-forward layers."""

    def width(self, model_dim: int) -> int:
        return _require_divisible(super().width(model_dim), self.heads)


class PyramidStage(Stage):
    """Stage of a model with stages of several strides."""

    dim: Dim | None = None
    """Width of the embeddings, or of each of two branches; null means model.dim."""
    memory_stride: Width = 1
    """Long-term memory keeps every n-th token along both axes."""
    identity_stride: Stride | None = None
    """Pixels per patch of the identity bank, whose embeddings are repeated to the stage's tokens; null means stride."""

    @field_validator("identity_stride")
    @classmethod
    def _check_patch(cls, patch: int | None, info: ValidationInfo) -> int | None:
        stride = info.data.get("stride", 0)
        if patch is not None and patch < stride:
            raise ValueError(f"must be at least {stride}, got {patch}")
        return patch

    @property
    def long_term_stride(self) -> int:
        return self.memory_stride

    def width(self, model_dim: int) -> int:
        return super().width(self.dim or model_dim)


class AOTStage(HeadedStage):
    """Stage of `aot`."""

    window: Annotated[int, AfterValidator(_check_odd_or_0)] = 15
    """Side of the short-term attention window in tokens, odd, at most 1001; 0 turns short-term attention off (an
    ablation of AOT)."""
    sine_position: bool = True
    """Add a sine position embedding in self-attention."""
    relative_position: bool = True
    """Add relative positions in short-term attention."""


class RMemAOTStage(HeadedStage):
    """Stage of `aot_rmem`."""

    temporal_slots: TemporalSlots = 0
    """Positions of the temporal embedding of long-term memory (RMem has 4); 0 means no temporal embedding."""


class DeAOTStage(Stage):
    """Stage of `deaot`."""

    window: Window = 15
    """Side of the short-term attention window in tokens, odd, at most 1001."""


class RMemDeAOTStage(DeAOTStage):
    """Stage of `deaot_rmem`."""

    temporal_slots: TemporalSlots = 0
    """Positions of the temporal embedding of long-term memory (RMem has 4); 0 means no temporal embedding."""


class MSDeAOTStage(PyramidStage, DeAOTStage):
    """Stage of `msdeaot`."""


class ScaledKeysStage(HeadedStage):
    """Stage of AOST's blocks, whose identities scale keys."""

    window: Window = 15
    """Side of the short-term attention window in tokens, odd, at most 1001."""
    self_heads: Width | None = None
    """Heads of self-attention; null means heads."""
    self_stride: Width = 1
    """Self-attention reads every n-th token, in row order."""

    def width(self, model_dim: int) -> int:
        return _require_divisible(super().width(model_dim), self.self_heads or 1)


class AOSTStage(ScaledKeysStage):
    """Stage of `aost`."""

    shared: bool = False
    """Apply one block `depth` times, each time with its own memory, and decode only the last output."""


class PAOTStage(PyramidStage, ScaledKeysStage):
    """Stage of `paot`."""


@dataclass(frozen=True)
class Method:
    """Settings and defaults of a method."""

    stage: type[Stage]
    """Settings of its stages."""
    strides: tuple[int, ...] | None = (16,)
    """Strides of its stages in pixels, coarse to fine; None if any."""
    refines: bool = False
    """Whether its last stage has no blocks and only refines the output of the previous one."""
    scalable: bool = False
    """Whether ``model.depth`` may select fewer blocks than were trained."""
    max_short_term_frames: int | None = None
    """Upper limit of ``memory.short_term_frames``; None if unlimited."""
    augmentation: str = "aot"
    """Training augmentation in its authors' code, one of `AUGMENTATIONS`."""
    model: Callable[[Any], Any] | None = None
    """Class or function that makes its `VOSModel` from a `ModelConfig`; None only for methods of aotlab, whose classes
    are in `networks/build.py:MODEL_CLASSES`."""


METHODS = {
    "aot": Method(AOTStage),
    "aot_rmem": Method(RMemAOTStage, max_short_term_frames=1),
    "deaot": Method(DeAOTStage, augmentation="deaot"),
    "deaot_rmem": Method(RMemDeAOTStage, augmentation="deaot"),
    "msdeaot": Method(MSDeAOTStage, strides=(16, 8, 4), refines=True, augmentation="deaot"),
    "aost": Method(AOSTStage, scalable=True),
    "paot": Method(PAOTStage, strides=None),
}


def list_methods() -> list[str]:
    """Return the names of the methods of aotlab and of plug-ins."""
    return [*PluginChoices(METHOD_PLUGINS, METHODS)]


def find_method(name: str) -> Method:
    """Return a method by its name, that of a plug-in if it is not built in.

    Raises:
        InputError: unknown method, or a plug-in's that is not a `Method` with a model and a class derived from `Stage`.
    """
    if name in METHODS:
        return METHODS[name]
    method = find_plugin(METHOD_PLUGINS, name)
    usable = isinstance(method, Method) and method.model is not None
    require(usable, "its plug-in does not offer a Method with a model", subject=f"model.method {name}")
    is_settings = isinstance(method.stage, type) and issubclass(method.stage, Stage) and not is_dataclass(method.stage)
    remedy = "derive it from aotlab.sdk.Stage, without @dataclass"
    require(is_settings, "not a class of settings", subject=describe_object(method.stage), remedy=remedy)
    check_signature(method.model, ("config",))
    return cast(Method, method)


MethodName = Annotated[Text, AfterValidator(PluginChoices(METHOD_PLUGINS, METHODS).check)]
