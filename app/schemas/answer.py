"""The base of answers whose fields are attributes of a value of the core."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict


class Mirror(BaseModel):
    """An answer with the names of the value it shows; what the value has besides is left out."""

    model_config = ConfigDict(from_attributes=True)

    @classmethod
    def of(cls, value: object) -> Self:
        """The answer that shows ``value``."""
        return cls.model_validate(value)
