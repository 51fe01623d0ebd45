"""The index that documents are written to, made of the rows' columns."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from synml_dagster.services.description.settings import FROZEN


class SearchIndex(BaseModel):
    """An index of Azure AI Search: made of the rows' columns where there is none, and compared with them where there is one."""

    model_config = FROZEN

    url: str = Field(description="Its address.")
    version: str = Field(description="The version of the interface.")
    id: str = Field(description="The key field.")
    fields: dict[str, str] = Field(description="Field to column, the key field among them.")
    vectors: dict[str, int] = Field(
        default_factory=dict, description="Fields that are vectors, with the numbers that each has."
    )
    metric: Literal["cosine", "dotProduct", "euclidean"] = Field(
        default="cosine", description="How vectors are compared."
    )
    filterable: tuple[str, ...] = Field(
        default=(),
        description="Fields of text that can be filtered and sorted by, each at most 32 KB; numbers, times and booleans always can.",
    )

    @model_validator(mode="after")
    def _fields_are_there(self) -> SearchIndex:
        for name in (*self.vectors, *self.filterable):
            if name not in self.fields:
                raise ValueError(f"create: there is no field {name!r} among {', '.join(self.fields)}")
        for name, size in self.vectors.items():
            if not 2 <= size <= 4096:
                raise ValueError(f"create.vectors.{name}: a vector has 2 to 4096 numbers, and not {size}")
        return self
