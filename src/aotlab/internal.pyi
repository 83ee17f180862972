from .media.coco import (
    OBJECT_KEYS as OBJECT_KEYS,
    read_object_key as read_object_key,
    format_coco as format_coco,
    parse_attributes as parse_attributes,
    parse_coco as parse_coco,
    parse_ids as parse_ids,
    compress_rle as compress_rle,
)
from .media.exr import (
    PRIMARIES as PRIMARIES,
    read_window as read_window,
    move_window as move_window,
    read_exr_colors as read_exr_colors,
    read_exr_header as read_exr_header,
)
from .media.frames import store_frame as store_frame
from .media.source_options import parse_source_options as parse_source_options
from .runs.store import (
    SOFT as SOFT,
    STATE_FILE as STATE_FILE,
    describe_frame as describe_frame,
    list_patterns as list_patterns,
    quantize_probabilities as quantize_probabilities,
    write_soft as write_soft,
)
from .media.value_syntax import FORMAT_OPTION as FORMAT_OPTION, START_NUMBER_OPTION as START_NUMBER_OPTION
from .media.high_bit_depth import detect_image_kind as detect_image_kind
from .media.levels import encode_srgb as encode_srgb
from .media.plates import BT709 as BT709, ImagePlate as ImagePlate, VideoPlate as VideoPlate
from .media.decoding import (
    apply_display_matrix as apply_display_matrix,
    is_gray as is_gray,
    is_rgb as is_rgb,
    to_deep_rgb as to_deep_rgb,
)
from .media.mask_pages import list_pages as list_pages
from .media.regions import VOID_NAME as VOID_NAME, add_class_ids as add_class_ids
from .media.mask_images import MASK_SUFFIXES as MASK_SUFFIXES
from .media.video import VideoFrames as VideoFrames, VideoReader as VideoReader, digest_video as digest_video
from .tools.cli.video_options import (
    mask_format as mask_format,
    mask_start_number as mask_start_number,
    output_options as output_options,
    segmenter_option as segmenter_option,
    source_option as source_option,
    split_settings as split_settings,
    video_argument as video_argument,
)
from .runs.inputs import load_masks as load_masks, require_ids as require_ids
from .runs.job_list import find_class_variants as find_class_variants, list_videos as list_videos
from .runs.merging import (
    ObjectProbabilities as ObjectProbabilities,
    PredictionFile as PredictionFile,
    merge_predictions as merge_predictions,
)
from .runs.classes import CLASSES as CLASSES, merge_class_ids as merge_class_ids, read_class_ids as read_class_ids
from .runs.output_options import (
    NO_OPTIONS as NO_OPTIONS,
    list_output_options as list_output_options,
    parse_output_options as parse_output_options,
    select_options as select_options,
)
from .runs.built_in_outputs import LostObjects as LostObjects
from .runs.outputs import list_outputs as list_outputs
from .runs.lists import list_job_folders as list_job_folders
