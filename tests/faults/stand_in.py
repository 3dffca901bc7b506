"""Puts the scripted model in the pipeline's place, in the worker that includes this module.

Loading it takes until the file exists that `DERMAI_TEST_LOADED` names, where that is set.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.faults import scripted


def _load_when_let(folder: Path, options: Any) -> scripted.Pipeline:
    gate = os.environ.get("DERMAI_TEST_LOADED")
    while gate and not Path(gate).exists():
        time.sleep(0.02)
    pipeline: scripted.Pipeline = _load(folder, options)
    return pipeline


_module = scripted.module()
_load = _module.current
_module.current = _load_when_let  # type: ignore[attr-defined]
sys.modules["inference_worker.pipeline"] = _module
