"""Video object segmentation with AOT, DeAOT, MSDeAOT, PAOT and AOST: ``from aotlab import Tracker``.

``__init__.pyi`` lists the public names. They are imported when they are first asked for, so that ``import aotlab``
loads no PyTorch. `aotlab.sdk` has the names for plug-ins and programs on top of these.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import Any

__version__ = "0.3.0"


def __getattr__(name: str) -> Any:
    """Import a public name from the module that the stub names."""
    return _import_name(name, __name__, __file__)


def __dir__() -> list[str]:
    return sorted({*globals(), *_read_stub(__file__)})


def _import_name(name: str, package: str, file: str) -> Any:
    """Import a name of the stub beside ``file``, or return ``__all__``; raise `AttributeError` for an unknown name."""
    homes = _read_stub(file)
    if name == "__all__":
        return [*homes]
    if name not in homes:
        raise AttributeError(f"module {package!r} has no attribute {name!r}; it has {', '.join(homes)}")
    return getattr(importlib.import_module(homes[name]), name)


@cache
def _read_stub(file: str) -> dict[str, str]:
    """Return the module of each name that the stub beside a file imports: the only table of public names."""
    import ast

    with open(f"{os.path.splitext(file)[0]}.pyi", encoding="utf-8") as stub:
        imports = [node for node in ast.parse(stub.read()).body if isinstance(node, ast.ImportFrom)]
    return dict(sorted((alias.name, str(node.module)) for node in imports for alias in node.names))
