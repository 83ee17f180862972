"""Weights under the names of the published code."""

from aotlab.networks.weights.published_keys import (
    COMPUTED_BUFFER,
    PROMPT_PREFIX,
    map_published_names,
    to_published_name,
)


def to_published(model):
    """The state dict as the published code loads it, all contiguous and without the prompt network."""
    own = {key: tensor for key, tensor in model.state_dict().items() if not key.startswith(PROMPT_PREFIX)}
    state = {name: own[key].contiguous() for key, name in map_published_names(own).items()}
    buffers = [(key, tensor) for key, tensor in model.named_buffers() if key.endswith(COMPUTED_BUFFER)]
    computed = {to_published_name(key): tensor for key, tensor in buffers}
    return state | computed
