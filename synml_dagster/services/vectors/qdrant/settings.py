"""What a write to Qdrant is told: the options of the format, checked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.services.description import Answer, Key, Policy, Service
from synml_dagster.services.secrets import checked
from synml_dagster.services.vectors.options import (
    check_options,
    dimensions_of,
    key_columns,
    own_options,
)

KNOWN = ("url", "api_key_env", "collection", "key", "vector", "dimensions", "distance")
DISTANCES = ("Cosine", "Dot", "Euclid", "Manhattan")

_MOST_DIMENSIONS = 65_535


@dataclass(frozen=True)
class QdrantSettings:
    """The options of one write."""

    url: str = field(repr=False)
    collection: str
    key: tuple[str, ...]
    api_key_env: str | None = None
    vector: str | None = None
    dimensions: int | None = None
    distance: str = DISTANCES[0]

    @classmethod
    def of(cls, options: Mapping[str, str]) -> QdrantSettings:
        """Return the settings that Spark's options say.

        Raises
        ------
        ConfigError
            An option is unknown, missing, or cannot be.
        """
        told = {name: value.strip() for name, value in own_options(options).items()}
        if "api_key" in told or re.search(r"://[^/]*@", told.get("url", "")):
            raise ConfigError(
                "vectors: a key does not belong into options, which Spark writes into plans. Name the environment variable that holds it "
                "where workers run: option api_key_env."
            )
        check_options(told, KNOWN, ("url", "collection", "key"), store="Qdrant")
        if not _is_address(told["url"]):
            shown = told["url"].partition("?")[0].partition("#")[0]  # keys are put into queries
            raise ConfigError(
                f"vectors: {shown!r} is no address of Qdrant, such as http://localhost:6333, without a query"
            )
        if not re.fullmatch(r"[^\x00-\x1f/\\<>:\"|?*]{1,255}", told["collection"]):
            raise ConfigError(f"vectors: {told['collection']!r} is no name of a collection")
        key = key_columns(told["key"])
        dimensions = dimensions_of(told.get("dimensions"), _MOST_DIMENSIONS)
        distance = told.get("distance", DISTANCES[0]).capitalize()
        if distance not in DISTANCES:
            raise ConfigError(
                f"vectors: there is no distance {told['distance']!r}; there are {', '.join(DISTANCES)}.{did_you_mean(distance, DISTANCES)}"
            )
        return cls(
            told["url"].rstrip("/"), told["collection"], key, told.get("api_key_env"), told.get("vector"),
            dimensions, distance,
        )  # fmt: skip

    @property
    def place(self) -> str:
        """The collection and its host, for messages."""
        return f"{self.collection} of {urlsplit(self.url).hostname}"

    @property
    def address(self) -> str:
        """The collection's address."""
        return f"{self.url}/collections/{quote(self.collection, safe='')}"

    @property
    def secret(self) -> str | None:
        """The key's value, where a key is named.

        Raises
        ------
        SetupError
            The variable is not set where this runs.
        """
        return checked(os.environ.get(self.api_key_env, ""), self.api_key_env) if self.api_key_env else None

    @property
    def service(self) -> Service:
        """The collection as a service: its key, and what is tried again."""
        key = Key(env=self.api_key_env, header="api-key", prefix="") if self.api_key_env else None
        more: dict[str, Any] = {"policy": Policy(stop=(401, 403)), "answer": Answer(error="status.error")}
        return Service(
            name=f"qdrant {self.collection}"[:100], url=self.address, method="PUT", key=key, body={}, **more
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname and parts.port != 0 and not parts.query and not parts.fragment)
    except ValueError:  # a port or an address of IPv6 that is none
        return False
