"""From footage to masks on disk: ``from aotlab_video import open_frames, track``.

``__init__.pyi`` lists the public names. They are imported when they are first asked for, so that this package
loads neither NumPy nor PyAV.
"""

import lazy_loader

import aotlab_video.extras  # noqa: F401  # for messages about missing libraries

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
