"""Text of others, printed: seen as it is, whatever is in it."""

import io
import json
from contextlib import redirect_stdout

import msgspec
import pytest
from rich.console import Console
from rich.table import Table

from tailrace.cli.console import literal, make_console, print_paragraph
from tailrace.cli.output import print_json
from tailrace.errors import TailraceError

HOSTILE = "[/red][bold]x[/bold] :100: \\[ \x1b]0;t\x07\x9b2J\u202e\nend\\"
SHOWN = r"[/red][bold]x[/bold] :100: \[ \x1b]0;t\x07\x9b2J\u202e end" + "\\"


def test_a_console_shows_it_as_it_is() -> None:
    with redirect_stdout(io.StringIO()) as out:
        console = make_console(width=200)
        console.print(literal(("ours", "bold"), " ", HOSTILE), soft_wrap=True)
        console.print(HOSTILE.partition("\x1b")[0], soft_wrap=True)
        table = Table(box=None, pad_edge=False)
        table.add_column(literal(HOSTILE))
        table.add_row(literal(HOSTILE))
        console.print(table)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines == [f"ours {SHOWN}", SHOWN.partition(r" \x1b")[0], SHOWN, SHOWN]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_paragraph_is_wrapped_between_words_in_a_terminal_alone(is_terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, width=20, force_terminal=is_terminal, color_system=None)
    print_paragraph(console, literal("  - the generator was late ", ("INVALID", "bold")), hang=4)
    lines = out.getvalue().splitlines()
    whole = "  - the generator was late INVALID"
    assert lines == (["  - the generator", "    was late INVALID"] if is_terminal else [whole])


def test_an_error_that_quotes_it_is_one_line() -> None:
    assert str(TailraceError(f"cannot read {HOSTILE}: no")) == f"cannot read {SHOWN}: no"
    assert len(str(TailraceError("x" * 10**6))) == 1000


@pytest.mark.parametrize("text", [HOSTILE, "\u2028\ufeff\U000e0041µ 模型", "\x7f\x80"])
def test_json_says_exactly_what_it_is_and_shows_nothing_else(text: str) -> None:
    with redirect_stdout(io.StringIO()) as out:
        print_json({text: [text]})
    assert json.loads(out.getvalue()) == msgspec.json.decode(out.getvalue()) == {text: [text]}
    assert out.getvalue().replace("\n", "").isprintable()
