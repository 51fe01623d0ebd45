"""A LightGBM model as ONNX nodes."""
