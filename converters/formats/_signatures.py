"""How files begin, for telling formats apart without loading what reads them."""

from __future__ import annotations

HDF5 = b"\x89HDF\r\n\x1a\n"
NPY = b"\x93NUMPY"
GZIP = b"\x1f\x8b"
TAR = b"ustar"
"""At byte 257."""
# The tar archives of PyTorch before 0.1.10 hold these members.
_TORCH_TAR_MEMBERS = (b"sys_info\0", b"pickle\0", b"storages\0", b"tensors\0")


def is_tar(head: bytes) -> bool:
    """True for the first bytes (at least 512) of a tar archive."""
    return head[257:262] == TAR


def is_old_torch(head: bytes) -> bool:
    """True for the first bytes (at least 512, or all) of a pickle of protocol 2 to 5 or a tar archive of PyTorch."""
    if is_tar(head):
        return head.startswith(_TORCH_TAR_MEMBERS)
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5
