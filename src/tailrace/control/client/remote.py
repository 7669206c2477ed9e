"""What `tailrace.connect` gives: LoadControl, and an end."""

from collections.abc import AsyncGenerator
from typing import Protocol, Self

from tailrace.control.interface import LoadControl, Update


class RemoteControl(LoadControl, Protocol):
    """A control room elsewhere, as an asynchronous context manager.

    Besides what LoadControl says every method raises UnreachableError where no control room
    answers, `watch` also when it goes away; and TokenError where it asks for another token.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def close(self) -> None:
        """Hang up; streams end."""

    def watch(self, service_id: str | None = None) -> AsyncGenerator[Update, None]:
        """See LoadControl; `aclose` ends it."""
