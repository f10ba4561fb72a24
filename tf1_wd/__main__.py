"""`python -m tf1_wd` is `tf1-wd`."""

from __future__ import annotations

import sys

from tf1_wd.cli.main import main

sys.exit(main())
