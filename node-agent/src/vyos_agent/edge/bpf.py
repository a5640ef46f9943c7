"""Classic BPF programs for sockets: what a socket need not hear never wakes the loop.

Only as much of it as the sockets here use: programs are lists of instructions, each a check that drops or goes on.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

SO_ATTACH_FILTER = 26
"""asm-generic/socket.h."""
LD_W, LD_H, LD_B, LD_LEN, LD_H_IND, LD_B_IND, LDX_MSH = 0x20, 0x28, 0x30, 0x80, 0x48, 0x50, 0xB1
JA, JEQ, JGT, JGE, RET = 0x05, 0x15, 0x25, 0x35, 0x06
"""linux/bpf_common.h: load a word, half, byte, the length, the same behind X, an IPv4 header's length into X; jump if;
return."""
TAKE_ALL = 0xFFFF
CHECKS = {JEQ: (0, 1), JGE: (0, 1), JGT: (1, 0)}
"""Where a check goes on (0) and where it drops (1): if true, if false."""

Instruction = tuple[int, int]
"""Code and operand. JEQ and JGE go on when they hold, JGT when it does not."""


def program(checks: Sequence[Instruction], alternatives: Sequence[Sequence[Instruction]] = ()) -> bytes:
    """Take what passes every check, and every check of one of the alternatives if there are any; drop the rest."""
    text = _block(checks) if checks else b""
    if not alternatives:
        return text + _TAKE + _DROP
    if checks:  # jumps are short: whoever passes goes over a drop of their own
        text += _one(JA, operand=1) + _DROP
    for alternative in alternatives:
        text += _block(alternative) + _TAKE
    return text + _DROP


def _block(checks: Sequence[Instruction]) -> bytes:
    """Checks in a row; the first that fails goes to the instruction after the next one behind them."""
    text = b""
    for i, (code, operand) in enumerate(checks):
        yes, no = ((len(checks) - i) * side for side in CHECKS.get(code, (0, 0)))
        text += _one(code, yes, no, operand)
    return text


def _one(code: int, yes: int = 0, no: int = 0, operand: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, operand)


_TAKE, _DROP = _one(RET, operand=TAKE_ALL), _one(RET)


def attach(sock: socket.socket, text: bytes) -> None:
    """Let the kernel run a program on whatever comes to this socket. Raises OSError."""
    buffer = ctypes.create_string_buffer(text, len(text))
    fprog = struct.pack("@HP", len(text) // 8, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
