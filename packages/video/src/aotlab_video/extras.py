"""Libraries of videos and of images of more than 8 bits."""

from aotlab.utils.errors import EXTRAS

LIBRARIES = {
    "av": "./packages/video",
    "tifffile": "./packages/video[images]",
    "imagecodecs": "./packages/video[images]",
    "OpenEXR": "./packages/video[images]",
    "PyOpenColorIO": "./packages/video[ocio]",
}
"""Modules, and what pip installs for them."""
EXTRAS.update(LIBRARIES)
