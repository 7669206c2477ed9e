"""What the page begins with: which runs, whether they can be trusted, and their main figures."""

from collections.abc import Sequence

from tailrace.load.judge.answers import verdict_word
from tailrace.load.judge.ending import describe_end
from tailrace.load.measure.point import MAIN
from tailrace.report.subject import Subject
from tailrace.units import NONE, format_clock, format_digits, format_lag, number
from tailrace.view.charts import HIGHEST, TAIL
from tailrace.view.markup import Content, Markup, h
from tailrace.view.parts import (
    answers_list,
    card,
    failures_table,
    listed,
    section,
    table,
    title_block,
    with_unit,
)

_STATES = {
    "running": "In progress while this was made: these are the intervals that it had finished.",
    "interrupted": "Interrupted: the process that made it ended before it could write a result. "
    "Everything here is of the intervals that it had finished.",
    "broken": "Broken: a file of it cannot be read. Everything here is of what the others say.",
}


def head(subjects: Sequence[Subject]) -> Markup:
    """The heading of a run, or of several."""
    if len(subjects) > 1:
        targets = sorted({subject.info.target for subject in subjects})
        return h(
            "div",
            h("h1", f"{len(subjects)} runs compared"),
            h("p", ", ".join(targets), class_="url"),
            class_="title",
        )
    (subject,) = subjects
    info = subject.info
    facts = [
        info.name,
        subject.started,
        f"{format_clock(info.duration_s)} of load",
        f"{info.completed + info.failed:,} requests",
    ]
    return title_block(info.title or info.target or info.name, facts, info.target, info.note)


def overview(subjects: Sequence[Subject]) -> Content:
    """The verdict and the main figures of one run; of several, a table of them."""
    if len(subjects) == 1:
        return [_verdict(subjects[0]), _tiles(subjects[0])]
    return section("runs", "Runs", _runs(subjects), list(map(_notes, subjects)))


def failed(subjects: Sequence[Subject]) -> Content:
    """Why requests failed, a table for each run with failures; nothing without any."""
    failing = [subject for subject in subjects if subject.failures]
    if not failing:
        return None
    return section(
        "failures",
        "Failures",
        [
            card(
                h("p", subject.chip) if subject.chip else None,
                failures_table(subject.reasons, subject.result.examples),
            )
            for subject in failing
        ],
        about="by reason, with the first answer of each",
    )


def _look(subject: Subject) -> str:
    """A class of what is drawn of its verdict."""
    verdict = subject.info.verdict
    return "no" if verdict is None else verdict_word(verdict).lower()


def _badge(subject: Subject) -> Markup:
    verdict = subject.info.verdict
    text = "no verdict" if verdict is None else verdict_word(verdict)
    return h("strong", text, class_=f"badge {_look(subject)}")


def _answers(subject: Subject, *, brief: bool = False) -> Content:
    return answers_list(subject.answers, subject.info.mlperf, brief=brief)


def _reasons(subject: Subject) -> list[Content]:
    info = subject.info
    cut = describe_end(info.ended_by, format_clock(info.duration_s))
    reasons = info.verdict.reasons if info.verdict else []
    return [*filter(None, (_STATES.get(info.state), cut)), *info.problems, *reasons]


def _verdict(subject: Subject) -> Markup:
    return h(
        "section",
        _badge(subject),
        listed(_reasons(subject), "reasons"),
        _answers(subject),
        class_=f"card judgement {_look(subject)}",
        aria_label="Verdict",
    )


def _tiles(subject: Subject) -> Markup:
    failures, result = subject.failures, subject.result
    total = subject.info.completed + failures
    share = f"{format_digits(100 * failures / total)} % of {total:,}" if failures else ""
    rate = f"of {number(result.rate.offered)} offered" if subject.is_over else ""
    return h(
        "div",
        [
            _tile(
                name,
                with_unit(result.latency_ms.get(name), "ms"),
                f"95 %: {subject.interval(name) or 'too short to tell'}",
            )
            for name in MAIN
        ],
        _tile("completed", with_unit(result.rate.completed, "/s"), rate),
        _tile("failed", f"{failures:,}", share or f"of {total:,} requests", bad=failures > 0),
        _tile("send lag p99", format_lag(result.send_lag_us.get("p99")), "the generator's own"),
        class_="card figures",
    )


def _tile(label: str, value: Content, note: str, *, bad: bool = False) -> Markup:
    return h(
        "div",
        h("div", label, class_="label"),
        h("div", value, class_="value bad" if bad else "value"),
        h("div", note, class_="note"),
        class_=f"figure-{label.split()[0].replace('.', '')}",
    )


def _runs(subjects: Sequence[Subject]) -> Markup:
    units = [f"{name}, ms" for name in MAIN]
    heads = ["Run", "Verdict", *units[:2], "95 % interval", units[2], "Completed, /s", "Failed"]
    rows: list[tuple[Content, ...]] = []
    for subject in subjects:
        info = subject.info
        when = " · ".join((subject.started, format_clock(info.duration_s), info.profile))
        name = h("div", subject.chip, " ", info.title or info.name, class_="run-name")
        rows.append(
            (
                [name, h("small", when)],
                [_badge(subject), _answers(subject, brief=True)],
                *(number(subject.result.latency_ms.get(name)) for name in MAIN[:2]),
                subject.interval(TAIL) or NONE,
                number(subject.result.latency_ms.get(HIGHEST)),
                number(subject.result.rate.completed),
                f"{subject.failures:,}",
            )
        )
    return card(table("runs-table", heads, rows))


def _notes(subject: Subject) -> Content:
    reasons = listed(_reasons(subject), "reasons")
    return h("div", subject.chip, reasons, class_="why") if reasons else None
