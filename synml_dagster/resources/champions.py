"""Which versions of a model were champion, one after the other, and which of them a person has taken back.

MLflow knows who is champion and nothing of who was. So each version that becomes champion gets a place, a number that grows with each move, and
one that is taken back the number of that move, as tags. Call what moves the alias inside of `MLflowResource.deciding`: then no two moves have one number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from synml_dagster.resources.model_registry import ModelVersion, set_alias, tagged_versions

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PROMOTED_TAG = "synml.promoted"
"""On each version that was champion."""

PLACE_TAG = "synml.promoted.place"
"""On each version that was champion, when it last became so; absent where a release that counted no moves promoted it."""

TAKEN_BACK_TAG = "synml.taken_back"
"""On a version that a person has taken back, when."""

_UNCOUNTED = 1 << 62


@dataclass
class _Served:
    """A version that was champion."""

    version: ModelVersion
    place: int
    taken_back: int | None

    @property
    def order(self) -> tuple[int, int]:
        """Uncounted ones come after those that are counted, as a host with an earlier release may just have promoted them."""
        return self.place, int(self.version.version)


class Champions:
    """The history of a model's champions.

    Where somebody has moved the alias past this package, to a version that was champion before, that counts as a roll-back to
    it. Of versions that have no place yet the numbers are the order.

    Parameters
    ----------
    name
        The registered model.
    holder
        The champion now, None where there is none.
    """

    def __init__(self, client: MlflowClient, name: str, holder: ModelVersion | None) -> None:
        self._client, self._name, self._holder = client, name, holder
        self._served = {
            version.version: _Served(
                version, _count(tags.get(PLACE_TAG)) or _UNCOUNTED, _count(tags.get(TAKEN_BACK_TAG))
            )
            for version, tags in tagged_versions(client, name)
            if tags.get(PROMOTED_TAG)
        }

    def before(self) -> ModelVersion | None:
        """Return the version that was champion before the holder and was not taken back, None where there is none."""
        earlier = [each for each in self._serving() if not self._is_after(each)]
        return max(earlier, key=lambda each: each.order).version if earlier else None

    def rejected(self) -> list[ModelVersion]:
        """Return the versions that were taken back after the holder was promoted, the last champion among them first."""
        found = [each for each in self._served.values() if self._was_rejected(each)]
        return [each.version for each in sorted(found, key=lambda each: each.order, reverse=True)]

    def promote(self, version: ModelVersion) -> None:
        """Let the alias point at `version`, after the holder."""
        if self._holder is not None and self._holder.version == version.version:
            self._serve_again(version)
            return
        self._settle()
        if self._holder is not None:
            self._serve_again(self._holder)
        # What is cut off between the two: a new champion is found by its alias, and one of before is asked for once more.
        if version.version in self._served:
            self._place(version)
            set_alias(self._client, self._name, "champion", version)
        else:
            set_alias(self._client, self._name, "champion", version)
            self._place(version)

    def put_back(self, version: ModelVersion) -> None:
        """Let the alias point at `version`; the holder, and all that were promoted between the two, count as taken back."""
        holder = self._holder
        if holder is None or holder.version == version.version:
            self.promote(version)
            return
        self._settle()
        if holder.version not in self._served:
            self._place(holder)
        target = self._served.get(version.version)
        if target is None or target.taken_back is not None or self._is_after(target):
            self._place(version)
            self._take_back(self._served[holder.version])
        else:
            for each in [each for each in self._served.values() if each.order > target.order]:
                self._take_back(each)
        set_alias(self._client, self._name, "champion", version)

    def _serving(self) -> list[_Served]:
        """Those that were champion and are not taken back, without the holder."""
        held = self._holder.version if self._holder else None
        return [each for number, each in self._served.items() if number != held and each.taken_back is None]

    def _is_after(self, each: _Served) -> bool:
        """Whether a version became champion later than the holder did."""
        if self._holder is None:
            return False
        held = self._served.get(self._holder.version)
        if held is None:
            return int(each.version.version) > int(self._holder.version)
        return each.order > held.order

    def _was_rejected(self, each: _Served) -> bool:
        if self._holder is None or each.version.version == self._holder.version:
            return False
        held = self._served.get(self._holder.version)
        if each.taken_back is None or held is None:
            return self._is_after(each)
        return each.taken_back > held.place

    def _settle(self) -> None:
        """Write down what was moved without a note: by earlier releases, and past this package."""
        for each in sorted(self._served.values(), key=lambda each: each.order):
            if each.place == _UNCOUNTED:
                self._place(each.version)
        for each in [each for each in self._serving() if self._is_after(each)]:
            self._take_back(each)

    def _serve_again(self, holder: ModelVersion) -> None:
        """Note that the holder serves, where it was put in its place past this package."""
        held = self._served.get(holder.version)
        if held is None:
            self._place(holder)
        elif held.taken_back is not None:
            self._client.delete_model_version_tag(self._name, holder.version, TAKEN_BACK_TAG)
            held.taken_back = None

    def _place(self, version: ModelVersion) -> None:
        """Put a version after all others."""
        number, place = version.version, self._next()
        self._client.set_model_version_tag(self._name, number, PLACE_TAG, str(place))
        self._client.set_model_version_tag(self._name, number, PROMOTED_TAG, "true")
        known = self._served.get(number)
        if known is not None and known.taken_back is not None:
            self._client.delete_model_version_tag(self._name, number, TAKEN_BACK_TAG)
        self._served[number] = _Served(version, place, None)

    def _take_back(self, each: _Served) -> None:
        if each.taken_back is None:
            each.taken_back = self._next()
            self._client.set_model_version_tag(
                self._name, each.version.version, TAKEN_BACK_TAG, str(each.taken_back)
            )

    def _next(self) -> int:
        """The number of the next move."""
        counted = [each.place for each in self._served.values() if each.place != _UNCOUNTED]
        taken = [each.taken_back for each in self._served.values() if each.taken_back is not None]
        return max([0, *counted, *taken]) + 1


def _count(told: str | None) -> int | None:
    """The number that a tag holds; None where it holds none, such as one that was changed by hand."""
    return int(told) if told is not None and told.isdecimal() else None
