"""One machine's server: TensorFlow Serving's REST calls, batches, limits, metrics and a page for photographs.

`effnet serve DIR` runs it. `directory` finds the models, `models` loads them over a backend (`saved_model`,
`onnx_model`), `batching` puts the images of several requests together, `request` and `response` are the JSON of
TensorFlow Serving, `rest` and `page` the addresses; `reading`, `limits` and `server` hold out against clients that are
slow, large or many.
"""
