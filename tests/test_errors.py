"""Errors that travel: which class is told, and which one comes of it elsewhere."""

import grpc
import pytest

from tailrace.control.interface import NotAllowedError, StateError, UnknownServiceError
from tailrace.errors import TailraceError, UsageError, known, known_as
from tailrace.runs.directory import RunDirectoryError
from tailrace.runs.listing import UnknownRunError


class OddRateError(UsageError):
    """One of many reasons."""


@pytest.mark.parametrize(
    "kind", [UsageError, UnknownServiceError, UnknownRunError, StateError, NotAllowedError]
)
def test_a_class_with_a_status_arrives_as_itself(kind: type[TailraceError]) -> None:
    assert known(known_as(kind("x")).__name__) is kind
    assert 400 <= kind.http_status < 500
    assert grpc.StatusCode[kind.rpc_status] is not grpc.StatusCode.INTERNAL


def test_a_class_without_one_arrives_as_the_nearest_that_has_one() -> None:
    assert known_as(OddRateError("x")) is UsageError
    assert OddRateError("x").http_status == UsageError.http_status


def test_any_other_is_told_by_its_name_and_arrives_as_any_error() -> None:
    assert known_as(RunDirectoryError("x")) is RunDirectoryError
    assert RunDirectoryError("x").http_status == 500
    for name in ("RunDirectoryError", "OddRateError", "KeyError", "TailraceError", ""):
        assert known(name) is TailraceError
