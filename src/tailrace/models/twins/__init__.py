"""Twins: ONNX files with a published architecture and random weights.

They cost what the real files cost, so that a machine without those still measures something real;
their answers are meaningless. One module a model, each with `build`; `graph` writes ONNX, `layers`
draws the weights, `anchors`, `detection` and `tensorflow_ssd` are what detectors have in common.
Where a file goes, and when it is built again, is the caller's affair.
"""
