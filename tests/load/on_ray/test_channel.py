"""What is sent along when a worker's setup names files."""

from pathlib import Path

import pytest

from tailrace.errors import UsageError
from tailrace.load.client.target import Endpoint, Tls
from tailrace.load.client.traffic import Traffic, Turns
from tailrace.load.config import LoadConfig
from tailrace.load.on_ray.channel import Parcel
from tailrace.load.worker.messages import Change, Setup, Stop


def setup(arrivals: str, profile: str, endpoint: Endpoint | None = None) -> Setup:
    return Setup(
        config=LoadConfig(url="http://h/", arrivals=arrivals),
        worker=0,
        workers=1,
        traffic=Traffic([endpoint or Endpoint(host="h", port=443)], [], Turns((1,), (1.0,))),
        profile=[(0.0, 0.0, "5"), (1.0, 5.0, profile)],
    )


def test_every_file_is_packed_and_named_anew(tmp_path: Path) -> None:
    contents = {"a b.csv": "t\n1\n2\n", "r,1.csv": "t_s,rate\n0,5\n", "ca.pem": "PEM"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    parcel = Parcel()
    packed = parcel.pack(
        setup(
            f"trace:{tmp_path}/a b.csv?scale=2",
            f'trace("{tmp_path}/r,1.csv",speed=3)',
            Endpoint(host="h", port=443, tls=Tls(ca_file=tmp_path / "ca.pem")),
        )
    )
    assert isinstance(packed, Setup)
    assert str(tmp_path) not in repr(packed)
    assert {content.decode() for content in parcel.files.values()} == set(contents.values())
    by_content = {content.decode(): name for name, content in parcel.files.items()}
    assert packed.config.arrivals == f"trace:{by_content[contents['a b.csv']]}?scale=2"
    assert packed.profile[0] == (0.0, 0.0, "5")
    assert packed.profile[1] == (1.0, 5.0, f"trace({by_content[contents['r,1.csv']]},speed=3)")
    assert packed.traffic.endpoints[0].tls == Tls(ca_file=Path(by_content["PEM"]))


def test_a_certificate_of_ones_own_goes_along(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text(name)
    tls = Tls(cert_file=tmp_path / "cert.pem", key_file=tmp_path / "key.pem")
    endpoint = Endpoint(host="h", port=1, tls=tls)
    parcel = Parcel()
    packed = parcel.pack(setup("poisson", "5", endpoint))
    assert isinstance(packed, Setup)
    sent = packed.traffic.endpoints[0].tls
    assert sent is not None
    assert sent.cert_file is not None
    assert sent.key_file is not None
    assert parcel.files[str(sent.cert_file)] == b"cert.pem"
    assert parcel.files[str(sent.key_file)] == b"key.pem"


def test_a_change_is_packed_with_its_lengths(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("t_s,rate\n0,5\n")
    parcel = Parcel()
    packed = parcel.pack(Change(2.5, f"trace({file})@30s,100..200/10s"))
    (name,) = parcel.files
    assert packed == Change(2.5, f"trace({name})@30s,100..200/10s")


def test_what_names_no_file_is_left_as_it_is() -> None:
    parcel = Parcel()
    for message in (setup("gamma:2", "100..200/60s"), Change(1.0, "5@3s,6"), Stop(1.0)):
        assert parcel.pack(message) == message
    assert parcel.files == {}


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"[Nn]o such file"):
        Parcel().pack(Change(1.0, f"trace({tmp_path}/none.csv)"))


def test_a_unix_socket_is_on_one_machine_only() -> None:
    endpoint = Endpoint(host="h", port=80, unix_socket=Path("/run/service"))
    with pytest.raises(UsageError, match="not with --ray"):
        Parcel().pack(setup("poisson", "5", endpoint))
