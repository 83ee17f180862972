"""What is run, and its short way of writing: ``r50_aotl,memory.every=2,objects=10,slow=local_attention+norms``."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from aotlab.configs.training import PRECISIONS
from aotlab.utils.errors import InputError
from aotlab.utils.text import picture_size

CHECKPOINTS = (".safetensors", ".pth")
SLOW_NAMES = (
    "local_attention", "global_attention", "products", "norms", "groups", "memory", "planes", "argmax", "sync",
    "layout", "allocator",
)  # fmt: skip
"""parts that can run as the published code runs them, see `engine.speed.naive`"""
PRODUCTS = (
    "chosen", "fixed", "tuned",
    "plain", "matrices", "split", "onednn", "joined", "convolutions", "exportable",
)  # fmt: skip
"""how products are computed: by a rule, or all of them by a set of `networks.products`"""
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""what seconds are counted"""
SMALLEST = 16
"""least width and height of a frame in pixels"""


@dataclass(frozen=True)
class Setting:
    """A model and how it runs."""

    config: str | None = None
    """preset or YAML file; None: what the checkpoint says, or aott"""
    overrides: tuple[str, ...] = ()
    """``key=value`` settings of the config"""
    checkpoint: Path | None = None
    """weights; random ones when not given"""
    size: tuple[int, int] = (854, 480)
    """(width, height) of drawn frames"""
    video: Path | None = None
    """frames to read in place of drawn ones: a video file or a folder"""
    objects: int = 1
    frames: int = 20
    """how many are timed"""
    at_frame: int = 0
    """how many go before them, untimed; at least the ones to warm up do"""
    device: str = "cpu"
    precision: str = "float32"
    """all but float32: what autocast computes in"""
    compile: bool = False
    """encoder, blocks and decoder go through torch.compile"""
    slow: tuple[str, ...] = ()
    """names in `SLOW_NAMES`"""
    products: str = "chosen"
    """chosen (as AOTLAB_TUNE says), fixed, tuned (timed anew), or a set of `networks.products`"""
    clock: str = "wall"
    """wall, or cpu: the process's own seconds on all cores, for machines that are not quiet; best with one thread"""

    def __post_init__(self) -> None:
        """Raises InputError for a value that is out of range."""
        for name in ("objects", "frames"):
            number = getattr(self, name)
            _require(number >= 1, f"{name}: must be at least 1, got {number}")
        _require(self.at_frame >= 0, f"at_frame: must not be negative, got {self.at_frame}")
        width, height = self.size
        _require(
            min(self.size) >= SMALLEST,
            f"size: both sides must be at least {SMALLEST} pixels, got {width}x{height}",
        )
        known = ", ".join(PRECISIONS)
        _require(self.precision in PRECISIONS, f"precision: must be one of {known}, got {self.precision}")
        known = ", ".join(CLOCKS)
        _require(self.clock in CLOCKS, f"clock: must be one of {known}, got {self.clock}")
        known = ", ".join(PRODUCTS)
        _require(self.products in PRODUCTS, f"products: must be one of {known}, got {self.products}")
        unknown = [name for name in self.slow if name not in SLOW_NAMES]
        known = ", ".join(SLOW_NAMES)
        _require(not unknown, f"slow: must be all, or some of {known} joined by +, got {'+'.join(unknown)}")
        _require(
            not (self.compile and self.slow), "compile: does not go together with slow parts; leave one out"
        )

    @property
    def title(self) -> str:
        """The short way of writing it, without what is as usual."""
        parts = [self.config or str(self.checkpoint or "aott"), *self.overrides]
        usual, said = (
            Setting(),
            ["config", "overrides"] if self.config else ["config", "overrides", "checkpoint"],
        )
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in said and value != getattr(usual, field.name):
                parts.append(f"{field.name}={_written(field.name, value)}")
        return ",".join(parts)


def parse_setting(text: str, usual: Setting | None = None) -> Setting:
    """Read ``CONFIG,key=value,...``; what it does not say is as in ``usual``.

    A checkpoint that says what it is may stand in the place of CONFIG. Keys are the fields of `Setting`, and all others
    overrides of the config; a value may hold no comma.

    Raises:
        InputError: not of this form, or a value that does not fit.
    """
    name, *rest = (part.strip() for part in text.split(","))
    if not name or "=" in name:
        raise InputError(
            f"{text}: begins with no preset, YAML file or checkpoint; write for example aott,objects=10,slow=all"
        )
    weights = name.endswith(CHECKPOINTS)
    values: dict[str, Any] = {"config": None, "checkpoint": Path(name)} if weights else {"config": name}
    overrides = []
    for part in rest:
        key, equals, value = part.partition("=")
        if key in READERS and (equals or key == "compile"):
            try:
                values[key] = READERS[key](value or "true")
            except ValueError as error:
                raise InputError(f"{text}: {key}: {error}") from error
        elif equals:
            overrides.append(part)
        else:
            raise InputError(f"{text}: {part or 'an empty part'}: expected key=value behind the config")
    try:
        return replace(usual or Setting(), overrides=tuple(overrides), **values)
    except InputError as error:
        raise InputError(f"{text}: {error}") from error


def slow_names(text: str) -> tuple[str, ...]:
    """Names joined by "+", or "all"."""
    return tuple(SLOW_NAMES) if text == "all" else tuple(text.split("+"))


def _number(text: str) -> int:
    if not text.isdigit():
        raise ValueError(f"expected a whole number, got {text}")
    return int(text)


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"expected true or false, got {text}")
    return text == "true"


READERS: dict[str, Any] = {
    "checkpoint": Path, "size": picture_size, "video": Path, "objects": _number, "frames": _number,
    "at_frame": _number, "device": str, "precision": str, "compile": _switch, "slow": slow_names,
    "products": str, "clock": str,
}  # fmt: skip
"""what reads the value of each key"""


def _written(name: str, value: Any) -> str:
    """A value as `parse_setting` reads it."""
    if name == "slow":
        return "all" if value == tuple(SLOW_NAMES) else "+".join(value)
    if name == "size":
        return "{}x{}".format(*value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(message)
