"""The commands there are."""

from __future__ import annotations

COMMANDS = {
    "track": "track objects in a video",
    "mask": "make a mask of one picture from boxes and points",
    "annotate": "draw, track and correct masks in the browser",
    "eval": "run a model on a benchmark and score it",
    "score": "score folders of results",
    "submit": "pack results for a benchmark's server",
    "vot": "track for the VOT toolkit",
    "ensemble": "combine several sets of results by voting",
    "train": "train a model",
    "check_data": "look through a data set of your own before training",
    "convert_visor": "make a data set of VISOR's polygons and frames",
    "weights": "list, fetch and check the published checkpoints",
    "export": "write a model as ONNX graphs",
    "inspect_model": "parameters, FLOPs, identities and attention of a model",
    "table": "run a table of a paper",
}
"""tool in the folder above to what it does"""
