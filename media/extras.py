"""Optional libraries of videos and of images of more than 8 bits."""

from aotlab.utils.errors import EXTRAS

LIBRARIES = {
    "av": "aotlab[video]",
    "tifffile": "aotlab[images]",
    "imagecodecs": "aotlab[images]",
    "OpenEXR": "aotlab[images]",
    "PyOpenColorIO": "aotlab[ocio]",
}
"""Modules, and what pip installs for them."""
EXTRAS.update(LIBRARIES)
