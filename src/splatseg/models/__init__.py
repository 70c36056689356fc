"""Neural networks behind small interfaces: segmenters, detectors, the model hub, ONNX."""
