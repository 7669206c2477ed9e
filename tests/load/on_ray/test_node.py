"""What nodes are called."""

from tailrace.load.on_ray.node import name_nodes


def row(node_id: str, host: str, alive: bool = True) -> dict[str, object]:
    return {"NodeID": node_id, "NodeManagerHostname": host, "Alive": alive}


def test_nodes_of_one_host_are_told_apart_by_their_ids() -> None:
    rows = [row("aaaaaaaa", "x"), row("bbbbbbbb", "y"), row("cccccccc", "y")]
    nodes = name_nodes([*rows, row("dddddddd", "x", alive=False)])
    assert {node_id: node.name for node_id, node in nodes.items()} == {
        "aaaaaaaa": "x",
        "bbbbbbbb": "y-bbbbbb",
        "cccccccc": "y-cccccc",
    }
