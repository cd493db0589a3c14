"""Where the memory of a Python object is, which the kernel has to be told."""

import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tgtcore import Buffer

_SIMPLE, _WRITABLE = 0, 1


class _View(ctypes.Structure):
    """``Py_buffer`` of Python's stable interface for C (PEP 3118)."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


_get = ctypes.pythonapi.PyObject_GetBuffer
_get.argtypes = [ctypes.py_object, ctypes.POINTER(_View), ctypes.c_int]
_get.restype = ctypes.c_int
_release = ctypes.pythonapi.PyBuffer_Release
_release.argtypes = [ctypes.POINTER(_View)]
_release.restype = None


class Held:
    """Memory that stays where it is until it is released, whether it can be written to or not.

    :param writable: it must be.
    :raises BufferError: the object's memory is not in one piece, or it is to be writable, and is not.
    """

    __slots__ = ("_view", "address")

    def __init__(self, memory: "Buffer", writable: bool) -> None:
        self._view = _View()
        _get(memory, self._view, _WRITABLE if writable else _SIMPLE)
        self.address: int = self._view.buf or 0

    def release(self) -> None:
        """Let go of it; once."""
        _release(self._view)
