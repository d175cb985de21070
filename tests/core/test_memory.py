"""A lack of memory is one line that names the key at fault."""

import pytest
import torch

from stages.core.errors import InputError
from stages.core.memory import enough_for, used_up


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_a_lack_of_memory_names_the_key_its_value_and_the_remedy(error: Exception) -> None:
    line = r"^train\.batch_size: found 512: the memory.* does not suffice; lower it$"
    with pytest.raises(InputError, match=line), enough_for("train.batch_size", 512, "lower it"):
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), enough_for("train.batch_size", 512, "lower it"):
        raise RuntimeError("shapes do not fit")


def test_the_cpu_says_it_in_other_words() -> None:
    assert used_up(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"))
    assert not used_up(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
