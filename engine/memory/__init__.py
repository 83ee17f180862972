"""Memory of past frames: banks, and the policies that keep and evict frames."""
