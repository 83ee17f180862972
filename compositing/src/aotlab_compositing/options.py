"""Options of the outputs, in a module that imports none of them."""

from aotlab.sdk import OutputOption

REFINE_EDGES = OutputOption("refine_edges", "follow the colors of the video near edges (extra edges)")
EDGE_BAND = OutputOption(
    "edge_band", "pixels outside the mask that --refine-edges estimates, at 480p", ("8", "4", "12", "16", "24", "32")
)
ALPHA = OutputOption("alpha", "colors of the video, or multiplied by alpha", ("straight", "premultiplied"))
PER_OBJECT = OutputOption("per_object", "a movie for each object")
NO_PLATE = OutputOption("no_plate", "only the layers of the objects")
COMPRESSION = OutputOption("compression", "dwaa is smaller and changes colors slightly", ("zip", "dwaa"))

MATTES = (REFINE_EDGES, EDGE_BAND)
IMAGES = (ALPHA, REFINE_EDGES, EDGE_BAND)
MOVIES = (PER_OBJECT, ALPHA, REFINE_EDGES, EDGE_BAND)
EXR = (NO_PLATE, COMPRESSION, REFINE_EDGES, EDGE_BAND)
