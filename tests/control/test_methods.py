"""What is read from the functions of an interface, with one made for it."""

from collections.abc import AsyncGenerator
from typing import Any, Protocol

import msgspec
import pytest

from tailrace.control.interface import METHODS, LoadControl, StateError
from tailrace.control.methods import method, methods_of
from tailrace.errors import UsageError


class Cup(msgspec.Struct):
    """Something to take and to give."""

    size: int


class Kitchen(Protocol):
    @method("GET", "/cups", field="cups")
    async def cups(self) -> list[Cup]:
        """All cups."""

    @method("POST", "/cups", status=201)
    async def add(self, cup: Cup) -> Cup:
        """Add a cup.

        Longer words about it.

        Raises:
            StateError: it is there already, as a cup of its size can be only once in any
                kitchen.
            UsageError: it is no cup.
        """

    @method("PUT", "/cups/{id}", rpc="Pour")
    async def fill(self, service_id: str, rate_per_s: float = 2.5, *, note: str) -> None:
        """Fill it."""

    @method("GET", "/cups/{id}/stream")
    def watch(self, service_id: str) -> AsyncGenerator[Cup]:
        """Watch it."""


CUPS, ADD, FILL, WATCH = methods_of(Kitchen)


class AskedControl:
    """Keeps what it is asked."""

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: (name, given, named)


def test_a_signature_says_what_is_taken_and_answered() -> None:
    assert (CUPS.request, CUPS.answer, CUPS.status) == (None, list[Cup], 200)
    assert (ADD.request, ADD.answer, ADD.response, ADD.status) == (Cup, Cup, Cup, 201)
    assert FILL.request is not None
    assert FILL.request.__name__ == "PourRequest"
    assert FILL.request.__struct_fields__ == ("service_id", "rate_per_s", "note")
    assert FILL.request.__struct_encode_fields__ == ("id", "rate", "note")
    assert (FILL.response, FILL.status) == (None, 204)
    assert [one.streams for one in (CUPS, ADD, FILL, WATCH)] == [False, False, False, True]
    assert WATCH.answer is Cup


def test_a_docstring_says_what_it_does_and_when_it_does_not() -> None:
    assert ADD.about == "Add a cup.\n\nLonger words about it."
    assert ADD.errors == {
        StateError: "it is there already, as a cup of its size can be only once in any kitchen",
        UsageError: "it is no cup",
    }
    assert FILL.errors == {}


@pytest.mark.parametrize(
    ("asked", "given", "named", "called"),
    [
        (CUPS, (), {}, ("cups", (), {})),
        (ADD, (Cup(3),), {}, ("add", (Cup(3),), {})),
        (ADD, (), {"cup": Cup(3)}, ("add", (Cup(3),), {})),
        (
            FILL,
            ("a",),
            {"note": "hot"},
            ("fill", (), {"service_id": "a", "rate_per_s": 2.5, "note": "hot"}),
        ),
    ],
)
def test_a_call_becomes_a_request_and_the_same_call(
    asked: Any, given: Any, named: Any, called: Any
) -> None:
    assert asked.call(AskedControl(), asked.bind(*given, **named)) == called


def test_a_call_with_other_arguments_is_none() -> None:
    for given in ((), ("a", 1.0, "note")):
        with pytest.raises(TypeError):
            FILL.bind(*given)


def test_what_is_no_struct_is_the_one_field_of_one() -> None:
    wrapped = CUPS.wrap([Cup(1)])
    assert wrapped.__struct_fields__ == ("cups",)
    assert CUPS.unwrap(wrapped) == [Cup(1)]
    assert ADD.unwrap(ADD.wrap(Cup(1))) == Cup(1)


def test_every_method_of_load_control_can_be_asked_for() -> None:
    names = [name for name in vars(LoadControl) if not name.startswith("_")]
    assert [one.name for one in METHODS] == names
    for named in ([m.rpc for m in METHODS], [(m.verb, path) for m in METHODS for path in m.paths]):
        assert len(set(named)) == len(named)


def test_an_error_that_is_not_known_elsewhere_is_not_promised() -> None:
    def explode(self: object) -> None:
        """Explode.

        Raises:
            OddError: it is odd.
        """

    with pytest.raises(AssertionError, match="OddError"):
        method("POST", "/explode")(explode)
