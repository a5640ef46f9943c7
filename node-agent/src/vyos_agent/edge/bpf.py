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
JEQ, JGT, JGE, RET = 0x15, 0x25, 0x35, 0x06
"""linux/bpf_common.h: load a word, half, byte, the length, the same behind X, an IPv4 header's length into X; jump if;
return."""
TAKE_ALL = 0xFFFF
CHECKS = {JEQ: (0, 1), JGE: (0, 1), JGT: (1, 0)}
"""Where a check goes on (0) and where it drops (1): if true, if false."""

Instruction = tuple[int, int]
"""Code and operand. JEQ and JGE go on when they hold, JGT when it does not."""


def program(instructions: Sequence[Instruction]) -> bytes:
    """Take what passes every check, drop the rest."""
    text = b""
    for i, (code, operand) in enumerate(instructions):
        to_drop = len(instructions) - i  # the instruction before the last one takes, the last one drops
        yes, no = (to_drop * side for side in CHECKS.get(code, (0, 0)))
        text += struct.pack("=HBBI", code, yes, no, operand)
    return text + struct.pack("=HBBI", RET, 0, 0, TAKE_ALL) + struct.pack("=HBBI", RET, 0, 0, 0)


def attach(sock: socket.socket, text: bytes) -> None:
    """Let the kernel run a program on whatever comes to this socket. Raises OSError."""
    buffer = ctypes.create_string_buffer(text, len(text))
    fprog = struct.pack("@HP", len(text) // 8, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
