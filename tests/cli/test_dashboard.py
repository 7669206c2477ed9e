"""`tailrace dashboard`: a control room, really started and really ended."""

from __future__ import annotations

import json
import signal
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

import tailrace
from tailrace.cli.dashboard import services_of
from tailrace.control.config import ServiceConfig
from tailrace.errors import UsageError
from tests.kit.server import answer_never

pytestmark = pytest.mark.slow("starts a control room each time")

if TYPE_CHECKING:
    from tests.kit.programs import ControlRoom, LaunchRoom


def refused(room: ControlRoom) -> str:
    """The one line that a control room says which does not start."""
    line = room.expect(r"^tailrace: error: ").string
    assert room.process.wait(60) in (1, 2)
    assert len(room.heard) == 1
    return line


@pytest.mark.smoke
async def test_it_answers_on_every_face(serve: Any, control_room: LaunchRoom) -> None:
    room = control_room(serve().url).ready()
    named = room.expect(r"^  service    (\S+): GET (\S+), 50$")
    async with httpx.AsyncClient(base_url=room.url, follow_redirects=True) as client:
        page = await client.get("/")
        assert page.status_code == 200
        assert str(page.url) == f"{room.url}/services/{named[1]}"
        assert "/api/services" in (await client.get("/openapi.json")).text
    for address in (room.rpc, room.url):
        async with tailrace.connect(address) as control:
            assert [service.url for service in await control.list()] == [named[2]]


def test_it_starts_empty(control_room: LaunchRoom) -> None:
    room = control_room().ready()
    assert room.ask("GET", "/services") == []
    assert httpx.get(room.url, follow_redirects=True).url == f"{room.url}/services"


def test_the_file_of_the_folder_is_read(
    serve: Any, control_room: LaunchRoom, tmp_path: Path
) -> None:
    (tmp_path / "tailrace.toml").write_text(
        f"""
        [room]
        interval = "250ms"
        runs = "kept"
        max_rate = 500
        [[service]]
        id = "here"
        url = "{serve().url}"
        profile = 120
        start = true
        """
    )
    room = control_room("--max-rate", "1k").ready()
    run = room.expect(r"^here: load on http\S+, 120; (\S+)$")[1]
    assert (tmp_path / run).parent == tmp_path / "kept"
    assert room.ask("PUT", "/services/here/rate", json={"rate": 900})["rate_per_s"] == 900
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        room.ask("PUT", "/services/here/rate", json={"rate": 1100})


def test_a_file_elsewhere_and_paths_beside_it(
    serve: Any, control_room: LaunchRoom, tmp_path: Path
) -> None:
    server = serve()
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "picture.jpg").write_bytes(b"not really one")
    (folder / "room.toml").write_text(
        "room = {port = 0, rpc_port = 0}\n"
        f"[[service]]\nid = 'a'\nurl = '{server.url}'\nbody = 'picture.jpg'\nmetrics_url = ''\n"
    )
    room = control_room("--config", "conf/room.toml").ready()
    room.ask("POST", "/services/a/start", json={"rate": 200})
    room.expect(r"^a: load on .*; conf/runs/")
    room.ask("POST", "/services/a/stop")
    assert set(server.bodies) == {b"not really one"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_results(
    serve: Any, control_room: LaunchRoom, tmp_path: Path, number: int
) -> None:
    room = control_room(serve().url, serve().url).ready()
    for service in room.ask("GET", "/services"):
        room.ask("POST", f"/services/{service['id']}/start", json={"rate": 100})
    lines = room.end(number)
    assert room.process.returncode == 0
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == 2
    for run in runs:
        result = json.loads((run / "result.json").read_text())
        assert result["completed"] == result["offered"]
        (said,) = (line for line in lines if "answered in" in line and run.name in line)
        assert f"{result['completed']:,} answered in" in said
        assert "; verdict " in said


def test_a_second_signal_does_not_wait(
    serve: Any, control_room: LaunchRoom, tmp_path: Path
) -> None:
    room = control_room(serve(answer_never).url).ready()
    (service,) = room.ask("GET", "/services")
    room.ask("POST", f"/services/{service['id']}/start", json={"rate": 100})
    while not (point := room.ask("GET", f"/services/{service['id']}/latest")):
        pass
    assert point["in_flight"] > 0
    room.process.send_signal(signal.SIGINT)
    room.expect("stopping; waiting")
    lines = room.end()
    assert room.process.returncode == 0
    (run,) = (tmp_path / "runs").iterdir()
    result = json.loads((run / "result.json").read_text())
    assert result["failed"] == {"aborted": result["offered"]}
    assert any("0 answered in" in line and "aborted" in line for line in lines)


def test_other_machines_need_a_token(control_room: LaunchRoom) -> None:
    message = refused(control_room("--host", "0.0.0.0"))
    assert "host 0.0.0.0 can be reached from other machines" in message
    assert "TAILRACE_TOKEN" in message


async def test_where_others_can_reach_it_load_goes_to_this_machine_alone(
    serve: Any, control_room: LaunchRoom
) -> None:
    room = control_room("--host", "0.0.0.0", environment={"TAILRACE_TOKEN": "secret"}).ready()
    url, rpc = (text.replace("0.0.0.0", "127.0.0.1") for text in (room.url, room.rpc))
    assert httpx.get(f"{url}/api/services").status_code == 401
    for address in (url, rpc):
        async with tailrace.connect(address, token="secret") as control:
            with pytest.raises(tailrace.errors.TailraceError, match=r"add '192\.0\.2\.1'"):
                await control.add(ServiceConfig(id="far", url="http://192.0.2.1/"))
            await control.add(ServiceConfig(id="near", url=serve().url))
            await control.remove("near")


def test_allow_on_the_command_line(control_room: LaunchRoom) -> None:
    room = control_room("--allow", "10.0.0.0/8", "--allow", "*.lab").ready()
    assert room.ask("POST", "/services", json={"id": "a", "url": "http://10.2.3.4/"})
    assert room.ask("POST", "/services", json={"id": "b", "url": "http://gpu.lab/"})
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        room.ask("POST", "/services", json={"id": "c", "url": "http://11.2.3.4/"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "'nonsense' is not a URL to load"),
        (["--config", "absent.toml"], "cannot read absent.toml: No such file or directory"),
        (["--config", "bad.toml"], "bad.toml: room: unknown key 'prot': did you mean port?"),
        (["--config", "broken.toml"], "broken.toml, line 1, column 6: "),
        (["--max-rate", "fast"], "'fast' is not a rate"),
        (["--allow", "10.0.0.0/99"], "allow: '10.0.0.0/99' is no network"),
        (["--port", "99999"], "'--port'"),
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["--host", "192.0.2.1"], "192.0.2.1 can be reached from other machines"),
        (["http://h/", "--max-rate", "10"], "cap of 10"),
    ],
)
def test_what_cannot_be_used(
    control_room: LaunchRoom, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "bad.toml").write_text("[room]\nprot = 8080\n")
    (tmp_path / "broken.toml").write_text("[room\n")
    assert message in refused(control_room(*arguments))


def test_without_grpc(control_room: LaunchRoom) -> None:
    room = control_room("--no-rpc")
    room.url = room.expect(r"^  dashboard  (\S+)$")[1]
    assert room.ask("GET", "/services") == []
    assert not any("gRPC" in line for line in room.end())


async def test_over_tls(control_room: LaunchRoom, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "room.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "room.key")
    (tmp_path / "tailrace.toml").write_text(
        "room = {tls_cert = 'room.pem', tls_key = 'room.key'}\n"
    )
    room = control_room().ready()
    assert room.url.startswith("https://")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    assert httpx.get(f"{room.url}/api/services", verify=trusting).json() == []
    for address in (room.url, room.rpc):
        async with tailrace.connect(address, ca_file=tmp_path / "ca.pem") as control:
            assert await control.list() == []


@pytest.mark.smoke
def test_every_url_becomes_a_service_of_its_own() -> None:
    listed = [ServiceConfig(id="h-80-2", url="http://h/")]
    urls = ["http://h/a", "http://h/b", "https://[::1]:8443/", "http://10.0.0.5:8000/v2"]
    services = services_of(urls, listed)
    assert [service.id for service in services] == ["h-80", "h-80-3", "1-8443", "10.0.0.5-8000"]
    assert [service.url for service in services] == urls
    with pytest.raises(UsageError, match="not a URL to load"):
        services_of(["ftp://h/"], [])
