"""The third twin: networks as ONNX graphs, images as their input, without TensorFlow or PyTorch.

Importing the package loads numpy alone: what needs onnx or onnxruntime stands in modules of its own.
"""
