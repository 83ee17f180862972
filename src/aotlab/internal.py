"""Names for aotlab-studio, which is released with aotlab in the same version; any release may change them.

``internal.pyi`` lists them; they are imported like those of `aotlab.sdk`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__package__, __file__)
