"""Names for plug-ins, integrations and programs on top of aotlab, beyond `aotlab` itself; as stable as `aotlab`.

``sdk.pyi`` lists them; they are imported when first asked for: a command that parses its options loads no NumPy, and
a plug-in needs only the libraries that it uses. Only names of models, memory policies, trackers, devices and training
load PyTorch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__package__, __file__)
