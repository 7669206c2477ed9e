"""How HTTP routes answer: JSON as msgspec writes it, errors as a status and one line."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tailrace.control.json_codec import ErrorAnswer, encode
from tailrace.errors import TailraceError, known_as

Answering = Callable[[Request], Awaitable[Response]]

NO_STORE = {"Cache-Control": "no-store"}


class UnknownRouteError(TailraceError):
    """There is nothing at this address, or nothing for this method."""

    http_status = 404
    rpc_status = "UNIMPLEMENTED"


class Endpoint:
    """What answers at an address, by verb; another verb is 405, with Allow, and where there is
    none it is 404. An ASGI application, to which a Route gives requests of every verb.
    """

    def __init__(self, verbs: Mapping[str, Answering]) -> None:
        self._verbs = verbs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a TailraceError as ErrorAnswer."""
        request = Request(scope, receive, send)
        try:
            response = await self._answer(request)
        except TailraceError as error:
            response = answer_error(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        asked, verb = request.url.path, request.method
        if verb in self._verbs:
            return await self._verbs[verb](request)
        if not self._verbs:
            raise UnknownRouteError(f"there is nothing at {asked}: /docs lists the routes")
        allowed = ", ".join(sorted(self._verbs))
        answer = answer_error(
            UnknownRouteError(f"{verb} is not for {asked}: use {allowed}"), status=405
        )
        answer.headers["Allow"] = allowed
        return answer


def answer_json(value: object, status: int = 200) -> Response:
    """`value` as JSON, not to be cached."""
    return Response(encode(value), status, NO_STORE, "application/json")


def answer_error(error: TailraceError, status: int | None = None) -> Response:
    """The error's line with the status of its class, unless another one is given."""
    body = ErrorAnswer(str(error), known_as(error).__name__)
    return answer_json(body, status or error.http_status)
