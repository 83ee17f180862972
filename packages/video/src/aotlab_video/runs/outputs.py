"""Outputs by name: built-in ones, annotation files, and those of plug-ins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aotlab.utils.plugins import find_plugin, list_plugin_names
from aotlab_video.masks.annotations import find_mask_writer, require_output_name
from aotlab_video.plugins import OUTPUT_PLUGINS, list_mask_formats
from aotlab_video.runs.output import Output
from aotlab_video.runs.output_options import NO_OPTIONS, fill_options


def list_outputs() -> list[str]:
    """Return the names of all outputs; no plug-in is imported."""
    from aotlab_video.runs.built_in_outputs import BUILT_IN_OUTPUTS  # loads libraries of video and drawing

    return [*BUILT_IN_OUTPUTS, *list_mask_formats(), *list_plugin_names(OUTPUT_PLUGINS)]


def make_output(name: str, options: Mapping[str, Any] = NO_OPTIONS) -> Output:
    """Return an output by its name; ``options``: those of `RunOptions.output_options`, also of other outputs.

    Raises:
        InputError: an unknown name, or its package is not installed.
    """
    from aotlab_video.runs.built_in_outputs import BUILT_IN_OUTPUTS, AnnotationFile

    require_output_name(name, list_outputs(), "write")
    values = fill_options(name, options)
    if name in BUILT_IN_OUTPUTS:
        return BUILT_IN_OUTPUTS[name](values)
    if name in list_plugin_names(OUTPUT_PLUGINS):
        output: Output = find_plugin(OUTPUT_PLUGINS, name)(values)
        return output
    return AnnotationFile(find_mask_writer(name), values)
