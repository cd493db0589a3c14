"""Runs in the guest: makes processes of Python from one that has loaded what they need, as loading takes an emulated one seconds.

A line of the pipe is JSON: ``[name, working folder, module, function, arguments]``.  What the new process writes goes to the
files ``name.out`` and ``name.err``; when it ends, its exit status goes to the pipe ``name.end``, if there is one.  The function
``load`` of module ``nursery`` imports the modules that the arguments name in the one that all are made from.
"""

import argparse  # noqa: F401
import asyncio  # noqa: F401
import ctypes  # noqa: F401
import importlib
import json
import logging  # noqa: F401
import mmap  # noqa: F401
import multiprocessing  # noqa: F401
import os
import pathlib  # noqa: F401
import signal
import socket  # noqa: F401
import ssl  # noqa: F401
import sys
import tomllib  # noqa: F401
import traceback
import uuid  # noqa: F401

PIPE = "/run/nursery"
READY = "/run/nursery.ready"
MODULES = "/etc/nursery-modules"
"""Names of those that are loaded at the beginning."""


def main() -> None:
    """Make one after the other."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with open(MODULES) as names:
        load(names.read().split())
    with os.fdopen(os.open(PIPE, os.O_RDWR)) as pipe:
        open(READY, "w").close()
        for line in pipe:
            name, folder, module, function, arguments = json.loads(line)
            if module == "nursery":
                load(arguments)
                end(name, 0)
            elif os.fork() == 0:
                run(name, folder, module, function, arguments)


def load(modules: list[str]) -> None:
    """Have modules that will be needed."""
    importlib.invalidate_caches()
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:
            traceback.print_exc()


def run(name: str, folder: str, module: str, function: str, arguments: list[str]) -> None:
    """One process from its beginning to its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.chdir(folder)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    for descriptor, kind in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{name}.{kind}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
    sys.argv = [function, *arguments]
    status = 1
    try:
        status = call(module, function)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    end(name, status)
    os._exit(status)


def call(module: str, function: str) -> int:
    """What a console script does."""
    try:
        return int(getattr(importlib.import_module(module), function)() or 0)
    except SystemExit as left:
        if left.code is None or isinstance(left.code, int):
            return left.code or 0
        print(left.code, file=sys.stderr)
        return 1


def end(name: str, status: int) -> None:
    """Tell who waits for it."""
    if os.path.exists(f"{name}.end"):
        with open(f"{name}.end", "w") as pipe:
            pipe.write(f"{status}\n")


if __name__ == "__main__":
    main()
