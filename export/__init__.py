"""A model as ONNX graphs, which run without its code."""
