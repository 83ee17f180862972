"""Trackers of a small export and of its model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aotlab.engine.export.graphs import PROMPTING, build_prompt_graph
from runtime.tests.exports import RESTRICTED, make


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Folder and trackers of an export. Its prompt graph runs in PyTorch: its conversion is the longest."""
    folder = tmp_path_factory.mktemp("exports") / "aott"
    runtime, plain = make(folder, "aott", "model.prompt_blocks=1", *RESTRICTED, prompts=False)
    prompt, run = build_prompt_graph(plain.model), runtime.graphs.run

    def run_graph(name, tensors):
        if name != "prompt":
            return run(name, tensors)
        with torch.inference_mode():
            results = prompt(*(torch.from_numpy(np.ascontiguousarray(tensors[key])) for key in prompt.inputs))
        return {key: result.numpy() for key, result in zip(prompt.outputs, results, strict=True)}

    runtime.graphs.run, runtime.graphs.prompting = run_graph, PROMPTING
    return folder, runtime, plain


@pytest.fixture(params=["aotlab_runtime", "aotlab"])
def tracker(request, exported):
    _, runtime, plain = exported
    return (runtime if request.param == "aotlab_runtime" else plain).fresh()
