"""The control room as one ASGI application: pages, REST, and the documentation of both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from nicegui import Client, ui
from starlette.middleware.gzip import GZipMiddleware

from tailrace.control.faces import rest, urls
from tailrace.control.guesses import Guesses
from tailrace.control.interface import LoadControl, UnknownServiceError
from tailrace.dashboard.access import Access
from tailrace.dashboard.feed import Feeds, points_router
from tailrace.dashboard.frame import TITLE, frame, missing, serve_static
from tailrace.dashboard.overview import Board, Overview
from tailrace.dashboard.runs_page import runs_page, runs_router
from tailrace.dashboard.service_page import service_page
from tailrace.openapi_page import page as openapi_page
from tailrace.runs.directory import RUNS_DIR
from tailrace.view.markup import FAVICON


def create_app(
    control: LoadControl,
    *,
    token: str | None = None,
    guesses: Guesses | None = None,
    runs_dir: Path = RUNS_DIR,
) -> FastAPI:
    """The pages `/services` and `/runs`, REST under `/api`, its documentation at `/docs`.

    Without a `token`, only requests to a loopback name are answered; with one, those that know it;
    `guesses` counts the wrong ones, those of other faces included.
    `runs_dir` is where `control` keeps its runs.

    Serve it on the event loop that runs `control`. NiceGUI keeps its pages in the process, so
    one application a process.
    """
    feeds = Feeds(control)
    board = Board(feeds)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await feeds.start()
        yield
        board.close()
        await feeds.close()

    # What REST says of itself is served beside it.
    app = FastAPI(openapi_url=None, lifespan=lifespan)
    app.router.routes += [*rest.routes(control), *urls.routes(control)]
    app.include_router(points_router(feeds))
    app.include_router(runs_router(runs_dir))
    app.get("/static/{path:path}", include_in_schema=False)(serve_static)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(openapi_page(f"{TITLE}: REST interface"))

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        services = await control.list()
        only = f"/{services[0].id}" if len(services) == 1 else ""
        return RedirectResponse(f"/services{only}", 307)

    @ui.page("/services")
    async def services_page(client: Client) -> None:
        said = await board.all()
        with frame(client, "Services", active="services"):
            Overview(control, board, client, said)

    @ui.page("/services/{id}")
    async def one_service_page(id: str, client: Client) -> Response | None:  # noqa: A002
        try:
            feed = feeds.find(id)
            await feed.look()
        except UnknownServiceError:
            return missing(client.request, "service", id, "services")
        with frame(client, feed.service.name, active="services"):
            service_page(control, feeds, feed, client)
        return None

    @ui.page("/runs")
    async def all_runs_page(client: Client) -> None:
        await runs_page(control, client)

    ui.run_with(
        app,
        title=TITLE,
        favicon=FAVICON,
        language="en-US",
        tailwind=False,
        binding_refresh_interval=None,
        show_welcome_message=False,
    )
    # An hour of intervals is 12 MB: the fastest level makes a tenth of it, in a thread.
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=1)
    app.add_middleware(Access, token=token, guesses=guesses)
    return app
