"""`InputError`, and checks of frames and masks."""

from numbers import Integral
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

MAX_ID = 2**31 - 1
"""Largest object id, and largest number of frames."""


class InputError(ValueError):
    """Unusable input, described in one sentence."""


def require(condition: object, message: str) -> None:
    """Raise `InputError` unless the condition holds."""
    if not condition:
        raise InputError(message)


def shorten(value: object, length: int = 60) -> str:
    """Return a value as text in one line of at most ``length`` characters."""
    return " ".join(str(value).split())[:length]


def describe_error(error: Exception) -> str:
    """Return the message of another library's error in one line, with the name of its file."""
    if isinstance(error, OSError) and isinstance(error.filename, str | Path):
        return f"{Path(error.filename).name}: {error.strerror}"
    return f"missing {error}" if isinstance(error, KeyError) else shorten(error, 200)


def is_integer_between(value: object, low: int, high: int = MAX_ID) -> bool:
    """Return whether a value is an integer of Python or NumPy from ``low`` to ``high``; bool is not."""
    return isinstance(value, Integral) and not isinstance(value, bool) and low <= int(value) <= high


def to_array(name: str, value: ArrayLike) -> np.ndarray:
    """Convert a frame or mask to an array; raise `InputError` if that fails."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError, OSError) as error:  # ragged lists, tensors on a GPU
        message = f"{name}: expected an array, got {type(value).__name__} ({describe_error(error)})"
        raise InputError(message) from error


def check_frame(frame: ArrayLike, expected: tuple[int, ...] | None) -> np.ndarray:
    """Return a frame as an array H×W×3 uint8 RGB; ``expected``: shape of the video's frames, None before the first."""
    array = to_array("frame", frame)
    mode = getattr(frame, "mode", None)  # text for PIL images, a method of tensors
    is_rgb = mode == "RGB" or not isinstance(mode, str)
    require(is_rgb, f"frame: expected RGB, got an image of mode {mode}; call convert('RGB')")
    if not (array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8 and array.size):
        actual = f"{type(frame).__name__} ({array.dtype} of shape {array.shape})"
        raise InputError(f"frame: expected H×W×3 uint8 RGB, got {actual}")
    if expected and array.shape != expected:
        sizes = f"{array.shape[1]}×{array.shape[0]}, but the video began with {expected[1]}×{expected[0]}"
        raise InputError(f"frame: {sizes}; call reset() for a new video")
    return array


def check_mask(mask: ArrayLike, frame: np.ndarray) -> np.ndarray:
    """Return a frame's mask H×W, bool or integers, as int64; ``frame``: H×W×3."""
    array = to_array("mask", mask)
    if array.dtype.kind not in "biu" or array.shape != frame.shape[:2]:
        actual = f"{array.dtype} of shape {array.shape}"
        raise InputError(f"mask: expected integer object ids of shape {frame.shape[:2]}, got {actual}")
    low, high = array.min(), array.max()
    require(low >= 0 and high <= MAX_ID, f"mask: object ids must be 0 to {MAX_ID}, got {low} to {high}")
    return array.astype(np.int64)
