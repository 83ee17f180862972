"""Video object tracking with exported aotlab models: numpy and onnxruntime, no PyTorch."""

from aotlab_runtime.inputs import InputError as InputError
from aotlab_runtime.inputs import Prompt as Prompt
from aotlab_runtime.tracker import Prediction as Prediction
from aotlab_runtime.tracker import Tracker as Tracker

__all__ = ["InputError", "Prediction", "Prompt", "Tracker"]
