"""Connections that also note what raw samples have of an answer."""

from time import monotonic_ns

from tailrace.load.client.connection import Connection
from tailrace.load.client.expect import CheckedConnection


class SampledConnection(Connection):
    """A connection whose requests are raw samples, too; its recorder has a SampleLog."""

    _first_byte_ns = 0
    _received = 0
    """Bytes of the answer so far."""

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        if not self._received:
            self._first_byte_ns = monotonic_ns()
        self._received += len(data)
        super().data_received(data)

    def on_message_complete(self) -> None:
        """The answer is whole; if it is a good one, it takes this row."""
        recorder = self._recorder
        samples = recorder.samples
        assert samples is not None
        row = recorder.row
        samples.first_bytes[row] = self._first_byte_ns
        samples.statuses[row] = self._parser.get_status_code()
        samples.sizes[row] = self._received
        samples.targets[row] = self._owner.target
        super().on_message_complete()
        if not self.intended:
            self._received = 0

    def _failed(self, intended_ns: int, reason: str, answer: bytes = b"") -> None:
        super()._failed(intended_ns, reason, answer)
        samples = self._recorder.samples
        assert samples is not None
        samples.fail(
            reason,
            intended_ns,
            monotonic_ns(),
            self._owner.target,
            sent_ns=self.sent_ns,
            first_byte_ns=self._first_byte_ns if self._received else 0,
            size=self._received,
            status=self._parser.get_status_code() if self._headers_done else 0,
        )


class SampledCheckedConnection(SampledConnection, CheckedConnection):
    """The same, of one that looks into bodies."""
