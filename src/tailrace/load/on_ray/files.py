"""Files that a load worker reads by name: they go to the nodes under names of their own."""

import hashlib
from dataclasses import replace
from pathlib import Path

import msgspec

from tailrace.errors import UsageError
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile_text import Part, join_parts, parse_parts
from tailrace.load.schedule.trace import RateTrace, Replay
from tailrace.load.worker.messages import Change, Message, Setup


class Parcel:
    """The files that messages name, by the names they have in them once they are rewritten. Each is
    read once: one that is gone later is still here.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._rewritten: dict[str, str] = {}
        """Arrivals and names of files, as they were and as they are now."""

    def pack(self, message: Message) -> Message:
        """The message with every file it names by the name in `files`.

        Raises:
            UsageError: one cannot be read, or is a Unix socket.
        """
        match message:
            case Setup():
                if any(endpoint.unix_socket is not None for endpoint in message.endpoints):
                    raise UsageError("a Unix socket is this machine's alone: not with --ray")
                return msgspec.structs.replace(
                    message,
                    arrivals=self._arrivals(message.arrivals),
                    profile=[
                        (start, area, self._profile(text)) for start, area, text in message.profile
                    ],
                    endpoints=[
                        msgspec.structs.replace(
                            endpoint,
                            ca_file=self._optional(endpoint.ca_file),
                            cert_file=self._optional(endpoint.cert_file),
                            key_file=self._optional(endpoint.key_file),
                        )
                        for endpoint in message.endpoints
                    ],
                )
            case Change(t_s, profile):
                return Change(t_s, self._profile(profile))
            case _:
                return message

    def _arrivals(self, text: str) -> str:
        if text not in self._rewritten:
            arrivals = parse_arrivals(text)
            if isinstance(arrivals, Replay):
                arrivals = replace(arrivals, path=self._name(arrivals.path))
            self._rewritten[text] = arrivals.expression
        return self._rewritten[text]

    def _profile(self, text: str) -> str:
        if "trace" not in text:
            return text
        return join_parts(
            [
                Part(replace(part.segment, path=self._name(part.segment.path)), part.length_s)
                if isinstance(part.segment, RateTrace)
                else part
                for part in parse_parts(text)
            ]
        )

    def _optional(self, path: str | None) -> str | None:
        return self._name(path) if path is not None else None

    def _name(self, path: str) -> str:
        if path not in self._rewritten:
            try:
                content = Path(path).read_bytes()
            except OSError as error:
                raise UsageError(f"cannot read {path}: {error.strerror}") from None
            name = hashlib.sha256(content).hexdigest()[:24]
            self.files[name] = content
            self._rewritten[path] = name
        return self._rewritten[path]
