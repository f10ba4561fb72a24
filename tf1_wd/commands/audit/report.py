"""What an audit says of a program, as plain values; knows no TensorFlow."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tf1_wd.plan.decisions import half_life

RUN_TIME, UNKNOWN = "run time", "unknown"

# code -> (severity, what it is, in a few words), the gravest first
CODES = {
    "coupled": ("warning", "L2 in the loss under an adaptive optimizer"),
    "negative": ("warning", "L2 with a negative coefficient, which is no decay"),
    "double-counted": ("warning", "a variable is penalised by two routes"),
    "inert": ("warning", "declared, and in no loss"),
    "empty-filter": ("warning", "a name filter that matches no variable"),
    "stale-reads": ("warning", "the second step may read old weights"),
    "frozen-decayed": ("warning", "variables that the optimizer does not train decay"),
    "norm-decayed": ("note", "parameters of normalizations are decayed"),
    "bias-decayed": ("note", "biases are decayed"),
    "already-decoupled": ("note", "the program decays weights by itself"),
    "ambiguous": ("warning", "a rate that the graph does not tell"),
}


def is_decay(rate):
    """False for a rate that is known, and is 0 or less."""
    return not isinstance(rate, float) or rate > 0.0


@dataclass(frozen=True)
class AuditedVariable:
    """One trainable variable.

    shape: tuple of int, None for an unknown dimension. kind: "reference" or "resource". rate: float; None if nothing
    penalises it; "run time" or "unknown" (then `why` says why). rule: how the rate comes about, in words. place:
    "loss", "collection" (in no loss), "layer" (of Keras, in no loss) or "-". source: "file.py:12 code" of
    the penalty in the user's code, or None. updated_by: names of optimizers. learning_rate: float, "run time" or None.
    frozen: True if no optimizer trains it. role: "bias", "norm" or "". norm: of the weights, or None if no value is
    known.
    """

    name: str
    shape: tuple
    dtype: str
    kind: str
    rate: float | str | None = None
    rule: str = ""
    place: str = "-"
    source: str | None = None
    updated_by: tuple = ()
    learning_rate: float | str | None = None
    frozen: bool = False
    role: str = ""
    norm: float | None = None
    why: str = ""

    @property
    def size(self):
        """Number of elements; 0 where a dimension is unknown."""
        size = 1
        for dimension in self.shape:
            size *= dimension or 0
        return size


@dataclass(frozen=True)
class Finding:
    """What is wrong or worth knowing: a code of CODES, the variables it is about, a sentence, and what to do."""

    code: str
    variables: tuple  # of str
    sentence: str
    remedy: str

    @property
    def severity(self):
        """ "warning", or "note" for what may be meant so."""
        return CODES[self.code][0]


@dataclass(frozen=True)
class Strength:
    """A rate against the learning rate: plain SGD would take rate * learning_rate of a weight off in a step.

    half_life: steps in which a weight without gradient halves under that decay.
    """

    optimizer: str
    rate: float
    learning_rate: float
    variables: int

    @property
    def per_step(self):
        """The fraction of a weight that a step of plain SGD takes off."""
        return self.rate * self.learning_rate

    @property
    def half_life(self):
        """In steps; None if the weight never halves, or does not shrink."""
        return half_life(self.per_step) if 0.0 < self.per_step < 1.0 else None

    def __str__(self):
        life = "never" if self.half_life is None else "%.0f steps" % self.half_life
        return "%s, rate %g, learning rate %g: %.3g of a weight per step of plain SGD, half-life %s (%d variable%s)" % (
            *(self.optimizer, self.rate, self.learning_rate, self.per_step, life, self.variables),
            "" if self.variables == 1 else "s",
        )


@dataclass(frozen=True)
class AuditReport:
    """The audit of a program or a graph. notes: sentences on what was looked at and what could not be known."""

    program: str
    tensorflow: str
    variables: tuple
    findings: tuple
    strengths: tuple = ()
    notes: tuple = ()

    @property
    def codes(self):
        """The codes of the findings, each once, in the order of CODES."""
        found = {finding.code for finding in self.findings}
        return tuple(code for code in CODES if code in found)

    def as_dict(self):
        """The report as values that JSON knows."""
        report = asdict(self)
        computed = {"variables": ["size"], "findings": ["severity"], "strengths": ["per_step", "half_life"]}
        for part, names in computed.items():
            for entry, values in zip(getattr(self, part), report[part]):
                values.update((name, getattr(entry, name)) for name in names)
        return report
