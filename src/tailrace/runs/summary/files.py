"""The files in which a pipeline looks for what a command found."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tailrace.errors import TailraceError, UsageError
from tailrace.runs.summary.junit import junit
from tailrace.runs.summary.markdown import markdown
from tailrace.runs.summary.summary import Summary, of_failure


class SummaryFiles:
    """The summary files that a command was asked for, tried out when made.

    The JUnit file says from then on that there is no result, until there is one: what is killed
    leaves a failed test, not last time's success. To the Markdown file a summary is appended, as
    GitHub's is shared by the steps of a job.

    Args:
        command: the one asked, and `subject` what it is about.

    Raises:
        UsageError: one of them cannot be written.
    """

    def __init__(
        self, command: str, subject: str, junit_file: Path | None, markdown_file: Path | None
    ) -> None:
        self._command = command
        self._subject = subject
        self._junit = junit_file
        self._markdown = markdown_file
        try:
            self._append_markdown("")
            self._write_junit(of_failure(command, subject, "it did not come to its end"))
        except TailraceError as error:
            raise UsageError(str(error)) from None

    @contextlib.contextmanager
    def failures(self) -> Iterator[None]:
        """Write down an error that ends the command, too."""
        try:
            yield
        except TailraceError as error:
            self.write(of_failure(self._command, self._subject, str(error)))
            raise

    def write(self, summary: Summary) -> None:
        """Write what was found.

        Raises:
            TailraceError: a file cannot be written (any more).
        """
        self._write_junit(summary)
        self._append_markdown(markdown(summary))

    def _write_junit(self, summary: Summary) -> None:
        if self._junit is not None:
            with _writing(self._junit):
                self._junit.write_text(junit(summary), encoding="utf-8")

    def _append_markdown(self, text: str) -> None:
        if self._markdown is not None:
            with _writing(self._markdown), self._markdown.open("a", encoding="utf-8") as file:
                file.write(text)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TailraceError(f"cannot write {path}: {error.strerror}") from None
