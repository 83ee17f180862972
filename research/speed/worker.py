"""Process that times one setting: a frame or a training step for every line that it reads.

`research.speed.compare` starts this file with a checkout's ``src`` first on ``PYTHONPATH``, so it uses few names.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aotlab import InputError, Tracker
from aotlab.export.synthetic_clip import draw_clip
from aotlab.networks.weights.checkpoints import build_or_load, read_settings
from aotlab.utils.devices import autocast, pick_device

WARM_UP = 3
"""Untimed frames after the reference frame."""
CLIP_LENGTH = 4
"""Frames that are drawn and repeated."""
PEERS = ("edgetam", "sam2_tiny", "cutie_small", "cutie_base")
"""Trackers of other projects, see peers.py; also those whose names begin with `AUTHORS`."""
AUTHORS = "authors:"
"""Beginning of the name of a preset that the authors' own code runs."""
OBJECTS, PATCH = 2, 16
"""Objects of a training clip, and the side in pixels of its squares of one label."""


def make_tracker(setting: dict[str, Any], *, optimize: bool) -> Any:
    """Return the tracker of a setting; see `Tracker` for ``optimize``, which is for those of aotlab."""
    if setting["config"] in PEERS or str(setting["config"]).startswith(AUTHORS):
        from peers import build_tracker  # beside this file, which is on the path

        precision = dict(text.split("=") for text in setting["overrides"])["compute.precision"]
        return build_tracker(setting["config"], setting["device"], precision)
    checkpoint = setting["checkpoint"] and Path(setting["checkpoint"])
    model, config = build_or_load(checkpoint, config=setting["config"], overrides=setting["overrides"])
    return Tracker(model, config, device=setting["device"], optimize=optimize)


def prepare_tracking(setting: dict[str, Any], *, optimize: bool = True) -> Callable[[], object]:
    """Track to the first timed frame; return a function that tracks one more. See `Tracker` for ``optimize``."""
    tracker = make_tracker(setting, optimize=optimize)
    width, height = setting["size"]
    frames = list(draw_clip(CLIP_LENGTH, height, width, seed=0)[0])
    stripes = np.arange(width) * (setting["objects"] + 1) // width
    tracker.step(frames[0], np.broadcast_to(stripes, (height, width)))
    index = 0

    def track_frame() -> object:
        nonlocal index
        index += 1
        return tracker.step(frames[1 + index % (CLIP_LENGTH - 1)])

    for _ in range(max(WARM_UP, setting["at_frame"])):
        track_frame()
    return track_frame


def prepare_training(setting: dict[str, Any]) -> Callable[[], object]:
    """Run one step on drawn clips; return a function that runs another."""
    from aotlab.engine.training.build import build_training_model
    from aotlab.engine.training.clip import ClipBatch, ClipModule, ClipOptions, draw_permutations

    config = read_settings(None, config=setting["config"], overrides=setting["overrides"])
    device = pick_device(setting["device"])
    model = build_training_model(config, device).train()
    clip_module = ClipModule(model, config.memory)
    optimizer = torch.optim.AdamW((x for x in model.parameters() if x.requires_grad), lr=1e-5)
    generator = torch.Generator().manual_seed(0)
    clips, frames, crop = setting["train"]
    squares = -(-crop // PATCH)
    labels = torch.randint(OBJECTS + 1, (frames, clips, squares, squares), generator=generator)
    labels = labels.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)[..., :crop, :crop].contiguous()
    images = torch.rand(frames, clips, 3, crop, crop, generator=generator)
    batch = ClipBatch(images.to(device), labels.to(device), [OBJECTS] * clips)
    permutations = draw_permutations(clips, config.model.max_objects, generator).to(device)
    plan = ClipOptions(permutations, crop**2, use_predictions=True)

    def run_step() -> object:
        optimizer.zero_grad(set_to_none=True)
        with autocast(device, config.train.precision):
            loss, _ = clip_module(batch, plan)
        loss.backward()
        optimizer.step()
        return loss.item()

    run_step()
    return run_step


def main() -> None:
    """Read a setting as JSON, then time one call per line; print its seconds and the peak of memory in bytes."""
    argparse.ArgumentParser("worker.py", description=__doc__).parse_args()
    setting = json.loads(sys.stdin.readline())
    torch.set_num_threads(setting["threads"] or torch.get_num_threads())
    clock = time.process_time if setting["clock"] == "cpu" else time.perf_counter
    try:
        prepare = prepare_training if setting["train"] else prepare_tracking
        run = prepare(setting)
    except (ImportError, InputError) as error:
        sys.exit(f"error: {error}")
    on_gpu = setting["device"].startswith("cuda")
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = clock()
        run()
        if on_gpu:
            torch.cuda.synchronize()
        seconds = clock() - begin
        kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(seconds, torch.cuda.max_memory_allocated() if on_gpu else kibibytes * 1024, flush=True)


if __name__ == "__main__":
    main()
