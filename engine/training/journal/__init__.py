"""What people look at while a model trains: bar, log, TensorBoard, pictures and curves."""
