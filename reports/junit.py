"""JUnit XML for CI: one suite for the thresholds, one for the findings.

A failed threshold and a finding of severity error are failures; other findings are passed cases that carry their text.
Times and host names are left out: the same report gives the same bytes.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from models.findings import Finding, Severity
from reports.document import Report, ThresholdResult
from reports.formats import number

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (section 2.2, production Char)."""


def render_junit(report: Report) -> str:
    """The report's thresholds and findings as JUnit XML."""
    root = ET.Element("testsuites", name=xml_text(f"stowplan {report.name}"))
    thresholds = ET.SubElement(root, "testsuite", name="thresholds")
    for threshold in report.thresholds:
        _add_threshold(thresholds, threshold)
    findings = ET.SubElement(root, "testsuite", name="findings")
    for finding in report.findings:
        _add_finding(findings, finding)
    for suite in (thresholds, findings):
        suite.set("tests", str(len(suite)))
        suite.set("failures", str(len(suite.findall("./testcase/failure"))))
        suite.set("errors", "0")
        suite.set("skipped", "0")
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in (thresholds, findings))))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_threshold(suite: ET.Element, threshold: ThresholdResult) -> None:
    name = xml_text(f"{threshold.metric}: {threshold.expression}")
    case = ET.SubElement(suite, "testcase", classname="thresholds", name=name)
    observed = "not observed" if threshold.observed is None else f"observed {number(threshold.observed, 6)}"
    if threshold.passed:
        ET.SubElement(case, "system-out").text = observed
    else:
        ET.SubElement(case, "failure", type="threshold", message=f"{name}: {observed}").text = observed


def _add_finding(suite: ET.Element, finding: Finding) -> None:
    classname = xml_text(f"findings.{finding.code}")
    case = ET.SubElement(suite, "testcase", classname=classname, name=xml_text(f"{finding.subject}: {finding.title}"))
    if finding.where.file:
        case.set("file", xml_text(finding.where.file))
    if finding.where.line is not None:
        case.set("line", str(finding.where.line))
    text = xml_text(_describe(finding))
    if finding.severity is Severity.ERROR:
        ET.SubElement(case, "failure", type=xml_text(finding.code), message=xml_text(finding.title)).text = text
    else:
        ET.SubElement(case, "system-out").text = text


def _describe(finding: Finding) -> str:
    lines = [f"{finding.severity}: {finding.title}"]
    lines += [f"where: {finding.where}"] if str(finding.where) else []
    lines += [f"evidence: {fact}" for fact in finding.evidence]
    lines += [f"way out: {finding.way_out}"] if finding.way_out else []
    lines += ["patch:", finding.patch] if finding.patch else []
    return "\n".join(lines)


def xml_text(text: str) -> str:
    """``text`` without what XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
