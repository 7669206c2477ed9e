"""What only this machine reaches, and whom clients trust."""

import ssl
from pathlib import Path

import pytest

from tailrace.errors import UsageError
from tailrace.net import is_loopback, names_loopback, trusting


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False)],
)
def test_what_is_served_to_this_machine_alone(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone


@pytest.mark.parametrize(
    ("header", "ours"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8080", True),
        ("[::1]", True),
        ("[::1]:8080", True),
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("a.localhost", True),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org:80", False),
        ("192.0.2.1", False),
        ("", False),
    ],
)
def test_a_host_header_that_means_this_machine(header: str, ours: bool) -> None:
    assert names_loopback(header) == ours


def test_certificates_are_checked_unless_told_otherwise() -> None:
    assert trusting(None).verify_mode == ssl.CERT_REQUIRED
    assert trusting(None).check_hostname
    assert trusting(None, verify=False).verify_mode == ssl.CERT_NONE


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("absent.pem", "ca.pem"):
        with pytest.raises(UsageError, match=f"cannot use the CA file .*{name}"):
            trusting(tmp_path / name)
