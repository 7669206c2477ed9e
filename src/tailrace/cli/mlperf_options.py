"""The options of `tailrace mlperf`, some with a second name: that of MLPerf's reference main.py."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tailrace.load.config import CONNECTIONS

_TEST, _MODEL, _FILES = "The test", "The model, in process", "Files and output"
"""Panels of the help, and the one that has what `load` shares."""

Model = Annotated[str | None, typer.Argument(metavar="MODEL", help="See 'tailrace models list'.")]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Model and backend in one, as the reference's main.py names them: "
        "ssd-mobilenet-onnx, resnet50-tf. Instead of MODEL.",
        rich_help_panel=_MODEL,
    ),
]
Scenario = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="single-stream, multi-stream, server or offline.",
        rich_help_panel=_TEST,
    ),
]
Accuracy = Annotated[
    bool,
    typer.Option(
        "--accuracy",
        help="Ask for each sample once, and score the answers.",
        rich_help_panel=_TEST,
    ),
]
FindPeak = Annotated[
    bool,
    typer.Option(
        "--find-peak",
        "--find-peak-performance",
        help="Server: let LoadGen look for the highest rate within the bound.",
        rich_help_panel=_TEST,
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL",
        help="Test a service over HTTP, as http://HOST:PORT; repeat it for several nodes.",
        rich_help_panel=CONNECTIONS,
    ),
]
Rate = Annotated[
    str | None,
    typer.Option(
        "--rate",
        "--qps",
        metavar="RATE",
        help="Server: queries a second. Offline: samples a second to expect.",
        show_default="offline: measured",
        rich_help_panel=_TEST,
    ),
]
Slo = Annotated[
    str | None,
    typer.Option(
        metavar="BOUND",
        help="Server: percentile and bound, as p99<100ms.",
        show_default="MLPerf's for MODEL",
        rich_help_panel=_TEST,
    ),
]
MinDuration = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="A quick run, not official.", show_default="10m", rich_help_panel=_TEST
    ),
]
MinQueries = Annotated[
    int | None,
    typer.Option(
        "--min-queries",
        "--min-query-count",
        metavar="N",
        min=1,
        help="A quick run, not official.",
        show_default="MLPerf's",
        rich_help_panel=_TEST,
    ),
]
UserConf = Annotated[
    Path | None,
    typer.Option(
        "--user-conf",
        "--user_conf",
        metavar="FILE",
        help="LoadGen's user.conf.",
        rich_help_panel=_TEST,
    ),
]
Dataset = Annotated[
    Path | None,
    typer.Option(
        "--dataset",
        "--dataset-path",
        metavar="DIR",
        help="COCO's, ImageNet's or OpenImages's layout.",
        show_default="drawn scenes for shapes",
        rich_help_panel=_TEST,
    ),
]
Count = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Only the first samples; not official.", rich_help_panel=_TEST
    ),
]
Payload = Annotated[
    Literal["picture", "tensor"] | None,
    typer.Option(
        help="Issue pictures, decoded within the time; or tensors, preprocessed before it.",
        show_default="tensor; picture with --target",
        rich_help_panel=_TEST,
    ),
]
ModelPath = Annotated[
    Path | None,
    typer.Option(
        "--model-path", "--model", metavar="FILE", help="Model file.", rich_help_panel=_MODEL
    ),
]
Twin = Annotated[
    bool,
    typer.Option(
        "--twin",
        help="Random weights: the right cost, meaningless answers.",
        rich_help_panel=_MODEL,
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        "--backend",
        "--runtime",
        metavar="NAME",
        help="onnxruntime or tensorflow.",
        show_default="onnxruntime",
        rich_help_panel=_MODEL,
    ),
]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:N, tensorrt.", rich_help_panel=_MODEL)
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        "--threads",
        metavar="N",
        help="Inference threads.",
        show_default="cores",
        rich_help_panel=_MODEL,
    ),
]
IntraOp = Annotated[
    int, typer.Option(metavar="N", help="Threads of one inference.", rich_help_panel=_MODEL)
]
MaxBatch = Annotated[
    int,
    typer.Option(
        "--max-batch",
        "--max-batchsize",
        metavar="N",
        help="Samples one inference may take.",
        rich_help_panel=_MODEL,
    ),
]
BatchWindow = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="How long a batch that is not full waits.", rich_help_panel=_MODEL
    ),
]
Routing = Annotated[
    Literal["round-robin", "least-outstanding"],
    typer.Option(help="Which of several nodes a query goes to.", rich_help_panel=CONNECTIONS),
]
Connections = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help="The most connections open to a node; more queries wait.",
        rich_help_panel=CONNECTIONS,
    ),
]
Timeout = Annotated[
    str,
    typer.Option(
        metavar="TIME",
        help="A query unanswered this long after it was sent has failed.",
        rich_help_panel=CONNECTIONS,
    ),
]
Header = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME:VALUE",
        help="'Name: value', sent with each query; repeatable.",
        rich_help_panel=CONNECTIONS,
    ),
]
RemoteName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What the target calls the model.",
        show_default="MODEL",
        rich_help_panel=CONNECTIONS,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "--output",
        metavar="DIR",
        help="Folder in the layout of a submission; tests add up in it.",
        show_default="a new one below runs/",
        rich_help_panel=_FILES,
    ),
]
Division = Annotated[
    Literal["closed", "open", "network"] | None,
    typer.Option(
        help="MLPerf's division.",
        show_default="open; network with --target",
        rich_help_panel=_FILES,
    ),
]
Submitter = Annotated[
    str, typer.Option(metavar="NAME", help="Who submits.", rich_help_panel=_FILES)
]
SystemName = Annotated[
    str | None,
    typer.Option(
        "--system", metavar="NAME", show_default="from this machine", rich_help_panel=_FILES
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the result as one JSON document on stdout.",
        rich_help_panel=_FILES,
    ),
]
