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
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tailrace.control.faces.rest import Endpoint, answer_json
from tailrace.control.interface import LoadControl
from tailrace.errors import UsageError

_FORM = "application/x-www-form-urlencoded"
_EXAMPLES = {"intensity": "200", "serviceId": "demo"}


def routes(control: LoadControl) -> list[Route]:
    """The routes; errors are answered as REST does."""

    async def start(request: Request) -> Response:
        given = await _parameters(request)
        service_id, rate = _text(given, "serviceId"), _rate(given)
        service = await control.get(service_id)
        change = control.set_rate if service.state in ("starting", "running") else control.start
        return answer_json(await change(service_id, rate))

    async def set_intensity(request: Request) -> Response:
        given = await _parameters(request)
        service_id, rate = _text(given, "serviceId"), _rate(given)
        return answer_json(await control.set_rate(service_id, rate))

    async def stop(request: Request) -> Response:
        service_id = _text(await _parameters(request), "serviceId")
        return answer_json(await control.stop(service_id))

    async def go(request: Request) -> Response:
        service = await control.get(_text(await _parameters(request), "serviceId"))
        return RedirectResponse(f"/services/{quote(service.id, safe='')}", 303)

    answers = {
        "startOnlineQuery": start,
        "setIntensity": set_intensity,
        "stopOnlineQuery": stop,
        "goOnlineQuery": go,
    }
    return [
        *(Route(f"/{name}.do", Endpoint({"GET": do, "POST": do})) for name, do in answers.items()),
        Route("/{name}.do", Endpoint({})),
    ]


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
        raise UsageError(f"{name} must be given once, as in {name}={_EXAMPLES[name]}")
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
