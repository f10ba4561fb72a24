"""What is said of a file: its diff, and one line for everything done, left, or not understood."""

from __future__ import annotations

import difflib
import io
import tokenize


def diff(path, before, after):
    """A unified diff of two versions of a file, both bytes; the text ends lines as the file does."""
    old, new = (list(io.StringIO(_text(source), newline="\n")) for source in (before, after))  # not at form feeds
    lines = difflib.unified_diff(old, new, "a/%s" % path.lstrip("/"), "b/%s" % path.lstrip("/"))
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)


def lines(path, outcome):
    """`path:line: text` for each note and refusal of an Outcome."""
    told = ["%s:%d: %s" % (path, line, text) for line, text in outcome.notes]
    for refusal in outcome.refusals:
        told.append("%s:%d: not understood: %s. By hand: %s" % (path, refusal.line, refusal.why, refusal.by_hand))
    return told


def _text(source):
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    return source.decode(encoding)
