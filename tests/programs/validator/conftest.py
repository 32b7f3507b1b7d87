"""numpy reads this when it is imported: as in the program, one thread."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
