from aotlab.engine.tracking.options import TrackerOptions as TrackerOptions
from aotlab.engine.tracking.prediction import Prediction as Prediction
from aotlab.engine.tracking.tracker import Tracker as Tracker
from aotlab.media.masks import read_mask as read_mask, write_mask as write_mask
from aotlab.media.overlay import draw_overlay as draw_overlay
from aotlab.media.prompt import Prompt as Prompt
from aotlab.media.video import open_frames as open_frames
from aotlab.networks.weights.zoo import list_models as list_models, load_model as load_model
from aotlab.utils.errors import InputError as InputError
from aotlab.video.job import Job as Job
from aotlab.video.run import run_job as run_job
from aotlab.video.track import JobOptions as JobOptions, track as track

__version__: str
