"""Single steps of the recurrence with one bank and masks of the test's own, and the size of a bank."""

from torch import Tensor

from aotlab.engine.memory.bank import MemoryBank
from aotlab.engine.recurrence import encode_memory, encode_reference, segment_frame, store_memory
from aotlab.networks.model import Features, PropagatedFrame, VOSModel


def begin(model: VOSModel, bank: MemoryBank, features: Features, masks: Tensor) -> PropagatedFrame:
    """Store a reference frame with masks B×(m+1)×H×W."""
    propagated, memory = encode_reference(model, features, masks)
    bank.add_reference(memory)
    return propagated


def advance(model: VOSModel, bank: MemoryBank, features: Features, masks: Tensor) -> Tensor:
    """Store a frame with masks B×(m+1)×H×W, and return its logits."""
    decoded = segment_frame(model, bank, features)
    store_memory(model, bank, decoded, encode_memory(model, decoded, masks))
    return decoded.logits


def memory_bytes(bank: MemoryBank) -> int:
    """Bytes of long-term memory, including room for further frames."""
    return sum(x.untyped_storage().nbytes() for block in bank.read() for x in block.long)
