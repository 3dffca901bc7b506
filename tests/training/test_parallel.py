from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training import drawn, small_training
from training import loop, recipe
from training.parallel import SOLO, Team


def launch(*arguments: str) -> None:
    """Run a module in two processes: what `accelerate launch` starts for several GPUs.

    For CPUs alone that would want MPI.
    """
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, *arguments],
        capture_output=True,
        timeout=170,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()

    launch("tests.training.small_training", str(together))
    one = load_file(small_training.train(alone, small_training.Squares(), SOLO))

    assert {p.name for p in together.glob("rank-*")} == {"rank-0-of-2", "rank-1-of-2"}
    two = load_file(together / "net/final.safetensors")
    start = small_training.Squares().model.state_dict()
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=1e-5), name
        assert not torch.allclose(tensor, start[name], atol=1e-3), name


def test_each_process_drops_out_by_itself_and_goes_on_so_after_a_kill(tmp_path: Path) -> None:
    launch("tests.training.small_training", str(tmp_path), "--killed")

    first, second = (load_file(tmp_path / f"dropout-{rank}.safetensors")["mask"] for rank in (0, 1))
    # Shares of 5 and 4 rows of one batch.
    assert not torch.equal(first[:4], second)
    whole, killed = (load_file(tmp_path / n / "net/final.safetensors") for n in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    state = load_file(tmp_path / "killed/net" / loop.CHECKPOINT)["rng"]
    assert state.shape[0] == 2


def test_two_processes_fit_every_phase_of_a_convnext(tmp_path: Path) -> None:
    """convnext_base as it ships, but of timm's smallest: what DDP refuses it refuses of both."""
    drawn.write(tmp_path / "data")
    text = (recipe.FOLDER / "convnext_base.yaml").read_text()
    text = text.replace("{name: convnext_base,", "{name: convnext_atto,")
    (tmp_path / "small.yaml").write_text(text)
    places = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--threads", "1"]

    launch("training", "fit", str(tmp_path / "small.yaml"), "--smoke", "--only", "0", *places)

    member = tmp_path / "run/member-0"
    rows = list(csv.DictReader((member / "log.csv").open()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert all(float(row["loss"]) > 0 for row in rows)
    assert (member / "final.safetensors").exists()


def test_a_checkpoint_of_another_team_is_gone_on_with_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Pair(Team):
        """A team of two whose other process is not here."""

        def gather(self, state: torch.Tensor) -> torch.Tensor:
            return torch.stack([state, state])

    with pytest.raises(small_training.PowerCutError):
        small_training.train(tmp_path, small_training.Squares(dies_at=2), Pair(0, 2), every=1)

    small_training.train(tmp_path, small_training.Squares(), SOLO, resume=True, every=1)

    assert "the checkpoint is of 2 processes, this training of 1" in caplog.text


def test_a_batch_is_shared_without_rest_and_weighed_so_that_its_mean_stays() -> None:
    x = torch.arange(9.0)
    team = [Team(rank, 2) for rank in (0, 1)]

    shares = [one.share(x) for one in team]

    assert sorted(torch.cat(shares).tolist()) == x.tolist()
    weighed = [t.weight(9, len(s)) * s.mean() for t, s in zip(team, shares, strict=True)]
    assert torch.isclose(sum(weighed) / 2, x.mean())  # type: ignore[arg-type]


def test_a_batch_too_small_to_share_is_seen_by_all() -> None:
    x = torch.arange(3.0)

    assert torch.equal(Team(1, 2).share(x), x)
    assert Team(1, 2).weight(3, 3) == 1.0
