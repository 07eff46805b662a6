"""What data files may contain, checked by pydantic; a mistake in one is told in one sentence."""

from typing import Annotated, Any

from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError

FORBID = ConfigDict(extra="forbid")  # an unknown key is a mistake
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def checked(kind: Any, data: object, file: str) -> Any:
    """The content of a data file as a `kind`: a type, such as dict[str, Term], of pydantic's.

    `data` is what JSON or YAML made of it.

    Raises:
        ValueError: `data` is none; names `file`, entry and reason.
    """
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    where = ", ".join([file, *(_step(step) for step in first["loc"])])
    reason = first["msg"].removeprefix("Value error, ")
    got = (
        "" if first["type"] in ("missing", "value_error") else f"; got {str(first['input'])[:60]!r}"
    )
    raise ValueError(f"{where}: {reason[0].lower()}{reason[1:]}{got}.")


def _step(step: int | str) -> str:
    """A part of the way to an entry; people count from 1."""
    return f"number {step + 1}" if isinstance(step, int) else step
