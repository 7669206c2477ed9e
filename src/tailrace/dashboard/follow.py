"""Following all services, whatever becomes of a single update."""

import asyncio
from collections.abc import Awaitable, Callable

from tailrace.control.interface import LoadControl, UnknownServiceError, Update


async def follow(control: LoadControl, take: Callable[[Update], Awaitable[None]]) -> None:
    """Have `take` called with each update, those of services added later included.

    What goes wrong with one is told to the event loop's handler; the pages of all services would
    stand still if it ended this.
    """
    loop = asyncio.get_running_loop()
    async for update in control.watch(None):
        try:
            await take(update)
        except UnknownServiceError:
            continue  # removed since; the update that says so follows
        except Exception as error:  # noqa: BLE001
            what = f"The pages have missed an update of service {update.service.id!r}"
            loop.call_exception_handler({"message": what, "exception": error})
