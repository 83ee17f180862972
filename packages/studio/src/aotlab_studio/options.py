"""Options of the mask formats, in a module that imports none of them."""

from aotlab_video import OutputOption

CVAT = (OutputOption("polygons", "tracks of polygons, whose holes are filled, instead of masks"),)
