"""Options of the outputs, in a module that imports none of them."""

from aotlab_video import OutputOption

REFINE_EDGES = OutputOption("refine_edges", "follow the colors of the video near edges (extra edges)")
ALPHA = OutputOption("alpha", "colors of the video, or multiplied by alpha", ("straight", "premultiplied"))
PER_OBJECT = OutputOption("per_object", "a movie for each object")
NO_PLATE = OutputOption("no_plate", "only the layers of the objects")
COMPRESSION = OutputOption("compression", "dwaa is smaller and changes colors slightly", ("zip", "dwaa"))

MATTES = (REFINE_EDGES,)
IMAGES = (ALPHA, REFINE_EDGES)
MOVIES = (PER_OBJECT, ALPHA, REFINE_EDGES)
EXR = (NO_PLATE, COMPRESSION, REFINE_EDGES)
