"""The tracker of one object with operations that onnxruntime has in every language: a template for ports.

It runs exports of the policy bounded_fifo with a ``short_term_lag`` of 1 and without ``max_stored``; the README of
aotlab-runtime names the files that have the other policies, groups of objects and prompts.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime

GRAPHS = "encode", "assign_identities", "reference", "propagate", "decode", "memorize"


def track(folder, frames, mask):
    """Yield the mask H×W of 0 and 1 of each frame H×W×3 uint8 RGB after the first, whose ``mask`` is given."""
    description = json.loads(Path(folder, "export.json").read_text("utf-8"))
    sessions = {name: onnxruntime.InferenceSession(Path(folder, f"{name}.onnx")) for name in GRAPHS}

    def run(name, tensors):
        inputs = {node.name: tensors[node.name] for node in sessions[name].get_inputs()}
        outputs = [node.name for node in sessions[name].get_outputs()]
        return dict(zip(outputs, sessions[name].run(outputs, inputs), strict=True))

    every, capacity = description["memory"]["every"], description["memory"]["frames"]
    capacity = min(capacity, 1 + description["memory"]["max_tracked"])
    ids = np.full(description["max_objects"], -1, np.int32)
    ids[0] = 1  # object 1 has the first identity; -1 marks unused ones
    identities = np.array([1], np.int32)
    long_term, short_term = [], {}  # keys and values of the stored frames, the first frame first; of the last frame
    for index, frame in enumerate(frames):
        features = run("encode", {"frame": frame})
        if index == 0:
            labels = mask.astype(np.int32)
            id_embeddings = run("assign_identities", {"labels": labels, "ids": ids})
            propagated = run("reference", features | id_embeddings)
        else:
            long = {name: np.concatenate([x[name] for x in long_term], axis=1) for name in long_term[0]}
            propagated = run("propagate", features | long | short_term)
            decoded = run("decode", features | propagated | {"frame": frame, "identities": identities})
            labels = decoded["logits"].argmax(0).astype(np.int32)
            yield labels
            id_embeddings = run("assign_identities", {"labels": labels, "ids": ids})
        memory = run("memorize", propagated | id_embeddings)
        short_term = {name: x for name, x in memory.items() if "_short_" in name}
        if index == 0 or (index % every == 0 and capacity > 1):
            if len(long_term) == capacity:
                del long_term[1]  # the oldest after the first
            long_term.append({name: x for name, x in memory.items() if "_long_" in name})
