"""An audit as plain text and as Markdown."""

from __future__ import annotations

from tf1_wd.plan import text_table

# name -> what it says of an AuditedVariable
_COLUMNS = {
    "variable": lambda v: v.name,
    "shape": lambda v: text_table.shape(v.shape),
    "rate": lambda v: v.rate,
    "place": lambda v: v.place,
    "updated by": lambda v: ", ".join(v.updated_by) or "-",
    "lr": lambda v: v.learning_rate,
    "norm": lambda v: v.norm,
    "what": lambda v: ", ".join(filter(None, (v.role, "frozen" if v.frozen else ""))) or "-",
    "rule": lambda v: v.rule or "-",
    "source": lambda v: v.source or "-",
}
HEADER = tuple(_COLUMNS)


def cells(variable):
    """The cells of an AuditedVariable, in the order of HEADER: str, float or None."""
    return [value(variable) for value in _COLUMNS.values()]


def headline(report):
    """What was audited, in a sentence."""
    penalised = [v for v in report.variables if v.rate not in (None, 0.0)]
    return "%s: %d trainable variables, %s weights; %d with L2, %d frozen. TensorFlow %s" % (
        report.program,
        len(report.variables),
        f"{sum(v.size for v in report.variables):,}",
        len(penalised),
        sum(v.frozen for v in report.variables),
        report.tensorflow,
    )


def text(report):
    """The report for a terminal."""
    parts = [headline(report), text_table.table([cells(v) for v in report.variables], HEADER)]
    parts += ["note: %s" % note for note in report.notes]
    if report.strengths:
        parts.append("\n".join("L2 under %s" % s for s in report.strengths))
    if not report.findings:
        parts.append("findings: none")
    for f in report.findings:
        parts.append("%s [%s] %s\n    -> %s" % (f.severity, f.code, f.sentence, f.remedy))
    unknown = ["%s: %s" % (v.name, v.why) for v in report.variables if v.why and not isinstance(v.rate, float)]
    parts += unknown[:5]
    return "\n\n".join(parts)


def markdown(report):
    """The report for an issue or a wiki page."""
    lines = ["# Weight decay of %s" % _md(report.program), "", _md(headline(report)) + ".", "", "## Findings", ""]
    if not report.findings:
        lines += ["None.", ""]
    for f in report.findings:
        lines += ["- **%s** (%s): %s" % (f.code, f.severity, _md(f.sentence)), "  What to do: %s." % _md(f.remedy)]
    lines += ["", "## Variables", "", "| %s |" % " | ".join(HEADER), "|%s" % ("---|" * len(HEADER))]
    lines += ["| %s |" % " | ".join(_md(text_table.cell(value)) for value in cells(v)) for v in report.variables]
    for title, entries in (("L2 against the learning rate", report.strengths), ("Notes", report.notes)):
        if entries:
            lines += ["", "## %s" % title, "", *("- %s" % _md(str(entry)) for entry in entries)]
    return "\n".join(lines) + "\n"


def _md(text):
    for character in "\\|*_<>":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ")
