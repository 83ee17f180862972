"""Video object segmentation with AOT, DeAOT, MSDeAOT, PAOT and AOST: ``from aotlab import Tracker``.

``__init__.pyi`` lists the public names. They are imported when they are first asked for, so that ``import aotlab``
loads no PyTorch. `aotlab.sdk` has the names for plug-ins and programs on top of these.
"""

import lazy_loader

__version__ = "0.3.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
