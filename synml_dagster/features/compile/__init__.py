"""A feature plan as Spark columns, as ONNX nodes and as what tasks make of files."""
