"""A model as graphs that run without its code: ONNX files for onnxruntime and others, or programs of torch.export."""
