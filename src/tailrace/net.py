"""What servers and clients of every kind ask of the network: what only this machine reaches, and
which certificates to show and to trust.
"""

import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tailrace.errors import UsageError


def resolve(host: str) -> tuple[socket.AddressFamily, str]:
    """Address family and numeric address of a host to serve on.

    Raises:
        UsageError: the name does not resolve.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"--host {host} is no address of this machine: {error}") from error
    family, _, _, _, address = found[0]
    return family, str(address[0])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`.

    Raises:
        UsageError: the name does not resolve.
    """
    _, address = resolve(host)
    return ip_address(address.partition("%")[0]).is_loopback


def names_loopback(host: str) -> bool:
    """Whether a Host header, with or without a port, names this machine and nothing else; no
    resolver is asked, since a name may lead here that is somebody else's.
    """
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]").lower()
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def trusting(ca_file: str | Path | None, *, verify: bool = True) -> ssl.SSLContext:
    """For a client that trusts the certificates in `ca_file` (PEM), or the usual ones for None;
    without `verify` any.

    Raises:
        UsageError: the file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"cannot use the CA file {ca_file}: {error}") from None
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class Certificate:
    """With what a server answers over TLS. PEM files: the certificate, those of its issuers after
    it, and its key without a password.
    """

    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """For a server; TLS 1.2 or newer.

        Raises:
            UsageError: a file cannot be read or is none, or the key is not the certificate's.
        """
        self.pem()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # A password, even an empty one, lest OpenSSL ask for it on the terminal.
            context.load_cert_chain(self.cert, self.key, password="")
        except ssl.SSLError as error:
            raise UsageError(
                f"no TLS with {self.cert} and {self.key} ({error.reason or 'not readable'}): they "
                "must be PEM files, the key the certificate's own and without a password"
            ) from None
        return context

    def pem(self) -> tuple[bytes, bytes]:
        """The contents of both files: certificate, key.

        Raises:
            UsageError: one cannot be read.
        """
        try:
            return self.cert.read_bytes(), self.key.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {error.filename} for TLS: {error.strerror}") from None
