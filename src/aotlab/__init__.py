"""Video object segmentation with AOT, DeAOT, MSDeAOT and AOST: ``from aotlab import Tracker``.

The public names are resolved when they are first asked for, so that ``import aotlab`` loads no PyTorch, and neither
does a program that only scores masks (`aotlab.evaluation`).
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aotlab.engine.prediction import Prediction
    from aotlab.engine.tracker import Tracker
    from aotlab.engine.video.detections import to_detections
    from aotlab.engine.video.tracking import track
    from aotlab.media.masks import read_mask, write_mask
    from aotlab.media.overlay import draw_overlay
    from aotlab.media.prompt import Prompt
    from aotlab.media.video import open_frames
    from aotlab.networks.weights.zoo import load_model as load_model
    from aotlab.utils.errors import InputError

__version__ = "0.2.0"

# src/aotlab links to the folders at the top of the repository; a checkout without symbolic links finds them there
_checkout = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if not os.path.isdir(f"{__path__[0]}/utils") and os.path.isfile(f"{_checkout}/pyproject.toml"):
    __path__.append(_checkout)

_HOMES = {
    "InputError": ("aotlab.utils.errors", "InputError"),
    "Prediction": ("aotlab.engine.prediction", "Prediction"),
    "Prompt": ("aotlab.media.prompt", "Prompt"),
    "Tracker": ("aotlab.engine.tracker", "Tracker"),
    "draw_overlay": ("aotlab.media.overlay", "draw_overlay"),
    "load_model": ("aotlab.networks.weights.zoo", "load_model"),
    "open_frames": ("aotlab.media.video", "open_frames"),
    "read_mask": ("aotlab.media.masks", "read_mask"),
    "to_detections": ("aotlab.engine.video.detections", "to_detections"),
    "track": ("aotlab.engine.video.tracking", "track"),
    "write_mask": ("aotlab.media.masks", "write_mask"),
}
"""public name to the module that owns it and its name there"""

__all__ = [
    "InputError",
    "Prediction",
    "Prompt",
    "Tracker",
    "__version__",
    "draw_overlay",
    "load_model",
    "open_frames",
    "read_mask",
    "to_detections",
    "track",
    "write_mask",
]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that owns it.

    Raises:
        AttributeError: unknown name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'aotlab' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
