"""docs/commands/run.md: its commands run, what it shows is what is said and written, and it has every option."""

from __future__ import annotations

import argparse
import re

import numpy as np

from support import reader
from support.pages import ROOT, assert_alike, folded, runs
from tf1_wd.cli import run

NO_L2 = reader.TRAIN.replace(" + {rate} * tf.nn.l2_loss(w)", "")


def in_line(text):
    """JSON without the white space inside of the brackets of a list or an object that takes several lines."""
    return re.sub(r"(?<=[\[{])\s+|\s+(?=[\]}])", "", text)


@runs(
    "docs/commands/run.md",
    commands="tf1-wd run train.py --its --own --flags",
    said="tf1-wd run: 1 of 1 variables decay",
    report="{",
)
def test_the_commands_of_the_page_train_with_true_decay_or_as_it_is_and_report_it(commands, said, report, tmp_path):
    decayed, reported, alone = commands.text.splitlines()
    for number, command in enumerate((decayed, reported, alone)):
        folder = tmp_path / str(number)
        folder.mkdir()
        reader.write_train(folder)
        done = reader.shell(command, folder)
        assert done.returncode == 0, done.stderr
        if command is alone:
            np.testing.assert_allclose(
                np.load(str(folder / "weights.npy")), reader.trained(0.0, reader.RATE), rtol=1e-6
            )
            assert "tf1-wd run:" not in done.stderr
        else:
            reader.assert_decayed(folder)
            assert folded(said.text) in folded(done.stderr)
        if command is reported:
            assert_alike(in_line(report.text), in_line((folder / "report.json").read_text()))


@runs("docs/commands/run.md", command="tf1-wd run no_l2.py", said="tf1-wd run: none of 1 variables decays")
def test_a_program_without_l2_stops_with_what_the_page_shows_or_trains_as_it_is(command, said, tmp_path):
    reader.write_train(tmp_path, NO_L2, "no_l2.py", flags=())
    done = reader.shell(command.text, tmp_path)
    assert done.returncode == 1
    assert_alike(said.text, done.stderr[done.stderr.index("tf1-wd run:") :])
    assert not (tmp_path / "weights.npy").exists()
    (page,) = re.findall(r"`(tf1-wd run --if-impossible .*?)`", (ROOT / "docs/commands/run.md").read_text())
    done = reader.shell(page, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "starts anew, unchanged" in done.stderr
    np.testing.assert_allclose(np.load(str(tmp_path / "weights.npy")), reader.trained(0.0), rtol=1e-6)


def test_the_page_has_every_option_with_every_choice():
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    options = {name: action for action in parser._actions for name in action.option_strings if action.dest != "help"}
    lines = re.findall(r"^\| (`-.*?) \| (.*) \|$", (ROOT / "docs/commands/run.md").read_text(), re.M)
    said = {name: text for names, text in lines for name in re.findall(r"`(.*?)`", names)}
    assert set(said) == set(options)
    for name, action in options.items():
        assert set(action.choices or ()) <= set(re.findall(r"`(.*?)`", said[name])), name
        if action.choices and action.default:
            assert said[name].index("`%s`" % action.default) < (said[name] + "(default)").index("(default)")
