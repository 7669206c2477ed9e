"""REST: LoadControl over HTTP. JSON as msgspec writes the interface's own structs."""

from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Path, Request, Response

from tailrace.control.faces.answers import Route, answer_json, refuse_others
from tailrace.control.faces.openapi import (
    CONFIG_EXAMPLE,
    GivenLabel,
    GivenProfile,
    Rate,
    StartRate,
    answers,
    body,
    change_body,
)
from tailrace.control.faces.streams import stream_events, stream_run
from tailrace.control.interface import (
    LoadControl,
    Point,
    RunInfo,
    RunRecord,
    SearchInfo,
    ServiceConfig,
    ServiceInfo,
    Update,
    Window,
)
from tailrace.control.json_codec import convert, decode
from tailrace.errors import UsageError

T = TypeVar("T")
ServiceId = Annotated[str, Path(description="As `GET /api/services` lists it")]
RunName = Annotated[str, Path(description="As `GET /api/runs` lists it")]


def router(control: LoadControl, *, heartbeat_s: float = 10.0) -> APIRouter:
    """The routes below `/api`; errors are answered as `{"error": "…", "type": "…"}`.

    A stream gets a comment after `heartbeat_s` of silence, so that proxies keep it open.
    """
    routes = APIRouter(prefix="/api", route_class=Route)
    _add_services(routes, control)
    _add_load(routes, control)
    _add_figures(routes, control, heartbeat_s)
    _add_runs(routes, control)

    refuse_others(routes, "/{path:path}")
    return routes


def _add_services(routes: APIRouter, control: LoadControl) -> None:
    tags: list[Any] = ["services"]

    @routes.get(
        "/services",
        tags=tags,
        summary="All services",
        responses=answers(list[ServiceInfo]),
    )
    async def list_services() -> Response:
        return answer_json(await control.list())

    @routes.post(
        "/services",
        tags=tags,
        summary="Add a service, which is idle until it is started",
        status_code=201,
        responses=answers(ServiceInfo, 400, 403, 409, status=201),
        openapi_extra=body(ServiceConfig, CONFIG_EXAMPLE),
    )
    async def add(request: Request) -> Response:
        service = await control.add(_read(await request.body(), ServiceConfig))
        answer = answer_json(service, 201)
        answer.headers["Location"] = f"/api/services/{service.id}"
        return answer

    @routes.get(
        "/services/{id}",
        tags=tags,
        summary="One service",
        responses=answers(ServiceInfo, 404),
    )
    async def get_service(id: ServiceId) -> Response:  # noqa: A002
        return answer_json(await control.get(id))

    @routes.put(
        "/services/{id}",
        tags=tags,
        summary="Give an idle service another configuration; its id may be left out",
        responses=answers(ServiceInfo, 400, 403, 404, 409),
        openapi_extra=change_body(),
    )
    async def change(id: ServiceId, request: Request) -> Response:  # noqa: A002
        fields = _read(await request.body(), dict[str, Any])
        if fields.setdefault("id", id) != id:
            raise UsageError(f"the address says service {id!r}, the body {fields['id']!r}")
        try:
            config = convert(fields, ServiceConfig)
        except msgspec.ValidationError as error:
            raise _unreadable(error) from error
        return answer_json(await control.change(config))

    @routes.delete(
        "/services/{id}",
        tags=tags,
        summary="Take an idle service off the list; its runs are kept",
        status_code=204,
        responses=answers(None, 403, 404, 409, status=204),
    )
    async def remove(id: ServiceId) -> Response:  # noqa: A002
        await control.remove(id)
        return Response(status_code=204)

    @routes.get(
        "/services/{id}/config",
        tags=tags,
        summary="How it was configured; a rate or profile set later is in its profile",
        responses=answers(ServiceConfig, 404),
    )
    async def config(id: ServiceId) -> Response:  # noqa: A002
        return answer_json(await control.config(id))


def _add_load(routes: APIRouter, control: LoadControl) -> None:
    tags: list[Any] = ["load"]

    @routes.post(
        "/services/{id}/start",
        tags=tags,
        summary="Start a run, at a rate or at the service's own profile",
        responses=answers(ServiceInfo, 400, 403, 404, 409),
        openapi_extra=body(StartRate, {"rate": 200}, required=False),
    )
    async def start(id: ServiceId, request: Request) -> Response:  # noqa: A002
        given = await request.body()
        rate = _read(given, StartRate).rate if given.strip() else None
        return answer_json(await control.start(id, rate))

    @routes.post(
        "/services/{id}/stop",
        tags=tags,
        summary="Stop offering; answers once nothing is in flight any more",
        responses=answers(ServiceInfo, 403, 404),
    )
    async def stop(id: ServiceId) -> Response:  # noqa: A002
        return answer_json(await control.stop(id))

    @routes.put(
        "/services/{id}/rate",
        tags=tags,
        summary="Change the rate, of the run at once or of the next start",
        responses=answers(ServiceInfo, 400, 403, 404),
        openapi_extra=body(Rate | float, {"rate": 200}),
    )
    async def set_rate(id: ServiceId, request: Request) -> Response:  # noqa: A002
        given: Rate | float = _read(await request.body(), Rate | float)
        rate = given.rate if isinstance(given, Rate) else given
        return answer_json(await control.set_rate(id, rate))

    @routes.put(
        "/services/{id}/profile",
        tags=tags,
        summary="Change the profile, which begins now for a run, or with the next start",
        responses=answers(ServiceInfo, 400, 403, 404),
        openapi_extra=body(GivenProfile | str, {"profile": "100..1000/60s"}),
    )
    async def set_profile(id: ServiceId, request: Request) -> Response:  # noqa: A002
        given: GivenProfile | str = _read(await request.body(), GivenProfile | str)
        profile = given.profile if isinstance(given, GivenProfile) else given
        return answer_json(await control.set_profile(id, profile))


def _add_figures(routes: APIRouter, control: LoadControl, heartbeat_s: float) -> None:
    tags: list[Any] = ["figures"]
    events = "text/event-stream"

    @routes.get(
        "/services/{id}/latest",
        tags=tags,
        summary="The last complete interval; null before the first",
        responses=answers(Point | None, 404),
    )
    async def latest(id: ServiceId) -> Response:  # noqa: A002
        return answer_json(await control.latest(id))

    @routes.get(
        "/services/{id}/window",
        tags=tags,
        summary="The last intervals taken together, and the intervals themselves",
        responses=answers(Window, 404),
    )
    async def window(id: ServiceId) -> Response:  # noqa: A002
        return answer_json(await control.window(id))

    @routes.get(
        "/services/{id}/stream",
        tags=tags,
        summary="Server-sent events: one Update at once, then one each interval or change",
        responses=answers(Update, 404, media_type=events),
    )
    async def stream(id: ServiceId, request: Request) -> Response:  # noqa: A002
        await control.get(id)
        return stream_events(request, control.watch(id), heartbeat_s)

    @routes.get(
        "/stream",
        tags=tags,
        summary="The same of all services, those added later included",
        responses=answers(Update, media_type=events),
    )
    async def stream_all(request: Request) -> Response:
        return stream_events(request, control.watch(), heartbeat_s)


def _add_runs(routes: APIRouter, control: LoadControl) -> None:
    tags: list[Any] = ["runs"]

    @routes.get(
        "/runs", tags=tags, summary="All runs, newest first", responses=answers(list[RunInfo])
    )
    async def runs() -> Response:
        return answer_json(await control.runs())

    @routes.get(
        "/runs/{name}",
        tags=tags,
        summary="One run, with every interval that it finished",
        responses=answers(RunRecord, 404),
    )
    async def run(name: RunName) -> Response:
        return stream_run(await control.run(name))

    @routes.patch(
        "/runs/{name}",
        tags=tags,
        summary="Give a run or a search a title, a note, or both",
        status_code=204,
        responses=answers(None, 400, 403, 404, status=204),
        openapi_extra=body(GivenLabel, {"title": "two workers", "note": "after the new driver"}),
    )
    async def label(name: RunName, request: Request) -> Response:
        given = _read(await request.body(), GivenLabel)
        await control.label_run(name, title=given.title, note=given.note)
        return Response(status_code=204)

    @routes.delete(
        "/runs/{name}",
        tags=tags,
        summary="Delete a run or a search that is over, with all of its files",
        status_code=204,
        responses=answers(None, 400, 403, 404, 409, status=204),
    )
    async def delete(name: RunName) -> Response:
        await control.delete_run(name)
        return Response(status_code=204)

    @routes.get(
        "/searches",
        tags=tags,
        summary="All searches, by `tailrace find`, newest first",
        responses=answers(list[SearchInfo]),
    )
    async def searches() -> Response:
        return answer_json(await control.searches())


def _read(data: bytes, kind: Any) -> Any:
    try:
        return decode(data, kind)
    except msgspec.DecodeError as error:
        raise _unreadable(error) from error


def _unreadable(error: msgspec.DecodeError) -> UsageError:
    return UsageError(f"the body cannot be read as what /docs says belongs here: {error}")
