"""Weights as integers: a quarter of the size, and the same network to within their rounding."""

import pytest
import torch

from inference_worker import storage


def _drawn() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "conv.weight": torch.randn(128, 128, 3, 3)
        * torch.logspace(-3, 1, 128)[:, None, None, None],
        "head.weight": torch.randn(7, 1024),
        "bn.weight": torch.randn(8),
        "stem.m": torch.rand(1, 3, 1, 1),
        "bn.num_batches_tracked": torch.tensor(7),
    }


def test_integers_keep_each_row_to_half_a_step_whatever_its_size() -> None:
    tensors = _drawn()

    back = storage.unpack(storage.pack(tensors, "int8"))

    step = tensors["conv.weight"].flatten(1).abs().amax(1) / 127
    error = (back["conv.weight"] - tensors["conv.weight"]).flatten(1).abs().amax(1)
    assert (error <= step * 0.5001).all()
    assert set(back) == set(tensors)


def test_only_large_matrices_of_weights_become_integers() -> None:
    stored = storage.pack(_drawn(), "int8")

    assert stored["conv.weight"].dtype == torch.int8
    assert stored["conv.weight" + storage.SCALE].shape == (128,)
    for name in ("head.weight", "bn.weight", "stem.m"):
        assert stored[name].dtype == torch.float16
    assert stored["bn.num_batches_tracked"].dtype == torch.int64


def test_rounding_twice_is_rounding_once() -> None:
    once = storage.unpack(storage.pack(_drawn(), "int8"))

    twice = storage.unpack(storage.pack(once, "int8"))

    torch.testing.assert_close(twice["conv.weight"], once["conv.weight"], rtol=1e-6, atol=0)


def test_a_row_of_zeros_stays_one() -> None:
    stored = storage.pack({"weight": torch.zeros(128, 1024)}, "int8")

    assert stored["weight"].dtype == torch.int8
    assert (storage.unpack(stored)["weight"] == 0).all()


def test_half_and_float32_hold_no_integers() -> None:
    half, single = (storage.pack(_drawn(), kind) for kind in ("half", "float32"))

    assert half["conv.weight"].dtype == torch.float16
    assert single["conv.weight"].dtype == torch.float32


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ({"a.weight": torch.ones(2, 2, dtype=torch.int8)}, "no 'a.weight.scale_of_rows'"),
        ({"a.weight" + storage.SCALE: torch.ones(2)}, "not there"),
        (
            {
                "a.weight": torch.ones(2, 2, dtype=torch.int8),
                "a.weight" + storage.SCALE: torch.ones(3),
            },
            "one each",
        ),
    ],
)
def test_integers_and_scales_that_do_not_fit_are_refused(
    stored: dict[str, torch.Tensor], says: str
) -> None:
    with pytest.raises(storage.StorageError, match=says):
        storage.unpack(stored)
