from .engine.prompting.load import load_segmenter as load_segmenter
from .engine.prompting.segmenter import PromptSegmenter as PromptSegmenter
from .media.annotations import (
    TRACKED_MASKS as TRACKED_MASKS,
    MaskWriter as MaskWriter,
    find_mask_writer as find_mask_writer,
    read_annotations as read_annotations,
)
from .media.coco import (
    format_coco as format_coco,
    parse_coco as parse_coco,
)
from .media.frames import FrameSource as FrameSource, store_frame as store_frame
from .media.images import decode_image as decode_image
from .media.job_record import (
    CORRECTED_FILE as CORRECTED_FILE,
    JOB_RECORD as JOB_RECORD,
    UNFINISHED as UNFINISHED,
    JobRecord as JobRecord,
    find_video as find_video,
    list_output_files as list_output_files,
    read_job_record as read_job_record,
    require_same_video as require_same_video,
    write_job_record as write_job_record,
)
from .media.matching import (
    IMAGE_SUFFIXES as IMAGE_SUFFIXES,
    order_names as order_names,
    require_different_images as require_different_images,
)
from .media.overlay import concat_images as concat_images
from .media.regions import (
    Annotations as Annotations,
    AttributeTable as AttributeTable,
    ParsedFile as ParsedFile,
    ParsedRegion as ParsedRegion,
    Region as Region,
    VideoInfo as VideoInfo,
    add_class_ids as add_class_ids,
)
from .media.rle import (
    decode_rle as decode_rle,
    encode_rle as encode_rle,
    fill_polygons as fill_polygons,
    parse_rle as parse_rle,
    require_size as require_size,
)
from .media.region_matching import match_regions as match_regions
from .media.video import (
    VideoFrames as VideoFrames,
    VideoReader as VideoReader,
    compute_fingerprint as compute_fingerprint,
)
from .tools.cli.command import command as command, require_new_output as require_new_output
from .tools.cli.options import (
    read_tracker as read_tracker,
    segmenter_option as segmenter_option,
    tracker_options as tracker_options,
    video_argument as video_argument,
)
from .tools.cli.types import Bytes as Bytes, Choice as Choice
from .utils.files import (
    SYSTEM_FILES as SYSTEM_FILES,
    atomic_path as atomic_path,
    reading as reading,
    writing as writing,
)
from .utils.locks import InUseError as InUseError, locked as locked
from .utils.text import align_columns as align_columns, format_count as format_count
from .utils.plugins import list_mask_formats as list_mask_formats
from .jobs.inputs import FrameSelection as FrameSelection, load_masks as load_masks
from .jobs.job_file import list_videos as list_videos
from .jobs.classes import (
    CLASSES as CLASSES,
    ObjectClasses as ObjectClasses,
    find_class_variants as find_class_variants,
    merge_class_ids as merge_class_ids,
    read_class_ids as read_class_ids,
)
from .engine.tracking.merging import (
    ObjectProbabilities as ObjectProbabilities,
    PredictionFile as PredictionFile,
    merge_predictions as merge_predictions,
)
from .jobs.outputs import (
    LostObjects as LostObjects,
    Output as Output,
    OutputContext as OutputContext,
    StoredPrediction as StoredPrediction,
    TrackedFrame as TrackedFrame,
    VideoFile as VideoFile,
    find_output as find_output,
    list_outputs as list_outputs,
)
from .jobs.results import list_job_folders as list_job_folders
from .jobs.track import TrackResult as TrackResult
