"""An audit as plain text and as Markdown."""

from __future__ import annotations

from tf1_wd.plan import text_table

HEADER = ("variable", "shape", "rate", "place", "updated by", "lr", "norm", "what", "rule", "source")


def rows(report):
    """The cells of each variable, in the order of HEADER: str, float or None."""
    return [
        (
            v.name,
            text_table.shape(v.shape),
            v.rate,
            v.place,
            ", ".join(v.updated_by) or "-",
            v.learning_rate,
            v.norm,
            role(v),
            v.rule or "-",
            v.source or "-",
        )
        for v in report.variables
    ]


def role(variable):
    """What a variable is besides a weight."""
    return ", ".join(filter(None, (variable.role, "frozen" if variable.frozen else ""))) or "-"


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
    parts = [headline(report), text_table.table(rows(report), HEADER)]
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
    for row in rows(report):
        lines.append("| %s |" % " | ".join(_md(text_table.cell(value)) for value in row))
    for title, entries in (("L2 against the learning rate", report.strengths), ("Notes", report.notes)):
        if entries:
            lines += ["", "## %s" % title, "", *("- %s" % _md(str(entry)) for entry in entries)]
    return "\n".join(lines) + "\n"


def _md(text):
    for character in "\\|*_<>":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ")
