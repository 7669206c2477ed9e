"""Updates as bytes, each translated once for all who watch it."""

from collections import OrderedDict

from tailrace.control.interface import Update
from tailrace.control.rpc.wire import UPDATE

_KEPT = 256


class PackedUpdates:
    """The bytes of updates; those of the last few are kept."""

    def __init__(self) -> None:
        self._recent: OrderedDict[int, tuple[Update, bytes]] = OrderedDict()

    def bytes_of(self, update: Update) -> bytes:
        """`update` as a `tailrace.v1.Update`."""
        # The update is kept beside its bytes, so no other one can have its identity meanwhile.
        known = self._recent.get(id(update))
        if known is not None:
            return known[1]
        data = UPDATE.pack(update).SerializeToString()
        self._recent[id(update)] = update, data
        if len(self._recent) > _KEPT:
            self._recent.popitem(last=False)
        return data
