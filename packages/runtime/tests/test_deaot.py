"""DeAOT in packages/runtime/examples/aot.py beside PyTorch."""

import numpy as np
import torch

from aotlab.engine.tracking.tracker import Tracker
from aotlab.export.graphs import build_graphs
from aotlab_runtime import Graphs
from aotlab_testing.small_model import HEIGHT, WIDTH, build, draw_texture
from runtime.examples import aot
from runtime.tests.exports import FIFO, MASKS


class TorchGraphs(Graphs):
    """Graphs of a model before their conversion to ONNX."""

    def __init__(self, model, config):
        self.network_size = HEIGHT, WIDTH
        self.max_objects, self.temperature = config.model.max_objects, 1.0
        self._graphs = build_graphs(model, self.network_size, config.memory)

    def run(self, name, tensors):
        graph = self._graphs[name]
        with torch.inference_mode():
            results = graph(*(torch.from_numpy(tensors[key]) for key in graph.inputs))
        return {key: result.numpy() for key, result in zip(graph.outputs, results, strict=True)}


def test_deaot_in_numpy_tracks_as_pytorch():
    model, config = build("deaott", "model.stages.0.depth=2", *FIFO)
    tracker, frames = Tracker(model, config), draw_texture(3)
    tracker.step(frames[0], MASKS[0])
    w = {name: parameter.numpy() for name, parameter in model.state_dict().items()}
    graphs = TorchGraphs(model, config)
    predictions = aot.track(graphs, w, frames, MASKS[0], aot.run_deaot, aot.memorize_deaot, every=1)
    for frame, prediction in zip(frames[1:], predictions, strict=True):
        expected = tracker.step(frame)
        difference = np.abs(prediction.logits - expected.logits.numpy()).max()
        assert difference <= 1e-3 * float(expected.logits.std())  # float32 sums in another order
        assert np.unique(prediction.labels).size > 1
