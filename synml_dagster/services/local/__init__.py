"""Models of your own in Spark's tasks, as columns like those of services: embeddings of texts by an ONNX graph."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from synml_dagster.errors import ConfigError, did_you_mean
from synml_dagster.services.description import Answer, Limits, LocalModel, Service, Usage
from synml_dagster.services.description.service import plain_problems

__all__ = ["embeddings"]


def embeddings(*, folder: str, text: str = "text", **parameters: Any) -> Service:
    """Return the description of embeddings, array<float>, that a model in Spark's tasks gives texts.

    The folder holds `model.onnx` and `tokenizer.json`, as encoders on the Hugging Face hub have them. Texts of about one length go
    through the graph together. The workers need the extra `text`.

    Parameters
    ----------
    folder
        Where the files are; workers reach it by the same path.
    text
        The column of texts, or a template over columns, such as `query: {text}`.
    parameters
        Those of `LocalModel`: `pooling`, `normalize`, `max_tokens`, `truncate` ...; and `name`, `policy`.

    Raises
    ------
    ConfigError
        A parameter is unknown or cannot be.

    Examples
    --------
    >>> embeddings(folder="models/e5-small", text="query: {question}").inputs
    ['question']
    """
    own = {name: parameters.pop(name) for name in ("name", "policy") if name in parameters}
    for name in parameters:
        if name not in LocalModel.model_fields:
            known = [*LocalModel.model_fields, "text", "name", "policy"]
            raise ConfigError(
                f"local.embeddings has no parameter {name!r}; it takes {', '.join(known)}.{did_you_mean(name, known)}"
            )
    try:
        local = LocalModel(folder=folder, **parameters)
        return Service(
            name=own.pop("name", "local embeddings"), url="", local=local, usage=Usage(input="tokens"), limits=Limits(in_flight=64),
            body={"text": text if "{" in text else f"{{{text}}}"}, answer=Answer(type="array<float>"), **own,
        )  # fmt: skip
    except ValidationError as problem:
        raise ConfigError(f"local.embeddings: {plain_problems(problem)}") from None
