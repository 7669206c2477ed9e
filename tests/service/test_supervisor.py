"""The parent of the worker processes."""

import asyncio
import os
import signal
from typing import Any

import pytest

from tailrace.service.config import ServiceConfig
from tailrace.service.supervisor import supervise
from tailrace.service.workers import bind
from tests.kit.waiting import until


def test_signal_while_a_worker_is_being_started_ends_it_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not known yet when the others are told to end, and still is not waited for."""
    spawn = asyncio.create_subprocess_exec

    async def spawn_meanwhile(*arguments: Any, **settings: Any) -> asyncio.subprocess.Process:
        process = await spawn(*arguments, **settings)
        os.kill(os.getpid(), signal.SIGTERM)
        # Just after that those that are there are told.
        await until(lambda: listener.fileno() < 0)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", spawn_meanwhile)
    said: list[str] = []
    config = ServiceConfig(models=("null",), grace_s=1.0)
    with bind("127.0.0.1", 0) as listener:
        supervise(config, listener, lambda: said.append("announced"), said.append)
    assert said == []
