"""How commands read what they are given by name: a file or the standard input, as UTF-8, or a refusal with a place."""

from __future__ import annotations

import sys

from vyos_cluster.refusal import Place, Refused


def title(file: str) -> str:
    """What a file is called in messages."""
    return "<stdin>" if file == "-" else file


def read(file: str) -> str:
    """The text of a file, or of the standard input for "-". Raises Refused."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(file, "rb") as opened:
                data = opened.read()
        return data.decode()
    except OSError as error:
        raise Refused((Place(), f"cannot be read: {error.strerror}")) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        raise Refused((Place(line, column), "this is no UTF-8 text")) from None
    except ValueError:  # a NUL in the file's name
        raise Refused((Place(), "cannot be read: this is no file's name")) from None
