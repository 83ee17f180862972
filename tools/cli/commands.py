"""Commands of ``aotlab`` by module name, each with a line of help."""

from __future__ import annotations

COMMON = {
    "track": "track objects in a video",
    "annotate": "draw, track and correct masks in the browser",
    "mask": "make a mask of one image from boxes and points",
    "eval": "run a model on a benchmark and score it",
    "score": "score folders of results",
    "train": "train a model",
    "check_data": "check your own training data",
    "submit": "pack results for a benchmark's server",
    "export": "write a model as ONNX graphs",
    "weights": "list, download and check the published checkpoints",
}
"""commands shown first"""
MORE = {
    "convert": "convert masks from one format to another",
    "benchmark_prompts": "measure masks from boxes and simulated clicks",
    "train_prompts": "train masks from clicks and boxes",
    "ensemble": "combine several sets of results by voting",
    "inspect_model": "print or plot parameters, FLOPs, identities and attention of a model",
    "table": "run a table of a paper",
    "vot": "track for the VOT toolkit",
    "convert_visor": "convert VISOR's polygons and frames to a data set",
}
COMMANDS = {**COMMON, **MORE}
