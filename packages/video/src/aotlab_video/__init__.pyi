from .masks.annotations import MaskWriter as MaskWriter, find_mask_writer as find_mask_writer
from .masks.coco import (
    require_size as require_size,
    OBJECT_KEYS as OBJECT_KEYS,
    read_object_key as read_object_key,
    format_coco as format_coco,
    parse_attributes as parse_attributes,
    parse_coco as parse_coco,
    compress_rle as compress_rle,
)
from .masks.json_values import (
    Fields as Fields,
    Id as Id,
    Items as Items,
    JsonBox as JsonBox,
    Number as Number,
    Point as Point,
    Text as Text,
)
from .masks.frame_prompts import FramePrompt as FramePrompt
from .masks.mask_images import MASK_SUFFIXES as MASK_SUFFIXES
from .masks.mask_pages import list_pages as list_pages
from .masks.matching import (
    require_different_images as require_different_images,
    require_same_frame as require_same_frame,
    select_video as select_video,
)
from .masks.reading import read_mask_image as read_mask_image
from .masks.region_matching import match_regions as match_regions
from .masks.region_parser import RegionParser as RegionParser
from .masks.regions import (
    Annotations as Annotations,
    ObjectClasses as ObjectClasses,
    AttributeTable as AttributeTable,
    GroupKey as GroupKey,
    ParsedFile as ParsedFile,
    ParsedRegion as ParsedRegion,
    Region as Region,
    VideoInfo as VideoInfo,
    VOID_NAME as VOID_NAME,
    add_class_ids as add_class_ids,
)
from .masks.value_syntax import (
    MaskFormat as MaskFormat,
    FORMAT_OPTION as FORMAT_OPTION,
    START_NUMBER_OPTION as START_NUMBER_OPTION,
)
from .plugins import list_mask_formats as list_mask_formats
from .runs.built_in_outputs import LostObjects as LostObjects
from .runs.classes import CLASSES as CLASSES, merge_class_ids as merge_class_ids, read_class_ids as read_class_ids
from .runs.inputs import read_annotations as read_annotations, load_masks as load_masks, require_ids as require_ids
from .runs.job import Job as Job, RunOptions as RunOptions
from .runs.job_list import find_class_variants as find_class_variants, list_videos as list_videos
from .runs.lists import list_job_folders as list_job_folders
from .runs.merging import (
    ObjectProbabilities as ObjectProbabilities,
    PredictionFile as PredictionFile,
    merge_predictions as merge_predictions,
)
from .runs.output import Output as Output, OutputContext as OutputContext
from .runs.output_options import (
    OutputOption as OutputOption,
    NO_OPTIONS as NO_OPTIONS,
    list_output_options as list_output_options,
    parse_output_options as parse_output_options,
    select_options as select_options,
)
from .runs.outputs import make_output as make_output, list_outputs as list_outputs
from .runs.result import TrackResult as TrackResult
from .runs.run import run_job as run_job, track as track
from .runs.store import (
    Results as Results,
    TrackedFrame as TrackedFrame,
    has_results as has_results,
    SOFT as SOFT,
    STATE_FILE as STATE_FILE,
    describe_frame as describe_frame,
    list_patterns as list_patterns,
    quantize_probabilities as quantize_probabilities,
    write_soft as write_soft,
)
from .runs.views import render as render
from .sources.decoding import (
    apply_display_matrix as apply_display_matrix,
    is_gray as is_gray,
    is_rgb as is_rgb,
    to_deep_rgb as to_deep_rgb,
)
from .sources.exr import (
    PRIMARIES as PRIMARIES,
    read_window as read_window,
    move_window as move_window,
    read_exr_colors as read_exr_colors,
    read_exr_header as read_exr_header,
)
from .sources.frames import FrameSource as FrameSource, store_frame as store_frame
from .sources.high_bit_depth import detect_image_kind as detect_image_kind
from .sources.levels import encode_srgb as encode_srgb
from .sources.plates import (
    ColorTags as ColorTags,
    Plate as Plate,
    BT709 as BT709,
    ImagePlate as ImagePlate,
    VideoPlate as VideoPlate,
)
from .sources.source_options import SourceOptions as SourceOptions, parse_source_options as parse_source_options
from .sources.timecode import Timecode as Timecode
from .sources.video import (
    open_frames as open_frames,
    VideoFrames as VideoFrames,
    VideoReader as VideoReader,
    digest_video as digest_video,
)
from .sources.video_writer import VideoEncoding as VideoEncoding, VideoWriter as VideoWriter

__all__: list[str]
