"""What only this machine reaches, whom clients trust, and certificates that can be used."""

import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from tailrace.errors import UsageError
from tailrace.net import Certificate, is_loopback, names_loopback, trusting


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


@pytest.fixture
def tls(tmp_path: Path) -> Certificate:
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "room.pem")
    issued.private_key_pem.write_to_path(tmp_path / "room.key")
    return Certificate(tmp_path / "room.pem", tmp_path / "room.key")


def test_a_certificate_and_its_key_make_a_context(tls: Certificate) -> None:
    context = tls.context()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert tls.pem() == (tls.cert.read_bytes(), tls.key.read_bytes())


@pytest.mark.parametrize("missing", ["room.pem", "room.key"])
def test_a_missing_file_is_named(tls: Certificate, missing: str) -> None:
    tls.cert.with_name(missing).unlink()
    with pytest.raises(UsageError, match=missing):
        tls.context()


@pytest.mark.parametrize("broken", ["room.pem", "room.key"])
def test_a_broken_file_is_named(tls: Certificate, broken: str) -> None:
    tls.cert.with_name(broken).write_text("no certificate")
    with pytest.raises(UsageError, match=broken):
        tls.context()


def test_anothers_key_is_refused(tls: Certificate) -> None:
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(tls.key)
    with pytest.raises(UsageError, match=r"room\.key.*the key the certificate's own"):
        tls.context()


def test_a_key_with_a_password_is_refused_and_none_is_asked_for(tls: Certificate) -> None:
    key = serialization.load_pem_private_key(tls.key.read_bytes(), None)
    tls.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(UsageError, match="without a password"):
        tls.context()
