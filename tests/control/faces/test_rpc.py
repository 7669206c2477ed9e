"""gRPC: the generated code, the translation both ways, and the server against hostile clients."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import grpc
import grpc.aio
import msgspec
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tailrace
from tailrace.control.config import ServiceConfig
from tailrace.control.controller import Controller
from tailrace.control.faces.rpc import schema
from tailrace.control.faces.rpc.codec import codec
from tailrace.control.faces.rpc.schema import (
    SERVICE,
    Schema,
    message_class,
    read_numbers,
    write_numbers,
)
from tailrace.control.faces.rpc.server import MOST_CONNECTIONS, PackedUpdates, serving_rpc
from tailrace.control.guesses import Guesses, network_of
from tailrace.control.interface import METHODS, LoadControl, ServiceInfo, Update
from tailrace.errors import TailraceError, UsageError
from tests.kit import samples
from tests.kit.paths import ROOT
from tests.kit.waiting import until

if TYPE_CHECKING:
    from tests.control.conftest import Room

OLD_PROTO = Path(__file__).with_name("old_tailrace.proto")
"""The interface as clients have it that were built from an early version of it."""
HELD = read_numbers(schema.NUMBERS.read_text())
SCHEMA = Schema(HELD)

# The messages


def compiled(proto: Path, tmp_path: Path) -> FileDescriptorProto:
    """What `protoc` makes of it, without what it was written in."""
    made = tmp_path / "descriptors"
    tool = [sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_out={made}"]
    subprocess.run([*tool, f"--proto_path={proto.parent}", str(proto)], check=True, timeout=60)
    (file,) = FileDescriptorSet.FromString(made.read_bytes()).file
    for message in file.message_type:
        for part in (message, *message.nested_type):
            for field in part.field:
                field.ClearField("json_name")
    return file


def test_the_files_are_as_the_structs_have_it(tmp_path: Path) -> None:
    tool = [sys.executable, str(ROOT / "tools/write_proto.py"), "--out", str(tmp_path)]
    subprocess.run(tool, check=True, timeout=60)
    for path in tmp_path.iterdir():
        kept = schema.NUMBERS.with_name(path.name)
        assert path.read_text() == kept.read_text(), "run make proto"
    made = compiled(schema.NUMBERS.with_name("tailrace.proto"), tmp_path)
    assert made.message_type == SCHEMA.file.message_type
    assert made.enum_type == SCHEMA.file.enum_type
    assert made.service == SCHEMA.file.service


def test_what_old_clients_know_is_as_it_was(tmp_path: Path) -> None:
    old = compiled(OLD_PROTO, tmp_path)
    messages = {message.name: message for message in SCHEMA.file.message_type}
    for message in old.message_type:
        fields = {field.name: field for field in messages[message.name].field}
        reserved = set(messages[message.name].reserved_name)
        for field in message.field:
            if field.name not in reserved:
                assert fields[field.name].number == field.number, (message.name, field.name)
                assert fields[field.name].type == field.type, (message.name, field.name)
    enums = {enum.name: enum for enum in SCHEMA.file.enum_type}
    for enum in old.enum_type:
        for value in enum.value:
            assert value in enums[enum.name].value
    (service,), (now,) = old.service, SCHEMA.file.service
    for method in service.method:
        assert method in now.method


OLD_CLIENT = """
import sys, grpc
sys.path.insert(0, sys.argv[2])
import old_tailrace_pb2 as pb, old_tailrace_pb2_grpc as rpc
with grpc.insecure_channel(sys.argv[1]) as channel:
    control = rpc.LoadControlStub(channel)
    config = control.GetConfig(pb.ServiceRequest(service_id="b"))
    assert (config.profile, config.seed, list(config.slo)) == ("50", 1, ["p99<10s"]), config
    config.id, config.profile = "c", "70"
    assert control.Add(config).rate_per_s == 70
    assert control.SetRate(pb.SetRateRequest(service_id="c", rate_per_s=0)).profile == "0"
    started = control.Start(pb.StartRequest(service_id="c", rate_per_s=100))
    assert started.state == pb.STATE_RUNNING, started
    points = []
    for update in control.Watch(pb.WatchRequest(service_id="c")):
        if update.point is not None:
            points.append(update.point)
        if len(points) == 2:
            break
    assert points[1].completed and points[1].latency_ms.p99 > 0 and points[1].latency_bins
    stopped = control.Stop(pb.ServiceRequest(service_id="c"))
    assert stopped.state == pb.STATE_IDLE and not stopped.verdict.valid, stopped
    (run,) = control.ListRuns(pb.google_dot_protobuf_dot_empty__pb2.Empty()).runs
    record = pb.RunRecord()
    for part in control.GetRun(pb.GetRunRequest(name=run.name)):
        record.MergeFrom(part)
    assert record.points[points[1].index] == points[1]
    assert record.result.completed == sum(point.completed for point in record.points)
    control.DeleteRun(pb.DeleteRunRequest(name=run.name))
print("done")
"""


async def test_an_old_client_is_served(room: "Room", tmp_path: Path) -> None:
    tool = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={OLD_PROTO.parent}"]
    outputs = [f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}", str(OLD_PROTO)]
    await asyncio.to_thread(subprocess.run, [*tool, *outputs], check=True, timeout=60)
    client = [sys.executable, "-c", OLD_CLIENT, room.rpc, str(tmp_path)]
    done = await asyncio.to_thread(
        subprocess.run, client, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "done\n", done.stderr


class Widget(msgspec.Struct):
    """Of no message that there is."""

    size: int
    name: str = ""
    weight: float | None = None
    by_name: dict[str, float | None] = {}


def about(kind: Any, **bounds: float) -> Any:
    return Annotated[kind, msgspec.Meta(description="It is so.", title="x", **bounds)]


class Told(msgspec.Struct):
    """Widget and more, with words and bounds at every place."""

    size: about(int, ge=0)
    name: about(str) = ""
    weight: about(about(float, ge=0) | None) = None
    by_name: about(dict[str, about(about(float, ge=0) | None)]) = {}
    reuse: about(Literal["fifo", "lifo"]) = "fifo"
    sums: dict[str, about(tuple[about(int, ge=0), ...])] = {}
    bounds: dict[str, about(tuple[about(float), float] | None)] = {}
    names: about(tuple[about(str), ...]) = ()


def test_words_and_bounds_make_no_other_message() -> None:
    plain, told = (widget({}, struct).held[struct.__name__] for struct in (Widget, Told))
    assert {name: told[name] for name in plain} == plain
    assert [told[name][1] for name in ("reuse", "sums", "bounds", "names")] == [
        "optional string",
        "map<string, Sums>",
        "map<string, Bounds>",
        "repeated string",
    ]


def widget(held: schema.Held, struct: type[msgspec.Struct] = Widget) -> Schema:
    made = Schema(held)
    made.add(struct)
    return made


def test_a_new_field_has_the_next_number_and_a_removed_ones_is_not_given_again() -> None:
    made = widget({"Widget": {"name": (1, "string"), "gone": (4, "double")}})
    assert made.held["Widget"] == {
        "name": (1, "string"),
        "gone": (4, "double"),
        "size": (5, "int64"),
        "weight": (6, "optional double"),
        "by_name": (7, "map<string, Number>"),
    }
    assert list(made.reserved("Widget")) == [("gone", 4)]
    assert read_numbers(write_numbers(made.held)) == made.held


def test_a_field_that_becomes_optional_keeps_its_number() -> None:
    made = widget({"Widget": {"weight": (3, "double")}})
    assert made.held["Widget"]["weight"] == (3, "optional double")


def test_a_field_of_another_type_needs_another_name() -> None:
    with pytest.raises(TypeError, match=r"Widget.size was `string` and cannot be `int64`"):
        widget({"Widget": {"size": (1, "string")}})


def test_a_type_that_no_message_holds_is_named() -> None:
    odd = msgspec.defstruct("Odd", [("pairs", dict[str, tuple[str, int]])])
    with pytest.raises(TypeError, match=r"Odd.pairs has a type that no message holds"):
        widget({}, odd)


# The translation

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def values(kind: msgspec.inspect.Type, field: str) -> st.SearchStrategy[Any]:
    """Any value that a field of an interface's struct may have."""
    match kind:
        case msgspec.inspect.Metadata():
            return values(kind.type, field)
        case msgspec.inspect.StructType():
            return structs(kind.cls)
        case msgspec.inspect.UnionType():
            return st.one_of(*(values(option, field) for option in kind.types))
        case msgspec.inspect.VarTupleType():
            return st.lists(values(kind.item_type, field), max_size=2).map(tuple)
        case msgspec.inspect.TupleType():
            return st.tuples(*(values(item, field) for item in kind.item_types))
        case msgspec.inspect.ListType():
            return st.lists(values(kind.item_type, field), max_size=2)
        case msgspec.inspect.DictType():
            keys = TEXT if field != "latency_bins" else st.integers(0, 1000)
            return st.dictionaries(keys, values(kind.value_type, field), max_size=2)
        case msgspec.inspect.LiteralType():
            return st.sampled_from(kind.values)
        case msgspec.inspect.CustomType():
            return TEXT.filter(lambda text: text and "\0" not in text).map(Path)
        case msgspec.inspect.IntType():
            return st.integers(0, 2**64 - 1 if field == "seed" else 2**63 - 1)
        case msgspec.inspect.FloatType():
            return st.floats(allow_nan=False)
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.StrType():
            return TEXT
    raise AssertionError(kind)


def structs(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    kind = msgspec.inspect.type_info(struct)
    assert isinstance(kind, msgspec.inspect.StructType)
    return st.builds(
        struct, **{field.name: values(field.type, field.name) for field in kind.fields}
    )


SENT = {
    struct.__name__: struct
    for method in METHODS
    for struct in (method.request, method.response)
    if struct is not None
}


@pytest.mark.parametrize("name", SENT)
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_sent_is_what_arrives(name: str, data: st.DataObject) -> None:
    struct = data.draw(structs(SENT[name]))
    assert codec(SENT[name]).decode(codec(SENT[name]).encode(struct)) == struct


def test_what_a_message_leaves_out_has_its_default() -> None:
    config = codec(ServiceConfig).decode(message("ServiceConfig", id="a", url="http://h/"))
    assert config == ServiceConfig(id="a", url="http://h/")
    update = message("Update", service={"state": "STATE_IDLE"})
    assert codec(Update).decode(update).point is None


def message(kind: str, **fields: Any) -> bytes:
    return message_class(kind)(**fields).SerializeToString()


def test_a_state_that_this_version_does_not_know() -> None:
    with pytest.raises(TailraceError, match="does not know: 99"):
        codec(ServiceInfo).decode(b"\x38\x63")


@pytest.mark.parametrize(
    "changes", [{"seed": 2**64}, {"seed": -1}, {"workers": "two"}, {"headers": {"A": 1}}]
)
def test_what_no_message_can_hold_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="ServiceConfig cannot be sent"):
        codec(ServiceConfig).encode(ServiceConfig(id="a", url="http://h/", **changes))


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_a_path_that_is_none(path: str) -> None:
    with pytest.raises(UsageError, match="path"):
        codec(ServiceConfig).decode(message("ServiceConfig", id="a", url="http://h/", body=path))


def test_an_update_is_translated_once_for_all() -> None:
    packed = PackedUpdates()
    updates = [Update(service=samples.SERVICE, point=None) for _ in range(1000)]
    first = packed.bytes_of(updates[0])
    assert packed.bytes_of(updates[0]) is first
    assert codec(Update).decode(first) == updates[0]
    others = {id(packed.bytes_of(update)) for update in updates[-200:]}
    assert len(others) == 200
    for update in updates:
        packed.bytes_of(update)
    assert packed.bytes_of(updates[0]) is not first


# The server


def call(channel: grpc.aio.Channel, path: str) -> Any:
    """An rpc of bytes for bytes."""
    return channel.unary_unary(path, lambda data: data, lambda data: data)


def open_stream(channel: Any, path: str, to: Any, of: Any, metadata: Any = ()) -> Any:
    """An rpc of any messages for any messages; nothing is sent yet."""
    return channel.stream_stream(path, to, of)(metadata=metadata)


ERRORS = {
    "no message": ("Get", b"\xff\xff", "INVALID_ARGUMENT"),
    "a rate left out": ("SetRate", b"\x0a\x01a", "INVALID_ARGUMENT"),
    "no such service": ("Get", b"\x0a\x01x", "NOT_FOUND"),
    "too long": ("Get", b"\x0a\x80\x80\x80\x01" + bytes(1 << 21), "RESOURCE_EXHAUSTED"),
    "no such call": ("Explode", b"", "UNIMPLEMENTED"),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_what_cannot_be_answered_has_its_status(room: "Room", name: str) -> None:
    method, data, status = ERRORS[name]
    async with grpc.aio.insecure_channel(room.rpc) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel, f"/tailrace.v1.LoadControl/{method}")(data)
        assert caught.value.code().name == status
        listed = await call(channel, "/tailrace.v1.LoadControl/List")(b"")
    (services,) = msgspec.structs.astuple(codec(SENT["ListResponse"]).decode(listed))
    assert [service.id for service in services] == ["a", "b"]


async def test_an_error_of_270_000_bytes_is_cut(room: "Room") -> None:
    async with tailrace.connect(room.rpc) as control:
        with pytest.raises(UsageError) as caught:
            await control.set_profile("a", "☃" * 90_000)
    assert len(str(caught.value)) < 500
    assert "not a rate" in str(caught.value)


ALL_CALLS = (
    *(f"/{SERVICE}/{method.rpc}" for method in METHODS),
    *(
        f"/{service.full_name}/{method.name}"
        for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR)
        for service in file.services_by_name.values()
        for method in service.methods
    ),
    "/tailrace.v1.LoadControl/Nothing",
    "/nothing",
)
AUTHORIZATIONS = (
    (),
    ("Bearer wrong",),
    ("Bearer ",),
    ("Bearer secret ",),
    ("bearer secret",),
    ("secret",),
    ("Bearer wrong", "Bearer secret"),
)


async def test_nothing_is_answered_without_the_token(room: "Room") -> None:
    async with (
        serving_rpc(
            room.controller, port=0, token="secret", guesses=Guesses(burst=1_000_000)
        ) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        asyncio.timeout(60),
    ):
        for path in ALL_CALLS:
            for given in AUTHORIZATIONS:
                metadata = tuple(("authorization", value) for value in given)
                stream = open_stream(channel, path, bytes, bytes, metadata)
                # Refused without having sent anything.
                assert await stream.code() == grpc.StatusCode.UNAUTHENTICATED, (path, given)
        with_token = (("authorization", "Bearer secret"),)
        for path in ("/tailrace.v1.LoadControl/List", "/grpc.health.v1.Health/Check"):
            await call(channel, path)(b"", metadata=with_token)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_guessing_is_slowed_down_on_all_faces_together(room: "Room", host: str) -> None:
    guesses = Guesses()
    address = f"[{host}]" if ":" in host else host
    async with (
        serving_rpc(room.controller, host, 0, "secret", guesses=guesses) as port,
        grpc.aio.insecure_channel(f"{address}:{port}") as channel,
        asyncio.timeout(60),
    ):
        right = (("authorization", "Bearer secret"),)
        await call(channel, "/tailrace.v1.LoadControl/List")(b"", metadata=right)
        unknown = open_stream(channel, "/nothing", bytes, bytes, right)
        assert await unknown.code() == grpc.StatusCode.UNIMPLEMENTED
        for number in range(5):
            for _ in range(3):
                wrong = (("authorization", f"Bearer guess-{number}"),)
                stream = open_stream(channel, ALL_CALLS[0], bytes, bytes, wrong)
                assert await stream.code() == grpc.StatusCode.UNAUTHENTICATED
        # Five more came by HTTP.
        for number in range(5):
            guesses.count_wrong(network_of(host), b"guess-%d" % number)
        for path in ALL_CALLS:
            for metadata in (wrong, right):
                with pytest.raises(grpc.aio.AioRpcError, match="wait") as caught:
                    await call(channel, path)(b"", metadata=metadata)
                assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, path
        # Nothing is guessed by those who send none.
        stream = open_stream(channel, ALL_CALLS[0], bytes, bytes, ())
        assert await stream.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("begun", [b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
async def test_no_more_connections_than_there_is_room_for(room: "Room", begun: bytes) -> None:
    async with serving_rpc(room.controller, port=0) as port, AsyncExitStack() as stack:
        readers = []
        for _ in range(MOST_CONNECTIONS + 20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(begun)
            readers.append(asyncio.create_task(reader.read()))
            stack.callback(readers[-1].cancel)
        # Those beyond are closed, and the room has its files to itself.
        done, _ = await asyncio.wait(readers[-20:], timeout=60, return_when=asyncio.ALL_COMPLETED)
        assert len(done) == 20
        assert sum(reader.done() for reader in readers) < 100


async def test_health(room: "Room") -> None:
    check = "/grpc.health.v1.Health/Check"
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving_rpc(room.controller, port=0))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            for name in ("", "tailrace.v1.LoadControl"):
                request = health_pb2.HealthCheckRequest(service=name).SerializeToString()
                answer = health_pb2.HealthCheckResponse.FromString(
                    await call(channel, check)(request)
                )
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
            watch: Any = channel.unary_stream(
                "/grpc.health.v1.Health/Watch",
                lambda data: data,
                health_pb2.HealthCheckResponse.FromString,
            )(request)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            await stack.aclose()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_reflection_tells_of_every_call(room: "Room") -> None:
    async with grpc.aio.insecure_channel(room.rpc) as channel:
        stream = open_stream(
            channel,
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = {one.name for one in (await stream.read()).list_services_response.service}
        assert listed >= {"tailrace.v1.LoadControl", "grpc.health.v1.Health"}
        symbol = reflection_pb2.ServerReflectionRequest(
            file_containing_symbol="tailrace.v1.LoadControl"
        )
        await stream.write(symbol)
        files = (await stream.read()).file_descriptor_response.file_descriptor_proto
        assert SCHEMA.file.SerializeToString() in files
        await stream.done_writing()


async def test_a_port_that_is_taken_is_named(room: "Room") -> None:
    port = int(room.rpc.rpartition(":")[2])
    with pytest.raises(UsageError, match=rf"port {port}.*Address already in use"):
        async with serving_rpc(room.controller, port=port):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1"])
async def test_no_other_machine_is_served_without_a_token(room: "Room", host: str) -> None:
    with pytest.raises(UsageError, match="TAILRACE_TOKEN"):
        async with serving_rpc(room.controller, host, 0):
            pass


async def test_an_hour_of_intervals_comes_whole(room: "Room", tmp_path: Path) -> None:
    await room.controller.start("a", 50)
    async with aclosing(room.controller.watch("a")) as updates:  # type: ignore[type-var]
        async for update in updates:
            if update.point is not None:
                break
    run = (await room.controller.stop("a")).run
    assert run is not None
    timeline = Path(run) / "timeline.jsonl"
    line = timeline.read_bytes().splitlines(keepends=True)[0]
    timeline.write_bytes(line * 3600)
    async with tailrace.connect(room.rpc) as control:
        record = await control.run(Path(run).name)
    assert len(record.points) == 3600
    assert record == await room.controller.run(Path(run).name)


# Watching


class Counted:
    """A LoadControl that counts its open watches, and what each of them has taken."""

    def __init__(self, control: LoadControl) -> None:
        self._control = control
        self.taken: dict[int, int] = {}
        self.open = 0

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method: Callable[..., Awaitable[Any]] = getattr(self._control, name)
        return method

    async def watch(self, service_id: str | None = None) -> AsyncIterator[Update]:
        number = len(self.taken)
        self.taken[number] = 0
        self.open += 1
        try:
            async for update in self._control.watch(service_id):
                self.taken[number] += 1
                yield update
        finally:
            self.open -= 1


async def test_a_closed_watch_leaves_nothing_behind(room: "Room") -> None:
    counted: Any = Counted(room.controller)
    async with (
        serving_rpc(counted, port=0) as port,
        tailrace.connect(f"127.0.0.1:{port}") as control,
    ):
        for _ in range(3):
            async with aclosing(control.watch("a")) as updates:
                await anext(updates)
                assert counted.open == 1
            await until(lambda: counted.open == 0)

        async def watch() -> None:
            async for _ in control.watch():
                pass

        watching = asyncio.create_task(watch())
        await until(lambda: counted.open == 1)
        watching.cancel()
        await until(lambda: counted.open == 0)
    # Those still open end with the server.
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving_rpc(counted, port=0))
        control = await stack.enter_async_context(tailrace.connect(f"127.0.0.1:{port}"))
        kept = control.watch()
        await anext(kept)
        assert counted.open == 1
    assert counted.open == 0


STINGY = (
    # Hardly a byte is taken that nobody asked for, and each has a connection of its own.
    ("grpc.http2.lookahead_bytes", 1024),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
WATCHERS = 200


async def test_watchers_that_never_read_hold_up_nobody(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    services = [ServiceConfig(id="a", url=serve().url, profile="500")]
    controller = Controller(services, interval_s=0.1, runs_dir=tmp_path)
    counted: Any = Counted(controller)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving_rpc(counted, port=0))
        address = f"127.0.0.1:{port}"

        async def watch(read: bool) -> Any:
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, STINGY))
            stream = channel.unary_stream(
                "/tailrace.v1.LoadControl/Watch", bytes, codec(Update).decode
            )(b"")
            # The first: so it is watching.
            await stream.read()
            return stream

        streams = [await watch(number % 2 == 0) for number in range(WATCHERS)]
        await until(lambda: counted.open == WATCHERS)
        await controller.start("a")

        async def follow(stream: Any) -> list[int]:
            indexes: list[int] = []
            while len(indexes) <= 40:
                update = await stream.read()
                if update.point is not None:
                    indexes.append(update.point.index)
            return indexes

        readers = [follow(stream) for stream in streams[::2]]
        async with asyncio.timeout(120):
            for indexes in await asyncio.gather(*readers):
                assert indexes == list(range(41))
        taken = list(counted.taken.values())
        assert min(taken[::2]) > 40
        # What goes out to those who do not read stopped when their windows were full.
        assert max(taken[1::2]) < 20
        assert (await controller.stop("a")).problems == ()
    assert counted.open == 0
    await controller.close()
