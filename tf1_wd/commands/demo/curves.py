"""The curves of a demo report as a PNG."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

_STYLES = (
    {"color": "#d1495b", "linewidth": 2.0},
    {"color": "#edae49", "linewidth": 4.5},  # wide, because true decay lies on top of it
    {"color": "#00507a", "linewidth": 1.6, "linestyle": "--"},
)


def draw(report, path):
    """Writes training loss, test accuracy and weight norm over the steps, one line a method, to `path`.

    report: of train.run. path: a file name; a suffix other than .png chooses another format of matplotlib.
    """
    figure = Figure(figsize=(13.0, 4.3), dpi=120)
    loss, accuracy, norm = figure.subplots(1, 3)
    for method, style in zip(report["methods"], _STYLES):
        curves = method["curves"]
        for axes, key in ((loss, "training_loss"), (accuracy, "test_accuracy"), (norm, "weight_norm")):
            axes.plot(curves["step"], curves[key], label=method["name"], **style)
    loss.set(title="Training loss", ylabel="cross entropy (nats, dropout on)", yscale="log")
    accuracy.set(title="Test accuracy", ylabel="correct, of %d images" % report["test_images"])
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    accuracy.set_ylim(*_accuracy_range(report))
    norm.set(title="Norm of the weights", ylabel="L2 norm of all decayed weights")
    norm.set_ylim(bottom=0.0)
    for axes in (loss, accuracy, norm):
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    norm.legend(frameon=False)
    figure.suptitle(
        "slim_digits under Adam, rate %g per step, seed %d, TensorFlow %s"
        % (report["weight_decay"], report["seed"], report["tensorflow"])
    )
    figure.tight_layout()
    figure.savefig(path)


def _accuracy_range(report):
    """The axis without the first quarter of the steps, when little is learnt yet, which would flatten the rest."""
    curves = [method["curves"]["test_accuracy"] for method in report["methods"]]
    later = [value for curve in curves for value in curve[len(curve) // 4 :]]
    margin = 0.1 * (max(later) - min(later)) + 0.002
    return max(0.0, min(later) - margin), min(1.0, max(later) + margin)
