"""The parent of the worker processes: starts them, replaces those that die, stops them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from tailrace.errors import TailraceError, UsageError
from tailrace.machine import cgroup
from tailrace.service.config import ServiceConfig
from tailrace.service.dealer import Dealer
from tailrace.service.messages import (
    Failed,
    Leaving,
    Listening,
    Loaded,
    Ready,
    decode_report,
    encode,
)
from tailrace.service.meter import new_sheet
from tailrace.service.relay import Relay
from tailrace.service.sheet import ASIDE, BROKEN, HANGS, PID
from tailrace.service.watch import LOOK_S, Watch

_SETTLED_S = 5.0
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_LAST_WORDS_S = 1.0
# What a worker needs to end once its grace is over.
KILL_AFTER_S = 1.0


def supervise(
    config: ServiceConfig,
    listener: socket.socket,
    announce: Callable[[], None],
    say: Callable[[str], None],
) -> None:
    """Keeps `config.workers` processes serving on `listener` until SIGTERM or SIGINT.

    Calls `announce` when the models have first been loaded.

    Raises:
        TailraceError: the models cannot be loaded, or a worker died before all were ready.
    """
    asyncio.run(_Supervisor(config, listener, announce, say).run())


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal a child that may have ended. Its own `kill` and `terminate` look for its exit status
    first, and so take it from what waits for that, which then speaks of an unknown child.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


class _Supervisor:
    def __init__(
        self,
        config: ServiceConfig,
        listener: socket.socket,
        announce: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._config = config
        self._listener = listener
        self._dealer = Dealer(listener)
        self._announce = announce
        self._say = say
        self._relay = Relay(say)
        self._sheet = new_sheet(config.workers, config.models)
        self._announced = False
        self._ready: set[int] = set()
        self._all_ready = False
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._memory_kills = cgroup.memory_kills()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        stopping: asyncio.Task[Any] = asyncio.create_task(self._stopping.wait())
        summing = asyncio.create_task(self._relay.sum_up())
        keepers = {asyncio.create_task(self._keep(i)) for i in range(self._config.workers)}
        try:
            done, _ = await asyncio.wait({stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._stopping.set()
            self._sheet.stop()
            await self._dealer.close(self._config.grace_s)
            await self._stop(keepers)
            summing.cancel()
            self._relay.say_sum()

    async def _stop(self, keepers: set[asyncio.Task[None]]) -> None:
        for process in self._running.values():
            _signal(process, signal.SIGTERM)
        _, slow = await asyncio.wait(keepers, timeout=self._config.grace_s + KILL_AFTER_S)
        for process in self._running.values():
            _signal(process, signal.SIGKILL)
        if slow:
            self._say(f"{len(slow)} workers had not finished in time and were killed")
        await asyncio.gather(*keepers, return_exceptions=True)

    async def _keep(self, index: int) -> None:
        delay_s = 0.0
        while not self._stopping.is_set():
            began_s = time.monotonic()
            how = await self._run_one(index)
            if self._stopping.is_set():
                return
            if not self._all_ready:
                raise TailraceError(f"worker {index + 1} {how} before the service was ready")
            lived_s = time.monotonic() - began_s
            delay_s = (
                0.0
                if lived_s >= _SETTLED_S
                else min(max(2 * delay_s, _FIRST_DELAY_S), _LONGEST_DELAY_S)
            )
            after = f" in {delay_s:g} s" if delay_s else ""
            self._say(f"worker {index + 1} {how}: starting another{after}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)

    async def _run_one(self, index: int) -> str:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "tailrace.service.process"),
                *(str(index), str(theirs.fileno()), str(self._sheet.file)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(), self._sheet.file),
                # Should a picture's header ever be read otherwise here than there.
                env=os.environ | {"OPENCV_IO_MAX_IMAGE_PIXELS": str(self._config.max_pixels)},
                # Ctrl-C in a terminal is for the parent, which stops its workers in turn.
                start_new_session=True,
            )
            theirs.close()
            assert process.stderr is not None
            relaying = asyncio.create_task(
                self._relay.pass_on(process.stderr, functools.partial(self._note_broken, index))
            )
            self._running[index] = process
            self._sheet.head(index)[PID] = process.pid
            if self._stopping.is_set():
                # It was not there yet when the others were told.
                _signal(process, signal.SIGTERM)
            try:
                return f"(pid {process.pid}) {await self._attend(index, process, ours)}"
            finally:
                self._dealer.remove(ours)
                self._ready.discard(index)
                self._sheet.note_death(index)
                del self._running[index]
                # One that has told why it cannot start is still there.
                if process.returncode is None:
                    _signal(process, signal.SIGKILL)
                    await process.wait()
                # What it said is before what is said of it.
                await asyncio.wait({relaying}, timeout=_LAST_WORDS_S)

    def _note_broken(self, index: int, pictures: int) -> None:
        self._sheet.head(index)[BROKEN] += pictures

    async def _attend(
        self, index: int, process: asyncio.subprocess.Process, pipe: socket.socket
    ) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(encode(self._config))
            await process.stdin.drain()
        reason = ""
        watching: asyncio.Task[str] | None = None
        try:
            async for line in process.stdout:
                report = decode_report(line)
                if isinstance(report, Failed):
                    reason = report.reason
                    if not self._all_ready:
                        raise (UsageError if report.usage else TailraceError)(reason)
                elif isinstance(report, Loaded) and not self._announced:
                    self._announced = True
                    self._announce()
                elif isinstance(report, Listening):
                    self._dealer.add(pipe, ready=False)
                elif isinstance(report, Ready):
                    self._dealer.add(pipe, ready=True)
                    self._note_ready(index, process.pid)
                    watching = asyncio.create_task(
                        self._watch(index, process, pipe, report.slowest_s)
                    )
                elif isinstance(report, Leaving):
                    self._dealer.remove(pipe)
                    pipe.shutdown(socket.SHUT_WR)
                    if watching is not None:
                        watching.cancel()
            code = await process.wait()
        finally:
            if watching is not None:
                watching.cancel()
        if watching is not None and watching.done() and not watching.cancelled():
            return f"hung: {watching.result()}"
        return f"could not start ({reason})" if reason else self._ending(code)

    async def _watch(
        self, index: int, process: asyncio.subprocess.Process, pipe: socket.socket, slowest_s: float
    ) -> str:
        # Kills it if it hangs, and tells why.
        head = self._sheet.head(index)
        watch = Watch(head, self._config.stuck_s, slowest_s)
        while True:
            await asyncio.sleep(LOOK_S)
            watch.look()
            if reason := watch.hangs:
                head[ASIDE] = 1
                head[HANGS] += 1
                _signal(process, signal.SIGKILL)
                return reason
            if watch.is_silent == bool(head[ASIDE]):
                continue
            head[ASIDE] = int(watch.is_silent)
            who = f"worker {index + 1} (pid {process.pid})"
            if watch.is_silent:
                self._dealer.remove(pipe)
                self._say(f"{who} stands still: it gets no new connections")
            else:
                self._dealer.add(pipe, ready=True)
                self._say(f"{who} moves again")

    def _ending(self, code: int) -> str:
        if code >= 0:
            return f"ended with code {code}"
        how = f"died of {signal.Signals(-code).name}"
        kills = cgroup.memory_kills()
        if -code == signal.SIGKILL and kills > self._memory_kills:
            self._memory_kills = kills
            how += ": the container's memory was used up"
        return how

    def _note_ready(self, index: int, pid: int) -> None:
        self._ready.add(index)
        if self._all_ready:
            self._say(f"worker {index + 1} (pid {pid}) ready")
        elif len(self._ready) == self._config.workers:
            self._all_ready = True
            self._say("ready")
