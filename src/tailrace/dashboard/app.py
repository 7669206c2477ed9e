"""The control room as one ASGI application: page, REST, and the documentation of both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from nicegui import Client, ui

import tailrace
from tailrace.control import rest
from tailrace.control.interface import LoadControl
from tailrace.dashboard.access import Access
from tailrace.dashboard.feed import Feeds
from tailrace.dashboard.page import View
from tailrace.dashboard.theme import FAVICON
from tailrace.openapi_page import page as openapi_page

TITLE = "Tailrace control room"


def create_app(control: LoadControl, *, token: str | None = None) -> FastAPI:
    """The page at `/`, REST under `/api`, its documentation at `/docs`.

    Without a `token`, only requests to a loopback name are answered; with one, those that know it.

    Serve it on the event loop that runs `control`. NiceGUI keeps its page in the process, so
    one application a process.
    """
    feeds = Feeds(control)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await feeds.all()
        yield
        await feeds.close()

    app = FastAPI(
        title=TITLE,
        version=tailrace.__version__,
        description="Steer the load on services, and read their tail latency back.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(rest.router(control))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(openapi_page(f"{TITLE}: REST interface"))

    @ui.page("/")
    async def index(client: Client, service: str | None = None) -> None:
        known = await feeds.all()
        if not known:
            ui.label("No service is configured.")
            return
        shown = next((feed for feed in known if feed.service.id == service), known[0])
        await shown.refresh()
        View(control, known, shown, client)

    ui.run_with(
        app,
        title=TITLE,
        favicon=FAVICON,
        language="en-US",
        tailwind=False,
        binding_refresh_interval=None,
        show_welcome_message=False,
    )
    app.add_middleware(Access, token=token)
    return app
