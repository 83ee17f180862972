"""Code that depends on the device: faster modules, and logits at the size of a frame; method files never import it."""
