from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training import drawn
from training import dataset, overlap, recipe
from training.fit import Run


def test_lesion_shares_are_of_every_diagnosis_where_the_table_is_sorted_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn.write(tmp_path)
    (tmp_path / "drawn.yaml").write_text(drawn.RECIPE)
    made = recipe.load(str(tmp_path / "drawn.yaml"))[0]
    run = Run(made, tmp_path, tmp_path / "run", torch.device("cpu"))
    own = dataset.labelled(made, tmp_path)
    for record in own.records:
        assert record.mask_path is not None
        if record.dx == own.records[-1].dx:  # the last diagnosis: its lesions are gone
            path = tmp_path / record.source / record.mask_path
            Image.fromarray(np.zeros((60, 80), np.uint8)).save(path)
    monkeypatch.setattr("training.overlap._SHARES_OF", 14)

    shares = overlap.lesion_shares(run, own)

    assert 14 <= len(shares) < len(own.split.development)
    assert 0 < (shares == 0).sum() < len(shares)
