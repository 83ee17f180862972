from .configs.methods import AOTStage as AOTStage, DeAOTStage as DeAOTStage, Method as Method, Stage as Stage
from .configs.load import load_config as load_config
from .configs.plugins import load_plugins as load_plugins
from .configs.schema import MemoryConfig as MemoryConfig, ModelConfig as ModelConfig
from .configs.settings import Settings as Settings, changed as changed
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
from .media.annotations import MaskWriter as MaskWriter, find_mask_writer as find_mask_writer
from .media.frames import FrameSource as FrameSource
from .media.images import DECODER_ERRORS as DECODER_ERRORS, decode_image as decode_image
from .media.plates import ColorTags as ColorTags, Plate as Plate
from .media.frame_prompts import FramePrompt as FramePrompt
from .runs.store import Results as Results, TrackedFrame as TrackedFrame, has_results as has_results
from .media.names import natural_sort as natural_sort
from .media.matching import (
    require_different_images as require_different_images,
    require_same_frame as require_same_frame,
    select_video as select_video,
)
from .media.reading import read_mask_image as read_mask_image
from .media.regions import (
    Annotations as Annotations,
    ObjectClasses as ObjectClasses,
    AttributeTable as AttributeTable,
    GroupKey as GroupKey,
    ParsedFile as ParsedFile,
    ParsedRegion as ParsedRegion,
    Region as Region,
    VideoInfo as VideoInfo,
)
from .media.value_syntax import MaskFormat as MaskFormat
from .media.timecode import Timecode as Timecode
from .media.video_writer import VideoEncoding as VideoEncoding, VideoWriter as VideoWriter
from .media.rle import (
    decode_rle as decode_rle,
    encode_rle as encode_rle,
    fill_polygons as fill_polygons,
    parse_rle as parse_rle,
)
from .media.coco import require_size as require_size
from .media.region_matching import match_regions as match_regions
from .media.region_parser import RegionParser as RegionParser
from .networks.attention import sine_position as sine_position
from .networks.aot import AOT as AOT, LSTTBlock as LSTTBlock, LSTTState as LSTTState
from .networks.deaot import DeAOT as DeAOT, GPMBlock as GPMBlock, GPMState as GPMState
from .networks.encoders import Encoder as Encoder
from .networks.fast.optimize import resolve_precision as resolve_precision
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
    MALFORMED as MALFORMED,
    atomic_path as atomic_path,
    cache_folder as cache_folder,
    reading as reading,
)
from .media.plugins import list_mask_formats as list_mask_formats
from .engine.training.logs import ScalarLog as ScalarLog
from .engine.training.losses import FrameOutputs as FrameOutputs
from .engine.training.listener import StepResult as StepResult, TrainingListener as TrainingListener
from .runs.inputs import read_annotations as read_annotations
from .runs.output import Output as Output, OutputContext as OutputContext
from .runs.output_options import OutputOption as OutputOption
from .runs.outputs import make_output as make_output
from .runs.result import TrackResult as TrackResult

__all__: list[str]
