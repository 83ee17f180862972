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
    from aotlab.masks.prompt import Prompt
    from aotlab.networks.weights.zoo import load_model as load_model

__version__ = "0.2.0"
__all__ = ["Prediction", "Prompt", "Tracker", "__version__", "load_model", "to_detections"]

# src/aotlab links to the folders at the top of the repository; a checkout without symbolic links finds them there
_checkout = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if not os.path.isdir(f"{__path__[0]}/utils") and os.path.isfile(f"{_checkout}/pyproject.toml"):
    __path__.append(_checkout)

_HOMES = {
    "Tracker": ("aotlab.engine.tracker", "Tracker"),
    "Prediction": ("aotlab.engine.prediction", "Prediction"),
    "Prompt": ("aotlab.masks.prompt", "Prompt"),
    "to_detections": ("aotlab.engine.video.detections", "to_detections"),
    "load_model": ("aotlab.networks.weights.zoo", "load_model"),
}
"""public name to the module that owns it and its name there"""


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
