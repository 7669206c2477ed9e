"""The page of an interface's routes, as a browser draws it."""

import json

import pytest
from playwright.async_api import Browser, Route, expect

from tailrace.control.faces.openapi import document
from tailrace.openapi_page import page

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORIGIN = "http://routes.test"


async def test_a_body_is_shown_with_what_its_fields_mean(browser: Browser) -> None:
    async def answer(route: Route) -> None:
        if route.request.url == f"{ORIGIN}/docs":
            await route.fulfill(body=page("Routes"), content_type="text/html")
        else:
            assert route.request.url == f"{ORIGIN}/openapi.json"
            await route.fulfill(body=json.dumps(document()), content_type="application/json")

    context = await browser.new_context()
    try:
        shown = await context.new_page()
        await shown.route("**/*", answer)
        await shown.goto(f"{ORIGIN}/docs")
        route = shown.locator("details").filter(has_text="POST/api/services").first
        await route.locator("summary").click()
        about = document()["components"]["schemas"]["ServiceConfig"]["properties"]["seed"]
        sketch = route.locator("pre").first
        await expect(sketch).to_contain_text(f'// {about["description"]}\n  "seed": integer')
    finally:
        await context.close()
