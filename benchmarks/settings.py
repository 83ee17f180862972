"""Settings of a run, written as ``r50_aotl,memory.every=2,objects=10,baseline=local_attention+norms``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aotlab.configs.training import PRECISIONS
from aotlab.networks.kernels import SETS
from aotlab.utils.errors import InputError
from aotlab.utils.text import size_text
from benchmarks.baseline import PARTS

CHECKPOINTS = (".safetensors", ".pth")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""sources of seconds"""
SMALLEST = 16
"""smallest width and height of a frame in pixels"""


@dataclass(frozen=True)
class Setting:
    """A model and how it runs."""

    title: str = "aott"
    """the text that was read"""
    config: str | None = "aott"
    """preset or YAML file; None: the checkpoint's"""
    checkpoint: Path | None = None
    """weights; None: random"""
    overrides: tuple[str, ...] = ()
    """``key=value`` settings of the config"""
    size: tuple[int, int] = (854, 480)
    """(width, height) of drawn frames in pixels"""
    video: Path | None = None
    """video file or folder of frames to read instead of drawn frames"""
    objects: int = 1
    frames: int = 20
    """timed frames"""
    at_frame: int = 0
    """untimed frames before them; a few for warming up come first anyway"""
    device: str = "cpu"
    precision: str = "float32"
    compile: bool = False
    """run encoder, blocks and decoder through torch.compile"""
    baseline: tuple[str, ...] = ()
    """parts that run as in the published code; names in `benchmarks.baseline.PARTS`"""
    kernels: str = "chosen"
    """chosen (by AOTLAB_TUNE), fixed, tuned (timed again), or a set of `aotlab.networks.kernels`"""
    clock: str = "wall"
    """wall, or cpu: the process's seconds on all cores, for busy machines; best with one thread"""

    def __post_init__(self) -> None:
        """Raises InputError for a value that is out of range."""
        for name in ("objects", "frames"):
            _require(getattr(self, name) >= 1, f"{name}: must be at least 1, got {getattr(self, name)}")
        _require(min(self.size) >= SMALLEST, f"size: both sides must be at least {SMALLEST} pixels")
        kernels = ("chosen", "fixed", "tuned", *SETS)
        for name, allowed in (("precision", PRECISIONS), ("clock", CLOCKS), ("kernels", kernels)):
            value = getattr(self, name)
            _require(value in allowed, f"{name}: must be one of {', '.join(allowed)}, got {value}")
        for name in self.baseline:
            known = ", ".join(PARTS)
            _require(name in PARTS, f"baseline: must be all, or some of {known} joined by +, got {name}")
        _require(not (self.compile and self.baseline), "compile: cannot be combined with baseline; omit one")


def parse_setting(text: str) -> Setting:
    """Read ``CONFIG,key=value,...``, where a checkpoint may stand for CONFIG and no value holds a comma.

    Keys are the fields of `Setting`; all others are settings of the config.

    Raises:
        InputError: another form, or a value out of range.
    """
    name, *rest = (part.strip() for part in text.split(","))
    if not name or "=" in name:
        raise InputError(
            f"{text}: starts with no preset, YAML file or checkpoint; write for example aott,objects=10"
        )
    is_file = name.endswith(CHECKPOINTS)
    values: dict[str, Any] = {"config": None, "checkpoint": Path(name)} if is_file else {"config": name}
    overrides = []
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"{text}: {part or 'empty part'}: expected key=value after the config")
        if key not in READERS:
            overrides.append(part)
            continue
        try:
            values[key] = READERS[key](value)
        except ValueError as error:
            raise InputError(f"{text}: {key}: {error}") from error
    try:
        return Setting(title=text, overrides=tuple(overrides), **values)
    except InputError as error:
        raise InputError(f"{text}: {error}") from error


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"expected a whole number, got {text}")
    return int(text)


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"expected true or false, got {text}")
    return text == "true"


def _parts(text: str) -> tuple[str, ...]:
    return tuple(PARTS) if text == "all" else tuple(text.split("+"))


READERS: dict[str, Any] = {
    "checkpoint": Path, "config": str, "size": size_text, "video": Path, "objects": _number, "frames": _number,
    "at_frame": _number, "device": str, "precision": str, "compile": _switch, "baseline": _parts, "kernels": str,
    "clock": str,
}  # fmt: skip
"""readers of the values, by key"""


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(message)
