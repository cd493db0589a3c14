"""The filter ``error``: commands fail."""

import errno
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from tgtcore import CheckCondition, ProvokedError, Task
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore_filters.commands.choice import ChoiceOptions, ChoosingFilter
from tgtcore_filters.commands.sense_words import parse_code
from tgtcore_filters.commands.similar import nearest

_log = logging.getLogger(__name__)

_STATUSES = {
    status.name.replace("_", " "): status
    for status in Status
    if status not in (Status.GOOD, Status.CONDITION_MET, Status.CHECK_CONDITION)
}
"""Those that say that a command was not done; CHECK CONDITION needs sense data."""

_ERRNOS = {name: number for number, name in errno.errorcode.items()}
_TELL_THE_BLOCK = frozenset({SenseKey.MEDIUM_ERROR, SenseKey.HARDWARE_ERROR})
_WAYS = ("status", "sense", "errno")


class ErrorOptions(ChoiceOptions):
    """``type = "error"``; one of ``status``, ``sense`` and ``errno``."""

    status: str | None = Field(
        None, description="end chosen commands with this status: `" + "`, `".join(_STATUSES) + "`"
    )
    sense: str | None = Field(
        None,
        description="end them with CHECK CONDITION and this sense key and additional sense code: "
        '`"MEDIUM ERROR/unrecovered read error"`, or the same by numbers, `"3/11/00"`',
    )
    errno: str | None = Field(
        None, description="end them as if their store had failed with this error of the system: `EIO`, `ENOSPC`, ..."
    )

    @field_validator("status")
    @classmethod
    def _status_is_one(cls, value: str | None) -> str | None:
        if value is not None and _folded(value) not in _STATUSES:
            raise ValueError(f'"{value:.60}" is no status that this filter answers{nearest(_folded(value), _STATUSES)}')
        return value

    @field_validator("sense")
    @classmethod
    def _sense_is_known(cls, value: str | None) -> str | None:
        if value is not None:
            parse_code(value)
        return value

    @field_validator("errno")
    @classmethod
    def _errno_is_known(cls, value: str | None) -> str | None:
        if value is not None and value.upper() not in _ERRNOS:
            raise ValueError(f'"{value:.60}" is no error of the system{nearest(value.upper(), _ERRNOS)}')
        return value

    @model_validator(mode="after")
    def _one_way_to_fail(self) -> Self:
        given = [way for way in _WAYS if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of status, sense and errno, not {' and '.join(given) or 'none'}")
        return self


class Error(ChoosingFilter):
    """Ends commands as if they had failed; nothing of them is done."""

    Options = ErrorOptions
    options: ErrorOptions
    _fail: Callable[[Task], Any]

    def __init__(self, options: ErrorOptions) -> None:
        super().__init__(options)
        if options.status is not None:
            self._fail = partial(self._answer, _STATUSES[_folded(options.status)])
        elif options.sense is not None:
            self._fail = partial(self._check_condition, *parse_code(options.sense))
        elif options.errno is not None:
            self._fail = partial(self._raise, _ERRNOS[options.errno.upper()])

    def meet(self, task: Task) -> Any:
        """End it."""
        return self._fail(task)

    def _answer(self, status: Status, task: Task) -> Any:
        return self.answer(task, status)

    def _check_condition(self, key: SenseKey, code: tuple[int, int], task: Task) -> Any:
        raise CheckCondition(key, code, information=self.choice.first_block(task) if key in _TELL_THE_BLOCK else None)

    def _raise(self, number: int, task: Task) -> Any:
        error = ProvokedError(number, os.strerror(number))
        if self.choice.chosen == 1:
            _log.warning("%s: %s, made up by the filter error; it tells how many more there are", task, error)
        raise error


def _folded(name: str) -> str:
    return " ".join(name.upper().replace("_", " ").split())
