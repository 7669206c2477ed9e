"""MLPerf's own script mode: the official LoadGen in front of a model, in process or over HTTP.

`run` is one test from its settings to its verdict. LoadGen asks a `system` for answers, which is
`local` (the service's threads and batches, without HTTP) or `network` (services over HTTP); the
`ledger` stands between the two and keeps count. `data` and `samples` bring the pictures, `records`
the form in which answers are logged, `accuracy` what they are worth, `logs`, `submission` and
`check` the files. What lives here may import load, service, models, datasets; never the dashboard
or control.
"""
