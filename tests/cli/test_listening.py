"""The socket a command listens on."""

import socket

import pytest

from tailrace.cli.listening import listen
from tailrace.errors import UsageError


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_it_can_be_connected_to(host: str) -> None:
    with listen(host, [0]) as listener:
        address = listener.getsockname()[:2]
        with socket.create_connection(address, 10):
            assert listener.accept()


def test_the_first_free_port_is_taken() -> None:
    with listen("127.0.0.1", [0]) as taken:
        port = taken.getsockname()[1]
        with listen("127.0.0.1", range(port, port + 20)) as other:
            assert port < other.getsockname()[1] < port + 20


def test_a_port_that_was_asked_for_must_be_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UsageError, match=rf"port {port} of 127\.0\.0\.1 is in use.*another one"
        ):
            listen("127.0.0.1", [port])
        with pytest.raises(UsageError, match=rf"ports {port} to {port} of 127\.0\.0\.1 are all"):
            listen("127.0.0.1", [port, port])


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_of_no_interface_here(host: str) -> None:
    with pytest.raises(UsageError, match=host):
        listen(host, [0])
