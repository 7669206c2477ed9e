"""A summary as JUnit XML, as Jenkins, GitLab, GitHub's actions and most others read it.

The format has no standard; this keeps to what the readers agree on (Jenkins' xunit plugin
`junit-10.xsd`): testsuites, testsuite, properties, testcase, failure, error, skipped.
"""

from xml.etree import ElementTree as ET

from tailrace.plain import plain
from tailrace.runs.summary.summary import Check, Summary


def junit(summary: Summary) -> str:
    """The document. What is undecided is a skipped test, with the reason."""
    outcomes = [check.outcome for check in summary.checks]
    counts = {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("failed")),
        "errors": str(outcomes.count("error")),
        "skipped": str(outcomes.count("undecided")),
        "time": f"{summary.duration_s:.3f}",
    }
    root = ET.Element("testsuites", {key: counts[key] for key in counts if key != "skipped"})
    name = plain(f"tailrace {summary.command} {summary.subject}")
    suite = ET.SubElement(root, "testsuite", {"name": name, **counts})
    properties = ET.SubElement(suite, "properties")
    for key, value in {**summary.facts, **_figures(summary)}.items():
        ET.SubElement(properties, "property", {"name": plain(key), "value": plain(value)})
    for check in summary.checks:
        _add_case(suite, summary, check)
    if summary.notes:
        ET.SubElement(suite, "system-out").text = "\n".join(map(plain, summary.notes))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _add_case(suite: ET.Element, summary: Summary, check: Check) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "classname": f"tailrace.{summary.command}",
            "name": plain(check.name),
            "time": f"{summary.duration_s:.3f}",
        },
    )
    reason = plain(check.reason)
    match check.outcome:
        case "failed":
            ET.SubElement(case, "failure", {"message": reason, "type": "failed"}).text = reason
        case "error":
            ET.SubElement(case, "error", {"message": reason, "type": "error"}).text = reason
        case "undecided":
            ET.SubElement(case, "skipped", {"message": reason})
        case "passed":
            ET.SubElement(case, "system-out").text = reason


def _figures(summary: Summary) -> dict[str, str]:
    if summary.table is None:
        return {}
    _, *columns = summary.table.head
    return {
        f"{name} {column}".strip(): value
        for name, *values in summary.table.rows
        for column, value in zip(columns, values, strict=True)
    }
