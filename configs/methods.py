"""Methods: the settings of their stages, and what else depends on the method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, cast

from aotlab.configs.training import Width
from aotlab.utils.errors import require
from aotlab.utils.numbers import Range
from aotlab.utils.plugins import METHOD_PLUGINS, PluginChoices, find_plugin, require_call

STRIDES = (16, 8, 4)
Dim = Annotated[int, Range(16, 2**16, step=16)]
"""Width of embeddings."""
TemporalSlots = Annotated[int, Range(0, 2**16)]


def require_odd(window: int, path: str) -> None:
    """Raise InputError unless a window has an odd side of at most 1001; ``path`` names the setting."""
    require(window in range(1, 1002, 2), f"{path} must be odd, 1 to 1001, got {window}")


def require_odd_or_0(window: int, path: str) -> None:
    """Raise InputError unless a window is 0 or has an odd side of at most 1001; ``path`` names the setting."""
    require(window == 0 or window in range(1, 1002, 2), f"{path} must be odd or 0, up to 1001, got {window}")


@dataclass(frozen=True)
class Stage:
    """Consecutive propagation blocks at one stride, or a refinement of features without blocks."""

    stride: Annotated[int, STRIDES] = 16
    """Pixels per token."""
    depth: Annotated[int, Range(0, 1000)] = 1
    """Number of blocks; only the last stage may have 0, and then refines the output of the previous one."""
    drop_path: Annotated[float, Range(0, 1, exclusive_high=True)] = 0.1
    """Probability that training drops a residual branch, per sample."""

    @property
    def memory_stride(self) -> int:
        """Long-term memory keeps every n-th token along both axes: all, except in methods with this setting."""
        return 1


@dataclass(frozen=True)
class HeadedStage(Stage):
    """Stage of blocks with attention heads and feed-forward layers."""

    heads: Width = 8
    """Attention heads."""
    feedforward: Annotated[int, Range(32, 2**20, step=32)] = 1024
    """Hidden width of the feed-forward layers."""


@dataclass(frozen=True)
class PyramidStage(Stage):
    """Stage of a model with stages of several strides."""

    dim: Dim | None = None
    """Width of the embeddings, or of each of two branches; null means model.dim."""
    memory_stride: Width = 1
    """Long-term memory keeps every n-th token along both axes."""
    identity_stride: Annotated[int, STRIDES] | None = None
    """Pixels per patch of the identity bank, whose embeddings are repeated to the stage's tokens; null means stride."""


@dataclass(frozen=True)
class AOTStage(HeadedStage):
    """Stage of `aot`."""

    window: Annotated[int, require_odd_or_0] = 15
    """Side of the short-term attention window in tokens, odd, at most 1001; 0 turns short-term attention off (an
    ablation of AOT)."""
    sine_position: bool = True
    """Add a sine position embedding in self-attention."""
    relative_position: bool = True
    """Add relative positions in short-term attention."""


@dataclass(frozen=True)
class RMemAOTStage(HeadedStage):
    """Stage of `aot_rmem`."""

    temporal_slots: TemporalSlots = 0
    """Positions of the temporal embedding of long-term memory (RMem has 4); 0 means no temporal embedding."""


@dataclass(frozen=True)
class DeAOTStage(Stage):
    """Stage of `deaot`."""

    window: Annotated[int, require_odd] = 15
    """Side of the short-term attention window in tokens, odd, at most 1001."""


@dataclass(frozen=True)
class RMemDeAOTStage(DeAOTStage):
    """Stage of `deaot_rmem`."""

    temporal_slots: TemporalSlots = 0
    """Positions of the temporal embedding of long-term memory (RMem has 4); 0 means no temporal embedding."""


@dataclass(frozen=True)
class MSDeAOTStage(PyramidStage, DeAOTStage):
    """Stage of `msdeaot`."""


@dataclass(frozen=True)
class ScaledKeysStage(HeadedStage):
    """Stage of AOST's blocks, whose identities scale keys."""

    window: Annotated[int, require_odd] = 15
    """Side of the short-term attention window in tokens, odd, at most 1001."""
    self_heads: Width | None = None
    """Heads of self-attention; null means heads."""
    self_stride: Width = 1
    """Self-attention reads every n-th token, in row order."""


@dataclass(frozen=True)
class AOSTStage(ScaledKeysStage):
    """Stage of `aost`."""

    shared: bool = False
    """Apply one block `depth` times, each time with its own memory, and decode only the last output."""


@dataclass(frozen=True)
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


def find_method(name: str, path: str = "model.method") -> Method:
    """Return a method by its name, that of a plug-in if it is not built in; ``path`` names the setting in messages.

    Raises:
        InputError: unknown method, or a plug-in's that is not a `Method` with a model.
    """
    PluginChoices(METHOD_PLUGINS, METHODS)(name, path)
    if name in METHODS:
        return METHODS[name]
    method = find_plugin(METHOD_PLUGINS, name)
    usable = isinstance(method, Method) and method.model is not None
    require(usable, "its plug-in does not offer a Method with a model", subject=f"{path} {name}")
    require_call(method.model, ("config",))
    return cast(Method, method)
