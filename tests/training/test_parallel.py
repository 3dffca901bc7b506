from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.training import small_training
from training.parallel import Team


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    # What `accelerate launch` starts for several GPUs; for CPUs alone that would want MPI.
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = ["-m", "tests.training.small_training", str(together)]
    done = subprocess.run(
        [sys.executable, "-m", *launch, *script],
        capture_output=True,
        timeout=170,
        check=False,
    )

    one = load_file(small_training.train(alone))

    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert {p.name for p in together.glob("rank-*")} == {"rank-0-of-2", "rank-1-of-2"}
    two = load_file(together / "net/final.safetensors")
    start = small_training.Squares().model.state_dict()
    for name, tensor in one.items():
        assert torch.allclose(tensor, two[name], atol=1e-5), name
        assert not torch.allclose(tensor, start[name], atol=1e-3), name


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
