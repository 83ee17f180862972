from .configs.methods import AOTStage as AOTStage, DeAOTStage as DeAOTStage, Method as Method, Stage as Stage
from .configs.load import load_config as load_config
from .configs.plugins import load_plugins as load_plugins
from .configs.schema import MemoryConfig as MemoryConfig, ModelConfig as ModelConfig
from .configs.settings import Settings as Settings, build as build
from .engine.tracking.inputs import prepare_inputs as prepare_inputs
from .engine.tracking.interfaces import (
    CutDetector as CutDetector,
    SoftEdgeTracker as SoftEdgeTracker,
    ResumableTracker as ResumableTracker,
    SegmentingTracker as SegmentingTracker,
    TrackerLoader as TrackerLoader,
)
from .engine.tracking.options import describe_tracker as describe_tracker
from .engine.hooks.hook import Hook as Hook
from .engine.memory.policies import Decision as Decision, MemoryPolicy as MemoryPolicy
from .engine.memory.relevance import FrameRelevance as FrameRelevance
from .dataloaders.labeled_video import ObjectInfo as ObjectInfo, Video as Video
from .dataloaders.sequences import read_video as read_video, read_videos as read_videos
from .evaluation.benchmark import Benchmark as Benchmark
from .prompting.load import describe_segmenter as describe_segmenter, load_segmenter as load_segmenter
from .prompting.segmenter import (
    PromptSegmenter as PromptSegmenter,
    check_prompts as check_prompts,
    convert_prompts as convert_prompts,
    require_pixels as require_pixels,
)
from .media.images import DECODER_ERRORS as DECODER_ERRORS, decode_image as decode_image
from .media.names import natural_sort as natural_sort
from .media.rle import (
    decode_rle as decode_rle,
    encode_rle as encode_rle,
    fill_polygons as fill_polygons,
    parse_rle as parse_rle,
)
from .networks.attention import sine_position as sine_position
from .networks.aot import AOT as AOT, LSTTBlock as LSTTBlock, LSTTState as LSTTState
from .networks.deaot import DeAOT as DeAOT, GPMBlock as GPMBlock, GPMState as GPMState
from .networks.encoders import Encoder as Encoder
from .networks.fast.optimize import resolve_precision as resolve_precision
from .networks.weights.published_keys import map_published_names as map_published_names
from .networks.weights.zoo import resolve_checkpoint as resolve_checkpoint
from .networks.model import (
    Block as Block,
    BlockMemory as BlockMemory,
    Features as Features,
    KeyValue as KeyValue,
    PropagatedFrame as PropagatedFrame,
    VOSModel as VOSModel,
)
from .tools.cli.command import command as command
from .utils.devices import autocast as autocast, pick_device as pick_device
from .utils.digests import InputDigests as InputDigests
from .utils.files import (
    atomic_path as atomic_path,
    cache_folder as cache_folder,
    reading as reading,
)
from .engine.training.logs import ScalarLog as ScalarLog
from .engine.training.losses import FrameOutputs as FrameOutputs
from .engine.training.listener import StepResult as StepResult, TrainingListener as TrainingListener

__all__: list[str]
