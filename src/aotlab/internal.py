"""Names for aotlab-studio and aotlab-compositing, of the same version as aotlab; any release may change them.

``internal.pyi`` lists them; they are imported like those of `aotlab.sdk`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__package__, __file__)
