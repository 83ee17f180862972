"""Folders of results, as a run would leave them."""

import numpy as np

from aotlab_video.runs.store import Results, TrackedFrame


def make_frame(index, image, labels, confidence=None, **values):
    """A tracked frame named by its index."""
    confidence = {} if confidence is None else confidence
    values = {"name": f"{index:05d}", "frame": image, "labels": labels, "confidence": confidence} | values
    return TrackedFrame(index=index, **values)


def write_results(folder, count=1, *, size=(32, 32), labels=None, status="done", video="clip", **values):
    """Write the results of a video, with the same H×W object ids on each frame; return them."""
    labels = np.ones(size, np.uint8) if labels is None else labels
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(folder=folder, inputs={"video": {"name": video}}, **{"name": folder.name, **values})
    results.start()
    image = np.zeros((*labels.shape, 3), np.uint8)
    ids = [object_id for object_id in np.unique(labels).tolist() if object_id]
    for index in range(results.first_frame, results.first_frame + count):
        results.append(make_frame(index, image, labels, dict.fromkeys(ids, 1.0)))
    results.status = status
    results.save()
    return results
