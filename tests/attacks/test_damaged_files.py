"""Two hundred damaged files through the decoding process; `make evidence` sends ten thousand."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from analyses import decoding
from analyses.exceptions import DecoderUnavailableError, IntakeError, UndecodableError
from tests.attacks.mutations import damaged

QUICK = settings(
    max_examples=200,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@QUICK
@given(content=damaged())
def test_a_damaged_file_becomes_a_picture_or_a_named_refusal(content: bytes) -> None:
    try:
        decoded = decoding.decode(content)
    except (DecoderUnavailableError, UndecodableError) as error:
        pytest.fail(f"the decoding process broke: {error.code}")
    except IntakeError:
        return
    else:
        assert decoded.pixels.shape == (decoded.height, decoded.width, 3)
