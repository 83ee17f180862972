"""Video object segmentation with AOT, DeAOT, MSDeAOT and AOST: ``from aotlab import Tracker``.

The public names are imported when they are first asked for, so that ``import aotlab`` loads no PyTorch; type checkers
read ``__init__.pyi``. `aotlab.sdk` has the names for plug-ins and programs on top of these.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.3.0"

# the packages are folders at the top of the repository: links beside this file lead there, but not in a zip archive or
# on Windows
_checkout = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if not os.path.isdir(f"{__path__[0]}/utils") and os.path.isfile(f"{_checkout}/pyproject.toml"):
    __path__.append(_checkout)

_HOMES = {
    "InputError": "aotlab.utils.errors",
    "Job": "aotlab.video.job",
    "Prediction": "aotlab.engine.tracking.prediction",
    "Prompt": "aotlab.media.prompt",
    "JobOptions": "aotlab.video.track",
    "Tracker": "aotlab.engine.tracking.tracker",
    "TrackerOptions": "aotlab.engine.tracking.options",
    "draw_overlay": "aotlab.media.overlay",
    "list_models": "aotlab.networks.weights.zoo",
    "load_model": "aotlab.networks.weights.zoo",
    "open_frames": "aotlab.media.video",
    "read_mask": "aotlab.media.masks",
    "run_job": "aotlab.video.job",
    "track": "aotlab.video.track",
    "write_mask": "aotlab.media.masks",
}
"""public name to the module that owns it"""
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that owns it."""
    return _import_name(name, __name__, _HOMES)


def _import_name(name: str, package: str, homes: dict[str, str]) -> Any:
    """Import a name from its home, ``module`` or ``module:name there``; raise `AttributeError` for an unknown name."""
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(homes)}")
    module, _, attribute = homes[name].partition(":")
    return getattr(importlib.import_module(module), attribute or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
