"""Weights under the names of the published code."""

from aotlab.networks.weights.published_keys import COMPUTED, PROMPTS, official_name, official_names


def to_official(model):
    """The state dict as the published code loads it, all contiguous and without the prompt network."""
    own = {key: tensor for key, tensor in model.state_dict().items() if not key.startswith(PROMPTS)}
    state = {name: own[key].contiguous() for key, name in official_names(own).items()}
    computed = {official_name(key): tensor for key, tensor in model.named_buffers() if key.endswith(COMPUTED)}
    return state | computed
