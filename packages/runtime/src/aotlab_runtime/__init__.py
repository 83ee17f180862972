"""Video object tracking with exported aotlab models: numpy and onnxruntime, no PyTorch."""

from aotlab_runtime.errors import InputError
from aotlab_runtime.graphs import Graphs
from aotlab_runtime.inputs import Prompt
from aotlab_runtime.prediction import Prediction
from aotlab_runtime.tracker import Tracker

__version__ = "0.3.0"
__all__ = ["Graphs", "InputError", "Prediction", "Prompt", "Tracker"]
