"""What is served: the models' descriptions, their files, and one path from bytes to answer.

`zoo` says what each model is, `store` where its file lies, `images` and `outputs` hold MLPerf's
pre- and postprocessing, `runtimes` runs the tensors, `model` puts the four together. Nothing
here knows of HTTP, queues or data sets.
"""
