"""What the tests of layer parameters start from."""

from __future__ import annotations

import pytest


@pytest.fixture
def write(tmp_path):
    """Function from the text of a file to its path."""

    def write(text):
        path = tmp_path / "layer-params.cfg"
        path.write_text(text)
        return str(path)

    return write
