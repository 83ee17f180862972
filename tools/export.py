"""Write a model as ONNX graphs, and check that they compute the same.

``aotlab export --config aott --size 854x480 --output exported --verify``
``aotlab export --precision int8 --calibrate FRAMES MASKS --output exported --verify``
``aotlab export --checkpoint my.safetensors memory.policy=bounded_fifo memory.frames=4 --output exported``
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from click import UsageError

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
    strict,
)
from aotlab.tools.cli.types import Choice, ExistingFolder, Folder, Size, flag, number_type, option
from aotlab.utils.errors import require, require_modules
from aotlab.utils.numbers import Range


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
)
@option_group("output", option("--output", type=Folder, help="folder to write [required]"), force_file)
@option_group("model", checkpoint_option(untrained=True), config_option(), plugin_files, strict, print_config)
def main(
    *, overrides: tuple[str, ...], size: tuple[int, int], half: bool, precision: str,
    calibrate: tuple[Path, Path] | None, quantize_encoder: bool, fused: bool, no_prompts: bool, verify: bool,
    provider: str | None, max_loss: float | None, output: Path | None, force: bool, checkpoint: Path | None,
    config: str | None, strict: bool, print_config: bool,
) -> int:  # fmt: skip
    from aotlab.export.clip import CALIBRATION_FRAMES, read_clip
    from aotlab.export.export import ExportOptions, export_model, resolve_export_config
    from aotlab.export.verify import VERIFIED_FRAMES, require_agreement, select_clip, verify_export
    from aotlab.networks.weights.checkpoints import build_or_load, read_settings, require_trained_code
    from aotlab.prompting.weights import load_prompt_network

    checkpoint = checkpoint or (None if config else BUNDLED_CHECKPOINT)  # None: random weights
    if strict and checkpoint is not None and config is None:
        require_trained_code(checkpoint, overrides)
    exported = resolve_export_config(read_settings(checkpoint, config=config, overrides=overrides))
    if print_config:
        return print_settings(exported)
    is_int8 = precision == "int8"
    for name, value in (("--max-loss", max_loss), ("--provider", provider)):
        if value is not None and not verify:
            raise UsageError(f"{name}: only with --verify")
    if is_int8 and not calibrate:
        raise UsageError("--precision int8: needs --calibrate FRAMES MASKS")
    if quantize_encoder and not is_int8:
        raise UsageError("--quantize-encoder: only with --precision int8")
    if output is None:
        raise UsageError("--output: missing; give a folder")
    if calibrate and not (is_int8 or verify):
        raise UsageError("--calibrate: only with --precision int8 or --verify")
    provider = provider or "cpu"
    require_packages(provider if verify else None, calibrate=is_int8)

    width, height = size
    frame_size = height, width
    clip = read_clip(*calibrate, CALIBRATION_FRAMES + VERIFIED_FRAMES, frame_size) if calibrate else []
    verified_clip = select_clip(clip, frame_size) if verify else []
    model, settings = build_or_load(checkpoint, config=config, overrides=overrides)

    def check(folder: Path) -> None:
        agreement = verify_export(model, exported, folder, clip=verified_clip, provider=provider)
        print(agreement)
        require_agreement(agreement, half=half, max_loss=1.0 if is_int8 and max_loss is None else max_loss)

    options = ExportOptions(
        half=half, calibration=clip if is_int8 else (), fused=fused or is_int8, quantize_encoder=quantize_encoder
    )
    export_model(
        model, settings, output, options, frame_size=frame_size,
        prompts=None if no_prompts else load_prompt_network(), force=force, check=check if verify else None,
    )  # fmt: skip
    megabytes = sum(path.stat().st_size for path in output.iterdir()) / 1e6
    print(
        f"{output}: {settings.name} as ONNX graphs of {megabytes:.1f} MB for {width}x{height}, "
        f"up to {exported.memory.frames} frames in long-term memory"
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
            remedy="pip install ./packages/runtime in a checkout",
        )
    if provider is not None:
        require_modules("cv2", "tqdm")
        from aotlab_runtime.graphs import require_provider

        with translate_errors():
            require_provider(provider)


if __name__ == "__main__":
    sys.exit(main())
