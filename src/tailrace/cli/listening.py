"""The socket a command listens on, had before anything else is begun."""

import errno
import socket
from collections.abc import Sequence

from tailrace.errors import UsageError


def listen(host: str, ports: Sequence[int]) -> socket.socket:
    """A socket that listens on `host`, at the first of `ports` that is free; port 0 always is.

    Raises:
        UsageError: none of them is, or this machine may not listen there.
    """
    for port in ports:
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family)
        except OSError as error:
            raise UsageError(f"{host} is no address to listen on: {error.strerror}") from None
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            # Binding alone may succeed beside another socket that has not begun to listen.
            listener.listen(1024)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise UsageError(
                    f"cannot listen on port {port} of {host}: {error.strerror}"
                ) from None
        else:
            return listener
    if len(ports) > 1:
        raise UsageError(f"ports {ports[0]} to {ports[-1]} of {host} are all in use")
    raise UsageError(
        f"port {ports[0]} of {host} is in use, perhaps by another control room: "
        "choose another one, or 0 for any that is free"
    )
