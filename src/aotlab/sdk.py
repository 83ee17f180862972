"""Names for plug-ins, integrations and programs on top of aotlab, beyond `aotlab` itself; as stable as `aotlab`.

``sdk.pyi`` lists them; they are imported when first asked for: a command that parses its options loads no NumPy, and
a plug-in needs only the libraries that it uses. Only names of models, memory policies, trackers, devices and training
load PyTorch.
"""

from typing import Any

import lazy_loader

from aotlab import require_not_moved

_import_name, __dir__, __all__ = lazy_loader.attach_stub(__package__, __file__)


def __getattr__(name: str) -> Any:
    require_not_moved(name)
    return _import_name(name)
