"""The certificate with which REST, page and gRPC answer over TLS."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import UsageError


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: the certificate, those of its issuers after it, and its key without a password."""

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
