"""The random decays of tools/fuzz.py as plain values: the cases, what NumPy makes of them, and what is wrong."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

# around the borders of vectors and of the shards of a thread pool
SIZES = [n + d for n in (8, 16, 32, 64, 256, 1024, 4096, 8192, 65536) for d in (-1, 0, 1)]
BAD_RATES = (1.0, 1.5, -0.25, np.nan, np.inf, -np.inf)


class Format(NamedTuple):
    """A dtype of variables."""

    dtype: Any
    bits: Any  # the integers of its width
    rate: Any  # what rates are rounded to, and values are computed in
    relative: float  # error of one rounding to the dtype
    smallest: float  # below it the CPU's threads may take a number for zero, or have few digits for it
    same_bits: float  # results from here on have the same bits by the op and by its twin


FORMATS = {
    "float16": Format(tf.float16, np.int16, np.float32, 2.0**-11, 2.0**-24, 0.0),
    "bfloat16": Format(tf.bfloat16, np.int16, np.float32, 2.0**-8, 2.0**-126, 2.0**-119),
    "float32": Format(tf.float32, np.int32, np.float32, 2.0**-23, 2.0**-126, 2.0**-126),
    "float64": Format(tf.float64, np.int64, np.float64, 2.0**-52, 2.0**-1022, 2.0**-1022),
}


class Case(NamedTuple):
    """A decay of some variables, as plain values."""

    seed: int
    kind: str  # "reference" or "resource"
    format: str  # a key of FORMATS
    weights: Sequence[np.ndarray]  # the bits of each variable
    listing: Sequence[int]  # the variables of the op, in order; one may come again
    rates: np.ndarray  # [] or [len(listing)]
    scale: np.ndarray  # []
    given: str  # how rates and scale come: "constant", "fed", "fed without shape", "a variable"
    use_locking: bool
    threads: int
    runs: int
    missing: int | None  # the variable that is not initialized
    held: bool  # what was fetched before is kept, so that its buffer has another owner
    sharing: bool  # the second variable is assigned the first, and may share its buffer

    def __str__(self):
        sizes = [weight.size for weight in self.weights[:4]]
        return "%s %s, %d variables (%s elements), rates %s * %s (%s), %s" % (
            *(self.kind, self.format, len(self.weights), ", ".join(map(str, sizes))),
            *(self.rates.ravel()[:4].tolist(), float(self.scale), self.given, self._asdict_of_the_rest()),
        )

    def _asdict_of_the_rest(self):
        return {name: getattr(self, name) for name in ("listing", "runs", "missing", "held", "sharing", "threads")}


class Outcome(NamedTuple):
    refused: str  # the class of the error, or ""
    message: str
    bits: Sequence[Any]  # of each variable; None where it is not initialized
    torn: str  # what is wrong with a buffer that somebody else held, or ""


# Making cases


def make_case(seed: int) -> Case:
    """The case of a seed."""
    random = np.random.RandomState(seed)
    kind, name = random.choice(["reference", "resource"]), random.choice(sorted(FORMATS))
    count = int(random.choice([1, random.randint(2, 6), random.randint(6, 20), 100], p=[0.35, 0.53, 0.11, 0.01]))
    weights = [random_bits(random, name, random_shape(random, count)) for _ in range(count)]
    sharing = count > 1 and random.rand() < 0.1
    if sharing:
        weights[1] = weights[0].copy()
    listing = random.permutation(count).tolist()
    if random.rand() < 0.3:
        listing += random.randint(0, count, random.randint(1, 4)).tolist()
    # a variable of no element has nothing that could lack a value: TensorFlow takes a reference to one for initialized
    may_miss = [i for i in listing if weights[i].size]
    missing = int(random.choice(may_miss)) if may_miss and random.rand() < 0.08 else None
    rates, scale = random_rates(random, FORMATS[name].rate, len(listing), bad=missing is None and random.rand() < 0.1)
    given = random.choice(["constant", "fed", "fed without shape", "a variable"])
    return Case(
        *(seed, kind, name, weights, listing, rates, scale, given, bool(random.rand() < 0.8)),
        *(random.randint(1, 9), random.randint(1, 4), missing, bool(random.rand() < 0.3), sharing),
    )


def random_shape(random: Any, count: int) -> tuple[int, ...]:
    size = random.choice([random.randint(1, 40), random.choice(SIZES), random.randint(1, 300000)], p=[0.5, 0.45, 0.05])
    if count > 6:
        size = min(size, 5000)
    shapes = [(), (0,), (0, 4), (size,), (size // 7 + 1, 7), (3, size // 3 + 1, 1)]
    return shapes[random.choice(len(shapes), p=[0.08, 0.04, 0.04, 0.5, 0.24, 0.1])]


def random_bits(random: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The bits of some weights: ordinary ones, any bits at all, or the special numbers."""
    form = FORMATS[name]
    style = random.choice(["ordinary", "any", "special"], p=[0.5, 0.3, 0.2])
    if style == "any":
        width = np.iinfo(form.bits)
        return random.randint(width.min, width.max, shape, dtype=form.bits) if shape else form.bits(random.randint(999))
    values = random.randn(*shape) * 10.0 ** random.uniform(-3, 3, shape)
    if style == "special":
        numbers = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 65504.0, form.smallest, -form.smallest, 2.0**-14]
        values = random.choice(numbers, shape)
    return to_bits(np.asarray(values), name)


def random_rates(random: Any, rate_type: Any, count: int, bad: bool) -> tuple[np.ndarray, np.ndarray]:
    """(rates, scale); with `bad` one product is out of [0, 1)."""
    with np.errstate(all="ignore"):
        shape = [] if random.rand() < 0.4 else [count]
        one = rate_type(1)
        near_one = [np.nextafter(one, rate_type(0)), one - rate_type(2.0 ** -random.randint(2, 20))]
        rates = np.where(random.rand(*shape) < 0.3, 10.0 ** random.uniform(-12, -2, shape), random.uniform(0, 1, shape))
        rates = np.where(random.rand(*shape) < 0.15, 0.0, rates)
        rates = np.where(random.rand(*shape) < 0.03, -0.0, rates)
        rates = np.where(random.rand(*shape) < 0.1, near_one[random.randint(2)], rates).astype(rate_type)
        scale = rate_type(random.choice([1.0, random.rand(), 0.0, 10.0], p=[0.5, 0.35, 0.05, 0.1]))
        if scale > 1:
            rates = (rates / scale).astype(rate_type)
        if bad:
            rates = np.array(rates)
            rates[... if not shape else random.randint(count)] = random.choice(BAD_RATES)
            scale = one
    return np.asarray(rates, rate_type), np.asarray(scale, rate_type)


# Bits and numbers


def to_bits(values: np.ndarray, name: str) -> np.ndarray:
    """The bits of numbers, rounded to nearest even."""
    with np.errstate(all="ignore"):
        if name != "bfloat16":
            return np.ravel(values).astype(name).view(FORMATS[name].bits).reshape(np.shape(values))
        bits = np.ravel(values).astype(np.float32).view(np.uint32)
        rounded = np.where(np.isnan(np.ravel(values)), bits, bits + 0x7FFF + (bits >> 16 & 1)) >> 16
        return rounded.astype(np.uint16).view(np.int16).reshape(np.shape(values))


def to_numbers(bits: np.ndarray, name: str) -> np.ndarray:
    """The numbers of some bits, in what they are computed in."""
    flat = np.ravel(bits)  # old NumPy views no scalar as another width
    if name == "bfloat16":
        return (flat.view(np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(np.shape(bits))
    with np.errstate(all="ignore"):
        return flat.view(name).astype(FORMATS[name].rate).reshape(np.shape(bits))


def to_float64(bits: np.ndarray, name: str) -> np.ndarray:
    with np.errstate(all="ignore"):  # a signaling NaN
        return to_numbers(bits, name).astype(np.float64)


def products(case: Case) -> np.ndarray:
    """rate_i * scale of each variable of the listing, rounded as the op does."""
    with np.errstate(all="ignore"):
        return np.broadcast_to(case.rates * case.scale, [len(case.listing)])


# Judging what came out


def expected(case: Case) -> tuple[str, Sequence[np.ndarray], Sequence[np.ndarray]]:
    """(the error, or ""; the values in float64; how far off each may be)."""
    factors = products(case)
    values = [to_float64(bits, case.format) for bits in case.weights]
    allowed = [np.zeros_like(value) for value in values]
    if case.missing is not None:
        return "FailedPreconditionError", values, allowed
    with np.errstate(invalid="ignore"):
        refused = not ((factors >= 0) & (factors < 1)).all()
    if refused:
        return "InvalidArgumentError", values, allowed
    form = FORMATS[case.format]
    computed = float(np.finfo(form.rate).eps)
    with np.errstate(all="ignore"):
        for _ in range(case.runs):
            for i, factor in zip(case.listing, factors.astype(np.float64)):
                if factor != 0:
                    before = values[i]
                    values[i] = before - factor * before
                    rounding = form.relative * np.abs(values[i]) + 2 * computed * np.abs(before) + 2 * form.smallest
                    allowed[i] = allowed[i] + rounding
    return "", values, allowed


def problem_of(case: Case, outcome: Outcome, backend: str) -> str:
    """What is wrong with an outcome, or ""."""
    refused, values, allowed = expected(case)
    told = "InvalidArgumentError" if outcome.refused == "InvalidRateError" else outcome.refused
    if told != refused:
        return "expected %s, not %s %s" % (refused or "no error", outcome.refused or "none", outcome.message[:300])
    name = "w%d" % case.missing if case.missing is not None else "w"
    if refused and name not in outcome.message:
        return "the message does not name %s: %s" % (name, outcome.message[:300])
    smallest = FORMATS[case.format].smallest
    for i, (bits, value, most) in enumerate(zip(outcome.bits, values, allowed)):
        if i == case.missing:
            continue
        if bits.shape != value.shape:
            return "w%d has shape %s, not %s" % (i, bits.shape, value.shape)
        found = to_float64(bits, case.format)
        if refused or (backend == "native" and not most.any()):
            right = bits == case.weights[i]  # not touched
        else:  # a rate of 0 by the twin is a write of what was there
            with np.errstate(all="ignore"):
                close = (found == value) | (np.abs(found - value) <= np.maximum(most, smallest))
            right = close | (np.isnan(found) & np.isnan(value))
        if not right.all():
            at = tuple(np.argwhere(~right)[0].tolist())
            start = float(to_float64(case.weights[i], case.format)[at])
            told = (i, list(at), float(found[at]), float(value[at]), start, np.count_nonzero(~right))
            return "w%d%s is %r, expected %r of %r; %d elements are wrong" % told
    return outcome.torn


def difference(case: Case, native: Outcome, twin: Outcome) -> str:
    """Where the bits of the op and of its twin differ, and should not, or ""."""
    for i, (bits, others) in enumerate(zip(native.bits, twin.bits)):
        if bits is None or (bits == others).all():
            continue
        start, one, other = (to_float64(each, case.format) for each in (case.weights[i], bits, others))
        with np.errstate(invalid="ignore"):
            tiny = (start != 0) & (np.abs(one) < FORMATS[case.format].same_bits)
            # the twin writes half types by two differences, which end in +0 where the rounded result is -0
            zeros = (one == 0) & (other == 0) & (start != 0) & (case.format in ("float16", "bfloat16"))
        wrong = (bits != others) & ~tiny & ~zeros & ~(np.isnan(one) & np.isnan(other))
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0].tolist())
            told = (i, list(at), float(start[at]), float(one[at]), float(other[at]), np.count_nonzero(wrong))
            return "w%d%s, which was %r: the op gives %r, its twin %r; %d elements differ" % told
    return ""
