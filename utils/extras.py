"""Optional dependencies by extra: ``pip install 'aotlab[video]'``."""

from __future__ import annotations

import re
from importlib.util import find_spec

from aotlab.utils.errors import InputError

PACKAGE = "aotlab"
MODULES = {"opencv-python-headless": "cv2", "vot-trax": "trax"}
"""module names that differ from their distribution"""
TOGETHER = ("all", "docs", "test")
"""extras that combine others"""


def require_extra(extra: str) -> None:
    """Check that the libraries of an extra are installed; raises `InputError` if a library is missing."""
    missing = [module for module in libraries().get(extra, ()) if find_spec(module) is None]
    if missing:
        raise InputError(_sentence(" and ".join(missing), extra))


def missing_extra(module: str) -> str | None:
    """Return the sentence for a missing module, or None if no extra provides it."""
    top = module.split(".")[0]
    extras = [extra for extra, modules in libraries().items() if top in modules]
    return _sentence(top, extras[0]) if extras else None


def libraries() -> dict[str, tuple[str, ...]]:
    """Return the modules of every extra from the metadata of the installed package."""
    from importlib import metadata  # slow to import

    try:
        stated = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:  # a checkout that was not installed
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for line in stated:
        match = re.match(r"""([A-Za-z0-9._-]+).*extra == ['"]([A-Za-z0-9_-]+)['"]""", line)
        if match is not None and match[2] not in TOGETHER:
            module = MODULES.get(match[1], match[1])
            found[match[2]] = (*found.get(match[2], ()), module)
    return found


def _sentence(missing: str, extra: str) -> str:
    return f"{missing} must be installed for this; pip install '{PACKAGE}[{extra}]'"
