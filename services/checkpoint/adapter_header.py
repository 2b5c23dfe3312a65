"""The header of a safetensors file, read with bounds and without any tensor library.

Checked is what a loader relies on: the header's length, its JSON, dtypes, shapes, and offsets that cover the data
exactly once. Nothing here reads weights.
"""

import json
import math
import struct
from typing import BinaryIO, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.checkpoint.errors import CheckpointRejected
from services.contracts.checkpoints import RejectionReason as Reason

MAX_HEADER_BYTES: Final = 4 << 20
"""A 70B model with adapters on all linear layers has a header of some 200 kB."""
_LENGTH_BYTES: Final = 8
_DTYPE_BYTES: Final = {"BF16": 2, "F16": 2, "F32": 4}
_RANK_AXIS: Final = {".lora_A.weight": 0, ".lora_B.weight": 1}
_METADATA: Final = "__metadata__"


class _Tensor(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dtype: str
    shape: list[int] = Field(min_length=2, max_length=2)
    data_offsets: list[int] = Field(min_length=2, max_length=2)


_HEADER: Final = TypeAdapter(dict[str, _Tensor])


def adapter_rank(file: BinaryIO, file_bytes: int) -> int:
    """Return the highest LoRA rank in an adapter's safetensors file of `file_bytes` bytes.

    Raises:
        CheckpointRejected: NOT_SAFETENSORS, it is not a sound safetensors file of LoRA matrices.
    """
    try:
        return _rank(*_header(file, file_bytes))
    except (ValueError, RecursionError) as error:
        what = "its header has not the expected form" if isinstance(error, ValidationError) else str(error)
        raise CheckpointRejected(Reason.NOT_SAFETENSORS, f"the adapter is not sound safetensors: {what}") from error


def _header(file: BinaryIO, file_bytes: int) -> tuple[dict[str, _Tensor], int]:
    """Return the tensors by name, and how many bytes of data follow the header."""
    file.seek(0)
    prefix = file.read(_LENGTH_BYTES)
    if len(prefix) < _LENGTH_BYTES:
        raise ValueError("it is shorter than a header's length")
    (length,) = struct.unpack("<Q", prefix)
    if not 2 <= length <= min(MAX_HEADER_BYTES, file_bytes - _LENGTH_BYTES):
        raise ValueError("its header's length is out of bounds")
    raw = file.read(length)
    if not raw.startswith(b"{"):
        raise ValueError("its header is no JSON object")
    content = json.loads(raw, object_pairs_hook=_no_duplicates)
    content.pop(_METADATA, None)
    return _HEADER.validate_python(content), file_bytes - _LENGTH_BYTES - length


def _rank(tensors: dict[str, _Tensor], data_bytes: int) -> int:
    rank, end = 0, 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        axis = next((axis for suffix, axis in _RANK_AXIS.items() if name.endswith(suffix)), None)
        if axis is None:
            raise ValueError("it holds something other than LoRA matrices")
        if tensor.dtype not in _DTYPE_BYTES or min(tensor.shape) < 1:
            raise ValueError("a tensor's type or shape is not that of a LoRA matrix")
        begin, stop = tensor.data_offsets
        if begin != end or stop - begin != math.prod(tensor.shape) * _DTYPE_BYTES[tensor.dtype]:
            raise ValueError("its tensors do not cover the data exactly once")
        end, rank = stop, max(rank, tensor.shape[axis])
    if end != data_bytes or not rank:
        raise ValueError("its tensors do not cover the data exactly once")
    return rank


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name occurs twice in its header")
    return content
