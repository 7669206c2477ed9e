from hypothesis import given
from hypothesis import strategies as st

from tailrace.load.measure.point import Event, EventLog

instants = st.lists(st.floats(0, 10), max_size=20)


def event(t_s: float) -> Event:
    return Event(t_s=t_s, wall_time=1e9 + t_s, kind="rate", text="5/s")


@given(st.lists(st.tuples(instants, st.floats(0, 10)), max_size=10), instants)
def test_each_event_is_taken_once_as_soon_as_its_time_is_told(
    rounds: list[tuple[list[float], float]], late: list[float]
) -> None:
    log = EventLog()
    told: list[float] = []
    noted: list[float] = []
    for times, before_s in rounds:
        for t_s in times:
            log.note(event(t_s))
        noted += times
        taken = [event.t_s for event in log.take(before_s)]
        assert taken == sorted(taken)
        assert all(t_s < before_s for t_s in taken)
        told += taken
        assert log.take(before_s) == ()
        assert len(log) == len(noted) - len(told)
    for t_s in late:
        log.note(event(t_s))
    rest = [event.t_s for event in log.take(float("inf"))]
    assert len(log) == 0
    assert sorted(told + rest) == sorted(noted + late)
