"""Where the files of data sets come from, and the three parts of a data set."""

from __future__ import annotations

import collections
import os
import urllib.request

from tensorflow.compat.v1 import gfile

from tf1_wd.errors import NoDataError

Datasets = collections.namedtuple("Datasets", ["train", "validation", "test"])


def maybe_download(filename, work_directory, source_url):
    """The path of a file, which is downloaded first where it is not there.

    Raises: NoDataError, which names the file and where it should come from.
    """
    path = os.path.join(work_directory, filename)
    if not gfile.Exists(path):
        gfile.MakeDirs(work_directory)
        try:
            content = urllib.request.urlopen(source_url).read()
        except OSError as error:
            raise NoDataError(
                "%s is not there, and %s cannot be had: put the file there" % (path, source_url)
            ) from error
        with gfile.Open(path, "wb") as file:
            file.write(content)
    return path
