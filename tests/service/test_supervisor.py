"""The parent, in this process."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import Process
from typing import Any

import pytest

from tailrace.service.config import ServiceConfig
from tailrace.service.supervisor import supervise
from tailrace.service.workers import bind


def test_worker_that_was_not_there_yet_is_stopped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    spawn = asyncio.create_subprocess_exec

    async def told_to_stop_meanwhile(*arguments: Any, **settings: Any) -> Process:
        process = await spawn(*arguments, **settings)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.2)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", told_to_stop_meanwhile)
    said: list[str] = []
    config = ServiceConfig(models=("null",), workers=2, grace_s=1.0)
    with bind("127.0.0.1", 0) as listener:
        supervise(config, listener, lambda: said.append("serving"), said.append)
    assert said == []
