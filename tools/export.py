"""Write a model as ONNX graphs, and check that they compute the same.

``aotlab export --config aott --size 854x480 --output exported --verify``
``aotlab export --precision int8 --calibrate FRAMES MASKS --output exported --verify``
``aotlab export --checkpoint my.safetensors memory.policy=bounded_fifo memory.frames=4 --output exported``
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from click import UsageError
from click.exceptions import Exit

from aotlab.configs.files import BUNDLED_CHECKPOINT
from aotlab.tools.cli.command import command, option_group
from aotlab.tools.cli.options import (
    checkpoint_option,
    config_option,
    force_file,
    plugin_files,
    print_config,
    print_settings,
    settings,
)
from aotlab.tools.cli.types import Choice, ExistingFolder, Folder, Size, flag, number_type, option
from aotlab.utils.errors import require, require_modules
from aotlab.utils.numbers import Range

if TYPE_CHECKING:
    from aotlab.configs.schema import Config


@dataclass(frozen=True)
class ModelOptions:
    """Model to export."""

    checkpoint: Path | None
    """None: random weights."""
    config: str | None
    overrides: tuple[str, ...]
    exported: Config
    """Settings of the export."""


def make_model_options(
    checkpoint: Path | None, config: str | None, overrides: tuple[str, ...], print_config: bool
) -> ModelOptions:
    """Return the model of a command line; print the settings of its export and exit for ``--print-config``."""
    from aotlab.export.export import resolve_export_config
    from aotlab.networks.weights.checkpoints import read_settings

    path = checkpoint or (None if config else BUNDLED_CHECKPOINT)
    exported = resolve_export_config(read_settings(path, config=config, overrides=overrides))
    if print_config:
        raise Exit(print_settings(exported))
    return ModelOptions(path, config, overrides, exported)


@dataclass(frozen=True)
class GraphOptions:
    """Content and precision of the graphs."""

    size: tuple[int, int]
    """Width and height of the frames."""
    half: bool
    precision: str
    calibrate: tuple[Path, Path] | None
    """Folders of frames and masks; they are also a clip for verification."""
    quantize_encoder: bool
    fused: bool
    no_prompts: bool

    def __post_init__(self) -> None:
        if self.is_int8 and not self.calibrate:
            raise UsageError("--precision int8: needs --calibrate FRAMES MASKS")
        if self.quantize_encoder and not self.is_int8:
            raise UsageError("--quantize-encoder: only with --precision int8")

    @property
    def is_int8(self) -> bool:
        """Whether large operators are quantized."""
        return self.precision == "int8"


@dataclass(frozen=True)
class VerificationOptions:
    """Comparison of the graphs with PyTorch."""

    verify: bool
    provider: str | None
    max_loss: float | None

    def __post_init__(self) -> None:
        for name, value in (("--max-loss", self.max_loss), ("--provider", self.provider)):
            if value is not None and not self.verify:
                raise UsageError(f"{name}: only with --verify")


@command("aotlab export")
@settings
@option_group(
    "graphs",
    option("--size", type=Size, default=(854, 480), help="WIDTHxHEIGHT of the frames (default: 854x480)"),
    flag("--half", "store weights in float16, half the size; the graphs compute in float32"),
    option(
        "--precision",
        type=Choice(("float32", "int8")),
        default="float32",
        help="int8: quantize large convolutions and matrix multiplications; needs --calibrate",
    ),
    option(
        "--calibrate",
        metavar="FRAMES MASKS",
        nargs=2,
        type=ExistingFolder,
        help="folders of a clip that resembles your videos, to calibrate int8 and for --verify",
    ),
    flag(
        "--quantize-encoder", "int8 for the encoder too: faster, but less accurate on objects unlike those of the clip"
    ),
    flag(
        "--fused", "use onnxruntime's attention operator, which needs half the memory on CPUs; other runtimes lack it"
    ),
    flag("--no-prompts", "leave out the prompt network"),
    name="graphs",
    factory=GraphOptions,
)
@option_group(
    "verification",
    flag(
        "--verify",
        "track a synthetic clip, or that of --calibrate, with PyTorch and with the graphs; exit code 1 if they differ",
    ),
    option("--provider", metavar="NAME", help="execution provider for --verify, such as cuda (default: cpu)"),
    option(
        "--max-loss",
        type=number_type(Range(0, 100)),
        help="maximum drop of J in points for --verify (default for int8: 1)",
    ),
    name="verification",
    factory=VerificationOptions,
)
@option_group("output", option("--output", type=Folder, help="folder to write [required]"), force_file)
@option_group(
    "model",
    checkpoint_option(untrained=True),
    config_option(),
    plugin_files,
    print_config,
    name="model",
    factory=make_model_options,
)
def main(
    model: ModelOptions, *, graphs: GraphOptions, verification: VerificationOptions, output: Path | None, force: bool
) -> int:
    from aotlab.export.clip import CALIBRATION_FRAMES, read_clip
    from aotlab.export.export import ExportOptions, export_model
    from aotlab.export.verify import VERIFIED_FRAMES, require_agreement, select_clip, verify_export
    from aotlab.networks.weights.checkpoints import build_or_load
    from aotlab.prompting.weights import load_prompt_network

    if output is None:
        raise UsageError("--output: missing; give a folder")
    calibrate, is_int8, verify = graphs.calibrate, graphs.is_int8, verification.verify
    if calibrate and not (is_int8 or verify):
        raise UsageError("--calibrate: only with --precision int8 or --verify")
    provider = verification.provider or "cpu"
    require_packages(provider if verify else None, calibrate=is_int8)

    width, height = graphs.size
    frame_size = height, width
    clip = read_clip(*calibrate, CALIBRATION_FRAMES + VERIFIED_FRAMES, frame_size) if calibrate else []
    verified_clip = select_clip(clip, frame_size) if verify else []
    network, config = build_or_load(model.checkpoint, config=model.config, overrides=model.overrides)

    def check(folder: Path) -> None:
        agreement = verify_export(network, model.exported, folder, clip=verified_clip, provider=provider)
        print(agreement)
        max_loss = verification.max_loss
        require_agreement(agreement, half=graphs.half, max_loss=1.0 if is_int8 and max_loss is None else max_loss)

    options = ExportOptions(
        half=graphs.half,
        calibration=clip if is_int8 else (),
        fused=graphs.fused or is_int8,
        quantize_encoder=graphs.quantize_encoder,
    )
    prompts = None if graphs.no_prompts else load_prompt_network()
    export_model(
        network, config, output, options, frame_size=frame_size, prompts=prompts, force=force,
        check=check if verify else None,
    )  # fmt: skip
    megabytes = sum(path.stat().st_size for path in output.iterdir()) / 1e6
    print(
        f"{output}: {config.name} as ONNX graphs of {megabytes:.1f} MB for {width}x{height}, "
        f"up to {model.exported.memory.frames} frames in long-term memory"
    )
    return 0


def require_packages(provider: str | None, *, calibrate: bool) -> None:
    """Require the packages that export, calibrate and, with an execution provider, verify."""
    from aotlab.export.export import ONNX_PACKAGES
    from aotlab.export.verify import translate_errors

    require_modules(*ONNX_PACKAGES)
    if calibrate or provider is not None:
        require(
            find_spec("aotlab_runtime"),
            "aotlab_runtime must be installed",
            remedy="pip install ./runtime in a checkout",
        )
    if provider is not None:
        require_modules("cv2", "tqdm")
        from aotlab_runtime.graphs import require_provider

        with translate_errors():
            require_provider(provider)


if __name__ == "__main__":
    sys.exit(main())
