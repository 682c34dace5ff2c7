"""What all sections of a configuration have in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the file: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
