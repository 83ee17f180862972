"""Paths in settings, independent of the working directory."""

from __future__ import annotations

from pathlib import Path

from aotlab.utils.files import expand_home

ROOT = Path(__file__).resolve().parents[1]
"""root of the checkout or the installed package: the folder that holds configs/ and pretrain_models/"""
BUNDLED = "bundled"
"""value of a setting for the weights that ship with the package"""
BUNDLED_CHECKPOINT = ROOT / "pretrain_models" / "aott_mini.safetensors"
"""checkpoint that ships with the project"""


def setting_path(text: str) -> Path:
    """Resolve the path in a setting: ``bundled``, or a path relative to the working directory.

    If no such file exists, it is looked up below the project's root; recipes write ``pretrain_models/x.pth``.
    """
    if text == BUNDLED:
        return BUNDLED_CHECKPOINT
    path = expand_home(text)
    beside = ROOT / path
    return beside if not path.exists() and beside.exists() else path
