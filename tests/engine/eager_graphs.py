"""Stand-ins of CUDA graphs that raise instead of falling back."""

from aotlab.networks.fast.graphs import EagerGraphs


class StrictGraphs(EagerGraphs):
    """Raises if something cannot be recorded."""

    def fall_back(self, error):
        raise error


def attach_eager_graphs(model, setting, device):
    """Replace `attach_graphs`."""
    model.graphs = StrictGraphs(device)
