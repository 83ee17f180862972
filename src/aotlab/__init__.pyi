from .engine.tracking.interfaces import VideoTracker as VideoTracker
from .engine.tracking.overlap import OverlapTracker as OverlapTracker
from .engine.tracking.options import TrackerOptions as TrackerOptions
from .engine.tracking.prediction import Prediction as Prediction
from .engine.tracking.tracker import Tracker as Tracker
from .evaluation.label_scores import score_labels as score_labels
from .media.masks import read_mask as read_mask, write_mask as write_mask
from .media.overlay import draw_overlay as draw_overlay
from .media.prompt import Prompt as Prompt
from .media.source_options import SourceOptions as SourceOptions
from .media.video import open_frames as open_frames
from .networks.weights.zoo import list_models as list_models, load_model as load_model
from .utils.errors import InputError as InputError
from .runs.job import Job as Job
from .runs.run import run_job as run_job, track as track
from .runs.views import render as render
from .runs.job import RunOptions as RunOptions

__all__: list[str]
__version__: str
