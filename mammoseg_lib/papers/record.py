"""What all records of a paper have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen record that has no field but its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)
