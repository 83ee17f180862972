"""Files of an export: its folder, and one file for the weights of all graphs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from aotlab.utils.errors import output_exists_error
from aotlab.utils.files import read_json
from aotlab.utils.locks import locked_output, staging_folder

if TYPE_CHECKING:
    import onnx

DESCRIPTION_FILE = "export.json"
WEIGHTS_FILE = "weights.bin"
"""Weights of all graphs, each stored once."""
MIN_SHARED_BYTES = 1024
"""Smaller constants stay in the graphs."""


@contextmanager
def new_export_folder(folder: Path, *, force: bool) -> Iterator[Path]:
    """Lock ``folder``, a resolved path, and yield a temporary folder in it; move its files out if the block succeeds.

    ``export.json`` is moved first. It has the digests of the other files, so an export that is killed between cannot be
    loaded. ``force``: replace an earlier export, which is kept if the block fails. Raises InputError if the folder
    contains other files, except hidden ones, or cannot be written.
    """
    with locked_output(folder):
        earlier = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        if not earlier <= _list_exported(folder):
            raise output_exists_error(folder, "files that are not of an export")
        if earlier and not force:
            raise output_exists_error(folder, "an export", suggest_force=True)
        with staging_folder(folder, first=DESCRIPTION_FILE) as temporary:
            yield temporary


def _list_exported(folder: Path) -> Set[str]:
    """Return the names of an export's files; empty if the folder has no ``export.json`` of an export."""
    try:
        return {DESCRIPTION_FILE, *read_json(folder / DESCRIPTION_FILE)["sha256"]}
    except (OSError, ValueError, LookupError, TypeError):
        return set()


class SharedWeights:
    """One file for the weights of several graphs, each stored once."""

    def __init__(self, file: BinaryIO, *, half: bool) -> None:
        self._file, self._half = file, half
        self._offsets: dict[bytes, int] = {}  # by digest of the content

    def move(self, proto: onnx.ModelProto) -> None:
        """Move the large constants of a graph to the file, and drop the exporter's metadata, most of the graph's bytes.

        ``half`` stores them in float16, with a cast before use, except the scales of int8, which may be too small.
        """
        from onnx import TensorProto, helper, numpy_helper
        from onnx.external_data_helper import set_external_data

        for node in proto.graph.node:
            node.ClearField("metadata_props")
        proto.graph.ClearField("value_info")
        largest = np.finfo(np.float16).max
        scales = {node.input[1] for node in proto.graph.node if node.op_type == "DequantizeLinear"}
        for tensor in proto.graph.initializer:
            array = numpy_helper.to_array(tensor)
            if array.nbytes < MIN_SHARED_BYTES:
                continue
            is_rounded = self._half and array.dtype == np.float32 and tensor.name not in scales
            if is_rounded and np.abs(array).max() <= largest:
                array, name = array.astype(np.float16), tensor.name
                tensor.name, tensor.data_type = f"{name}_half", TensorProto.FLOAT16
                cast = helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT)
                proto.graph.node.insert(0, cast)
            content = array.tobytes()
            digest = hashlib.sha256(content).digest()
            if digest not in self._offsets:
                self._offsets[digest] = self._file.tell()
                self._file.write(content)
            tensor.raw_data = content
            set_external_data(tensor, WEIGHTS_FILE, self._offsets[digest], len(content))
            tensor.ClearField("raw_data")
