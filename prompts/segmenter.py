"""Interface of segmenters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from aotlab.masks.prompt import Prompt

Segmenter = Callable[[np.ndarray, Mapping[int, Prompt]], np.ndarray]
"""from a frame H×W×3 uint8 RGB and prompts by object id to H×W uint16 ids; `InputError` for a prompt outside"""
