"""How HTTP routes answer: JSON as msgspec writes it, errors as a status and one line."""

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from tailrace.control.json_codec import encode
from tailrace.errors import TailraceError, known_as


class UnknownRouteError(TailraceError):
    """There is nothing at this address, or nothing for this method."""

    http_status = 404
    rpc_status = "UNIMPLEMENTED"


_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
NO_STORE = {"Cache-Control": "no-store"}


class ErrorAnswer(msgspec.Struct, frozen=True):
    """What is answered where something went wrong: a line for a person, a class for a program."""

    error: str
    type: str


class Route(APIRoute):
    """Answers a TailraceError as ErrorAnswer."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler that FastAPI makes, guarded."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except TailraceError as error:
                return answer_error(error)

        return answer


def answer_json(value: object, status: int = 200) -> Response:
    """`value` as JSON, not to be cached."""
    return Response(encode(value), status, NO_STORE, "application/json")


def answer_error(error: TailraceError, status: int | None = None) -> Response:
    """The error's line with the status that belongs to its class, unless another one is given."""
    body = ErrorAnswer(str(error), known_as(error).__name__)
    return answer_json(body, status or error.http_status)


def refuse_others(routes: APIRouter, path: str) -> None:
    """Have what matches the pattern `path` and no route before answered 404, or 405 with Allow."""

    @routes.api_route(path, methods=_METHODS, include_in_schema=False)
    async def refuse(request: Request) -> Response:
        asked = request.url.path
        allowed = ", ".join(
            sorted(
                method
                for route in routes.routes
                if isinstance(route, Route) and route.include_in_schema
                if route.path_regex.match(asked)
                for method in route.methods or ()
            )
        )
        if not allowed:
            raise UnknownRouteError(f"there is nothing at {asked}: /docs lists the routes")
        error = UnknownRouteError(f"{request.method} is not for {asked}: use {allowed}")
        answer = answer_error(error, 405)
        answer.headers["Allow"] = allowed
        return answer
