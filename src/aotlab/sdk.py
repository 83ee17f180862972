"""Names for plug-ins, integrations and programs on top of aotlab, beyond `aotlab` itself, and as stable.

``sdk.pyi`` lists them; they are imported when first asked for: a command that parses its options loads no NumPy, and
a plug-in needs the libraries of the names that it uses only. None of them loads PyTorch.
"""

from __future__ import annotations

from typing import Any

from aotlab import _import_name, _read_stub


def __getattr__(name: str) -> Any:
    """Import a name from the module that the stub names."""
    return _import_name(name, __name__, __file__)


def __dir__() -> list[str]:
    return sorted({*globals(), *_read_stub(__file__)})
