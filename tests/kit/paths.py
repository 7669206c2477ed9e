"""Places outside tests/: the repository, and ../shared, which not everybody has."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def shared(path: str) -> Path:
    """A file or folder of ../shared; the test is skipped where it is not there."""
    found = ROOT.parent / "shared" / path
    if not found.exists():
        pytest.skip(f"needs ../shared/{path} beside the repository")
    return found
