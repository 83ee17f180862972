"""Training settings: data, phases, optimization. The string under a field is its help text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from aotlab.configs.settings import FileName, Settings, Text
from aotlab.utils.numbers import COUNT, FRACTION, NON_NEGATIVE, POSITIVE, POSITIVE_COUNT, SEED, Range
from aotlab.utils.plugins import TRANSFORM_PLUGINS, PluginChoices

Augmentation = Literal["aot", "deaot"]
LOSSES = ("aot",)
"""Built-in losses."""
TransformName = Annotated[Text, AfterValidator(PluginChoices(TRANSFORM_PLUGINS, ()).check)]
Precision = Literal["float32", "bfloat16", "float16", "auto"]
"""Auto means bfloat16 if the processor supports it, else float32."""

Count = Annotated[int, POSITIVE_COUNT]
CountOrZero = Annotated[int, COUNT]
Seed = Annotated[int, SEED]
Fraction = Annotated[float, FRACTION]
Positive = Annotated[float, POSITIVE]
NonNegative = Annotated[float, NON_NEGATIVE]
Finite = Annotated[float, Range()]
Width = Annotated[int, Range(1, 2**16)]
"""Channels, heads and objects."""
Edge = Annotated[int, Range(32, 2**15)]
"""Side of an image in pixels."""
CropEdge = Annotated[int, Range(32, 2**13)]
"""Side of a training image in pixels; OpenCV warps only sides below 2**15, and images may be wide."""
Rate = Annotated[float, Range(0, 1e6)]
"""Learning rates and decays, whose products must fit into float32."""


class SourceConfig(Settings):
    """One source of training or validation data below data.root."""

    path: Text
    """Folder below data.root, or an absolute path."""
    kind: Text = "video"
    """Layout: static (images) or video for JPEGImages/*/ with Annotations/*/; coco, ecssd, msra10k, pascal_s, voc2012
    (images), davis, youtube_vos, vost (videos) as distributed; or the name of a plug-in."""
    split: Text | None = None
    """List file in ImageSets/ without .txt, or a split as the data set names it; null means all, or, for validation,
    the list val if it exists."""
    weight: Positive = 1.0
    """Sampling weight relative to the other sources."""
    max_gap: Count = 3
    """Largest distance between one frame of a clip and the next, in labeled frames (videos)."""
    balance: Fraction = 0.0
    """Sampling of a static folder, from 0 (uniform over its images) to 1 (uniform over its data sets)."""


class DataConfig(Settings):
    """Training and validation data."""

    root: Text | None = None
    """Folder that holds the sources."""
    workers: Annotated[int, Range(0, 1024)] = 2
    """Processes that prepare clips, on each rank."""
    validation: list[SourceConfig] = Field(default_factory=list)
    """Videos tracked and scored during training."""
    benchmark: Text = "folder"
    """Benchmark whose measure and table score the validation videos; its first value chooses the best weights."""
    validation_fraction: Annotated[float, Range(0, 0.5)] = 0.0
    """Fraction of the training videos held out for validation if `validation` is empty; folders of fewer than 10
    videos are not divided."""


class PhaseConfig(Settings):
    """A phase of training with its data and schedule."""

    name: FileName
    """Name in logs and file names."""
    steps: Count = 100_000
    """Optimizer steps."""
    batch: Count = 16
    """Clips in an optimizer step, over all ranks and micro-batches."""
    clip_length: Annotated[int, Range(2, 10_000)] = 5
    """Frames in a clip."""
    short_edge: CropEdge = 480
    """Size of a video's shortest side, in pixels, before the random scale of 0.7 to 1.3."""
    crop: CropEdge = 465
    """Side of a training clip in pixels; rounded to the model's grid."""
    augmentation: Augmentation | None = None
    """Change of colors; aot: mild, of single images; deaot: strong, of all frames, also to gray and blurred; null means
    the choice of the method's authors."""
    thin_plate: Fraction = 0.0
    """Probability that a frame made of a single image is warped by a thin-plate spline instead of an affine map."""
    merge: Fraction = 0.3
    """Probability that a second clip's objects are pasted over a clip; always if the clip has no objects."""
    compose: Fraction = 0.0
    """Fraction of merged clips whose pasted objects are scaled and move, above or below the clip's own objects."""
    entering: Fraction = 0.0
    """Fraction of composed clips whose pasted objects enter over a border, partly visible in the reference frame."""
    lr: Annotated[float, Range(0, 1e6, exclusive_low=True)] = 2e-4
    """Learning rate after warm-up."""
    final_lr: Rate | None = None
    """Learning rate at the start of warm-up and at the end; null means 2e-5 with MobileNetV2, else 1e-5."""
    weight_decay: Rate = 0.07
    """Weight decay; not applied to biases, norms, Swin's relative positions, `relative_value` of short-term attention
    and the decoder's output layers."""
    transforms: list[TransformName] = Field(default_factory=list)
    """Transforms of plug-ins, applied in order to each finished clip."""
    reference_loss_until: NonNegative = 1.0
    """Fraction of the steps over which the loss on reference frames fades out."""
    feed_predictions_after: NonNegative = 0.5
    """Fraction of the steps after which memory stores predictions instead of targets, and identity banks are frozen; 1
    means never."""
    sources: list[SourceConfig] = Field(default_factory=list)
    """The mixture of data."""


class TrainConfig(Settings):
    """Optimization."""

    output: Text | None = None
    """Folder for checkpoints and logs; null means outputs/NAME."""
    run: list[Text] = Field(default_factory=list)
    """Names of the phases to run; empty means all."""
    encoder_weights: Text | None = None
    """ImageNet weights of the encoder: a file, 'torchvision', 'timm' for those of timm, or null for random weights; no
    effect with start_from."""
    start_from: Text | None = None
    """Checkpoint of the same model to start from: a file, or 'bundled' for the model in the package."""
    warm_start: Text | None = None
    """Checkpoint of another model, a file or 'bundled'; its weights replace weights of the same name and shape from
    start_from or encoder_weights."""
    loss: Text = "aot"
    """Loss of a frame: aot, the mean of bootstrapped cross-entropy and soft Jaccard, or the name of a plug-in."""
    precision: Precision = "float32"
    """Precision of autocast; float16 uses a gradient scaler; auto means bfloat16 if the processor supports it, else
    float32."""
    accumulate: Count = 1
    """Number of micro-batches that a batch is split into, to save memory."""
    compile: bool = False
    """Compile encoder, blocks and decoder with torch.compile, on CUDA."""
    checkpoint_activations: bool = False
    """Recompute the activations of the encoder's blocks in the backward pass, to save memory."""
    warmup: Annotated[float, Range(0, 1, exclusive_high=True)] = 0.05
    """Fraction of a phase's steps with a rising learning rate."""
    power: NonNegative = 0.9
    """Exponent of the learning rate's polynomial decay."""
    encoder_lr_ratio: Rate = 0.1
    """The encoder's learning rate is final_lr + encoder_lr_ratio · (lr − final_lr)."""
    freeze_encoder_stages: CountOrZero = 2
    """Number of frozen stages of the encoder, counted from the input; MobileNetV2 has three: the stem, the layers at
    stride 4, the rest."""
    hardest_pixels: Annotated[float, Range(0, 1, exclusive_low=True)] = 0.15
    """Final fraction of pixels in the bootstrapped cross-entropy."""
    hardest_pixels_after: Positive = 0.5
    """Fraction of the steps after which `hardest_pixels` is reached."""
    clip_gradients: Positive = 5.0
    """Maximum norm of the gradient."""
    max_nonfinite_steps: CountOrZero = 0
    """Largest number of steps in a row that are skipped for a non-finite loss or gradient, before the run stops."""
    ema: Fraction = 0.1
    """Averaging window of the EMA weights as a fraction of a phase's steps."""
    seed: Seed = 0
    """Random seed."""
    save_every: Count = 500
    """Interval in steps between saved states; others are saved at each validation, and at the end of each phase."""
    keep: Count = 3
    """Number of saved states to keep."""
    half_weights: bool = False
    """Store the weights of a finished phase as 16-bit floats, in half the space."""
    validate_every: CountOrZero = 0
    """Interval in steps between validations; 0 means only at the end of each phase."""
    log_every: Count = 20
    """Interval in steps between log lines."""
    print_every: CountOrZero = 100
    """Interval in steps between lines on standard error if it is not a terminal; also at the last step of a phase; 0
    means no other line."""
    image_every: CountOrZero = 500
    """Interval in steps between images of clips and predictions; also at the last step of a phase; 0 means no image."""
    phases: list[PhaseConfig] = Field(default_factory=list)
    """Training phases in order; each starts from the averaged weights of the previous one."""
