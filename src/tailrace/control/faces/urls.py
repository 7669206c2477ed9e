"""The original system's URLs, with its parameters and meanings.

| URL | does |
| --- | --- |
| `/startOnlineQuery.do?intensity=&serviceId=` | starts a run at that rate; sets it if one runs |
| `/setIntensity.do?intensity=&serviceId=` | changes the rate, at once or of the next start |
| `/stopOnlineQuery.do?serviceId=` | stops; answers once nothing is in flight any more |
| `/goOnlineQuery.do?serviceId=` | goes to the service's page, by a redirect (303) |

`intensity` is requests a second, `serviceId` the service's id; the answer is a ServiceInfo as JSON,
or an error as REST answers it. They are asked for by GET, as the original's page did, or by POST
with the parameters in the address or as a form. Though a GET, each may change something, and is
refused where another site's page asks for it.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from tailrace.control.faces.answers import Route, answer_json, refuse_others
from tailrace.control.faces.openapi import answers
from tailrace.control.interface import LoadControl, ServiceInfo
from tailrace.errors import UsageError

_FORM = "application/x-www-form-urlencoded"
_ABOUT: dict[str, dict[str, Any]] = {
    "intensity": {
        "schema": {"type": "number", "minimum": 0},
        "example": "200",
        "description": "Requests a second",
    },
    "serviceId": {
        "schema": {"type": "string"},
        "example": "demo",
        "description": "As `GET /api/services` lists it",
    },
}


def router(control: LoadControl) -> APIRouter:
    """The routes; errors are answered as REST does."""
    routes = APIRouter(route_class=Route, tags=["the original's URLs"])

    async def start_online_query(request: Request) -> Response:
        given = await _parameters(request)
        service_id, rate = _text(given, "serviceId"), _rate(given)
        service = await control.get(service_id)
        change = control.set_rate if service.state in ("starting", "running") else control.start
        return answer_json(await change(service_id, rate))

    async def set_intensity(request: Request) -> Response:
        given = await _parameters(request)
        service_id, rate = _text(given, "serviceId"), _rate(given)
        return answer_json(await control.set_rate(service_id, rate))

    async def stop_online_query(request: Request) -> Response:
        service_id = _text(await _parameters(request), "serviceId")
        return answer_json(await control.stop(service_id))

    async def go_online_query(request: Request) -> Response:
        service = await control.get(_text(await _parameters(request), "serviceId"))
        return RedirectResponse(f"/services/{quote(service.id, safe='')}", 303)

    both = ("intensity", "serviceId")
    done = answers(ServiceInfo, 400, 403, 404)
    _add(
        routes,
        "/startOnlineQuery.do",
        start_online_query,
        both,
        summary="Start a run at that rate, or set the rate of the one in progress",
        responses=answers(ServiceInfo, 400, 403, 404, 409),
    )
    _add(
        routes,
        "/setIntensity.do",
        set_intensity,
        both,
        summary="Change the rate, of the run at once or of the next start",
        responses=done,
    )
    _add(
        routes,
        "/stopOnlineQuery.do",
        stop_online_query,
        ("serviceId",),
        summary="Stop offering; answers once nothing is in flight any more",
        responses=done,
    )
    _add(
        routes,
        "/goOnlineQuery.do",
        go_online_query,
        ("serviceId",),
        summary="Go to the service's page",
        status_code=303,
        response_class=RedirectResponse,
        responses=answers(None, 400, 403, 404, status=303),
    )
    refuse_others(routes, "/{name}.do")
    return routes


def _add(
    routes: APIRouter,
    path: str,
    handler: Callable[[Request], Awaitable[Response]],
    names: Sequence[str],
    **described: Any,
) -> None:
    required = [{"name": name, "in": "query", "required": True, **_ABOUT[name]} for name in names]
    routes.get(path, openapi_extra={"parameters": required}, **described)(handler)
    optional = [{**parameter, "required": False} for parameter in required]
    form = {"type": "object", "properties": {name: _ABOUT[name]["schema"] for name in names}}
    body = {"content": {_FORM: {"schema": form}}, "required": False}
    extra = {"parameters": optional, "requestBody": body}
    routes.post(path, openapi_extra=extra, **described)(handler)


async def _parameters(request: Request) -> dict[str, list[str]]:
    pairs = list(request.query_params.multi_items())
    if request.headers.get("content-type", "").startswith(_FORM):
        form = (await request.body()).decode("utf-8", "replace")
        pairs += parse_qsl(form, keep_blank_values=True)
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    return given


def _text(given: dict[str, list[str]], name: str) -> str:
    values = given.get(name, [])
    if len(values) != 1 or not values[0]:
        example = _ABOUT[name]["example"]
        raise UsageError(f"{name} must be given once, as in {name}={example}")
    return values[0]


def _rate(given: dict[str, list[str]]) -> float:
    text = _text(given, "intensity")
    try:
        rate_per_s = float(text)
    except ValueError:
        rate_per_s = math.nan
    if not 0 <= rate_per_s < math.inf:
        raise UsageError(f"intensity must be a number of requests a second, not {text!r}")
    return rate_per_s
