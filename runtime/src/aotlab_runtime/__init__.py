"""Video object tracking with exported aotlab models: numpy and onnxruntime, no PyTorch."""

from aotlab_runtime.inputs import InputError, Prompt
from aotlab_runtime.tracker import Prediction, Tracker

__all__ = ["InputError", "Prediction", "Prompt", "Tracker"]
