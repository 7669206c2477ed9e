import pytest

from tailrace.runs.compare.bootstrap import tail_of_interval


@pytest.mark.parametrize(
    ("blocks", "tail"), [(5, 9.55e-4), (10, 8.55e-3), (31, 1.895e-2), (1e9, 0.025)]
)
def test_few_blocks_leave_out_less(blocks: float, tail: float) -> None:
    """Φ(−t·√(n / (n − 1))), t the 97.5 % quantile for n − 1 degrees in a printed table: 2.776,
    2.262, 2.042, 1.960.
    """
    assert tail_of_interval(blocks) == pytest.approx(tail, rel=2e-3)
