"""Groups of plug-ins that read masks and write outputs."""

from aotlab.utils.plugins import PluginGroup, list_plugin_names

MASK_READER_PLUGINS = "aotlab.mask_readers"
MASK_WRITER_PLUGINS = "aotlab.mask_writers"
OUTPUT_PLUGINS = "aotlab.outputs"
LIST_OUTPUT_PLUGINS = "aotlab.list_outputs"
"""Outputs that are written for each video of a list, also if they are not named."""
OUTPUT_OPTION_PLUGINS = "aotlab.output_options"
"""Group of tuples of `aotlab_video.OutputOption`; the entry point's name is the output's."""

MASK_READERS = PluginGroup("mask reader", ("path", "video"))
MASK_WRITERS = PluginGroup("mask writer")
OUTPUTS = PluginGroup("output", ("options",))
LIST_OUTPUTS = PluginGroup("output", in_files=False)
OUTPUT_OPTIONS = PluginGroup("options of outputs", in_files=False)


def list_mask_formats() -> list[str]:
    """Return the names of the formats that masks can be written in: COCO, and formats of plug-ins."""
    return ["coco", *list_plugin_names(MASK_WRITER_PLUGINS)]
