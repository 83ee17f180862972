"""Code that depends on the device: faster kernels and modules; method files never import it."""
