"""Azure's AI services, each a description on the version that lives; what is gone is refused with its successor."""

from __future__ import annotations

from typing import Any

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.services.azure import language, safety_and_speech, search, translator, vision
from synml_dagster.services.azure.offer import Offer
from synml_dagster.services.azure.retired import FORMER, RETIRED
from synml_dagster.services.description import Service

OFFERS: dict[str, Offer] = {
    offer.name: offer
    for module in (language, translator, vision, safety_and_speech, search)
    for offer in module.OFFERS
}
"""Every service by its name."""

__all__ = ["OFFERS", "Offer", "names", "service"]


def names() -> list[str]:
    """Return the names of all services."""
    return list(OFFERS)


def service(name: str, **parameters: Any) -> Service:
    """Return the description of one of Azure's AI services.

    Parameters
    ----------
    name
        One of `names()`, such as `azure.language.sentiment`; `azure.` may be left out.
    parameters
        `endpoint`, the resource's address; those of the service (`OFFERS[name].parameters`); and `key`, `limits`, `prices`,
        `policy`.

    Raises
    ------
    ConfigError
        There is no such service, it has been turned off (the message names its successor), or a parameter is unknown or missing.

    Examples
    --------
    >>> sentiment = service("language.sentiment", endpoint="https://example.cognitiveservices.azure.com")
    >>> sentiment.inputs, sentiment.documents.most
    (['text'], 10)
    >>> service("vision.ocr", endpoint="https://example.cognitiveservices.azure.com")
    Traceback (most recent call last):
    synml_dagster.errors.ConfigError: azure.vision.ocr is gone: Computer Vision v1.0 to v3.1 ended on 2026-09-13. Use azure.vision.read, or azure.document.read for pages.
    """
    short = name.removeprefix("azure.")
    short = FORMER.get(short, short)
    if offer := OFFERS.get(f"azure.{short}"):
        return offer.bound(parameters)
    for gone, (what, instead) in RETIRED.items():
        if short == gone or short.startswith((f"{gone}.", f"{gone}_")):
            raise ConfigError(f"azure.{short} is gone: {what}. Use {instead}.")
    raise ConfigError(
        f"there is no service {name!r}; there are {', '.join(OFFERS)}.{did_you_mean(f'azure.{short}', OFFERS)}"
    )
