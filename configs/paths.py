"""Paths in settings: the same file from whatever folder a program is started."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""the checkout, or the installed package: the folder of configs/ and pretrain_models/"""
BUNDLED = "bundled"
"""stands in a setting for the weights that come with the package"""
BUNDLED_CHECKPOINT = ROOT / "pretrain_models" / "aott_mini.safetensors"
"""the model that ships with the project"""


def setting_path(text: str) -> Path:
    """The path that a setting names: ``bundled``, or a path from the working directory.

    A relative one that leads nowhere from there is looked for in the folder of the project: recipes say
    ``pretrain_models/x.pth``.
    """
    if text == BUNDLED:
        return BUNDLED_CHECKPOINT
    path = Path(text).expanduser()
    beside = ROOT / path
    return beside if not path.exists() and beside.exists() else path
