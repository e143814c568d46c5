"""From a checkpoint to files that other programs serve: SavedModel, ONNX, LiteRT, `torch.export`, Keras."""
