"""What a migration reads off a program that is built in a graph."""

from __future__ import annotations

import pytest
import tensorflow.compat.v1 as tf

from support.migration_cases import LR
from support.migration_programs import Built, l2, watched
from tf1_wd import errors
from tf1_wd.commands.migrate.writing import module

RATE = 0.5


def read(build, rules=None, use_resource=True, name="program"):
    return watched(build, Built(name, use_resource), rules)[1]


def code(build, form="auto", **options):
    return module.write(read(build, **options), form).code


def differences(build, **options):
    return [str(d) for d in read(build, **options).differences]


def minimized(optimizer, **options):
    return lambda loss, v: [optimizer().minimize(loss + l2(v), **options)]


def adam():
    return tf.train.AdamOptimizer(LR)


def refused(build, error=errors.MigrationError, form="auto", **options):
    with pytest.raises(error) as raised:
        code(build, form, **options)
    return str(raised.value)
