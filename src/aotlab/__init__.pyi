from .engine.tracking.interfaces import VideoTracker as VideoTracker
from .engine.tracking.overlap import OverlapTracker as OverlapTracker
from .engine.tracking.options import TrackerOptions as TrackerOptions
from .engine.tracking.prediction import Prediction as Prediction
from .engine.tracking.tracker import Tracker as Tracker
from .evaluation.label_scores import score_labels as score_labels
from .media.masks import read_mask as read_mask, write_mask as write_mask
from .media.overlay import draw_overlay as draw_overlay
from .media.prompt import Prompt as Prompt
from .networks.weights.zoo import list_models as list_models, load_model as load_model
from .utils.errors import InputError as InputError

__all__: list[str]
__version__: str
