"""The errors of the text are the user's, and survive the way out of a DataLoader worker."""

import pickle

import pytest

from aullava.text.errors import AnswerError, ContextLengthError, NoSupervisionError, TextError


@pytest.mark.parametrize(
    "error",
    [
        TextError("a sentence"),
        AnswerError.of("[7]", 1, "0 or 1"),
        ContextLengthError.of("a", 12, 10),
        NoSupervisionError.of("a"),
    ],
)
def test_type_survives_a_worker_process(error: TextError) -> None:
    assert error.for_user
    assert isinstance(error, TextError)
    assert type(pickle.loads(pickle.dumps(error))) is type(error)  # noqa: S301 - our own bytes
    assert str(type(error)("Caught ...\n" + str(error))).endswith(str(error))
