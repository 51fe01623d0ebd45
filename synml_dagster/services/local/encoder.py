"""Texts to embeddings: a tokenizer, a graph, pooling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from synml_dagster.errors import ConfigError, SetupError
from synml_dagster.services.local.files import found, longest

if TYPE_CHECKING:
    from synml_dagster.services.description import LocalModel

_KNOWN = ("sentence_embedding", "last_hidden_state", "token_embeddings")
_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


class TextEncoder:
    """Gives texts their embeddings.

    Parameters
    ----------
    local
        The model's description.
    threads
        Threads that one call may use.

    Raises
    ------
    ConfigError
        A file is not there, cannot be read, or is none of an encoder of texts.
    SetupError
        The package `tokenizers` is not installed.
    """

    def __init__(self, local: LocalModel, threads: int = 1) -> None:
        import onnxruntime as ort

        try:
            from tokenizers import Tokenizer
        except ImportError as problem:
            raise SetupError(
                "local.embeddings: the package tokenizers is not installed where Spark runs; pip install 'synml-dagster[text]'"
            ) from problem
        graph, tokenizer = found(local)
        self.local, self.longest = local, longest(local)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception as problem:
            raise ConfigError(
                f"local.embeddings: {str(graph)!r} is no graph that ONNX Runtime opens: {str(problem)[:200]}"
            ) from None
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(tokenizer))
        except Exception as problem:
            raise ConfigError(
                f"local.embeddings: {str(tokenizer)!r} is no tokenizer: {str(problem)[:200]}"
            ) from None
        told = self._tokenizer.padding or {}
        self._pad, self._pad_type = int(told.get("pad_id", 0)), int(told.get("pad_type_id", 0))
        self._tokenizer.no_padding()
        if local.truncate:
            self._tokenizer.enable_truncation(self.longest)
        else:
            self._tokenizer.no_truncation()
        self._inputs = {one.name: one.type for one in self._session.get_inputs()}
        for name, kind in self._inputs.items():
            if name not in _INPUTS or kind not in ("tensor(int64)", "tensor(int32)"):
                raise ConfigError(
                    f"local.embeddings: the graph's input {name!r} ({kind}) is none of an encoder of texts, which are {', '.join(_INPUTS)}"
                )
        if "input_ids" not in self._inputs:
            raise ConfigError("local.embeddings: the graph has no input 'input_ids'")
        self._output = self._chosen([one.name for one in self._session.get_outputs()])

    def tokens(self, texts: Sequence[str]) -> list[Any]:
        """Return each text's tokens."""
        encoded: list[Any] = self._tokenizer.encode_batch(list(texts))
        return encoded

    def embed(self, encoded: Sequence[Any]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield the places of some texts and their embeddings, until all have theirs: those of about one length together."""
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
        start = 0
        while start < len(order):
            end = start + 1
            # Sorted: the next one is the longest, and all are padded to it.
            while (
                end < len(order)
                and (end + 1 - start) * len(encoded[order[end]].ids) <= self.local.tokens_a_batch
            ):
                end += 1
            places = order[start:end]
            yield places, self._run([encoded[i] for i in places])
            start = end

    def _run(self, encoded: list[Any]) -> np.ndarray:
        shape = len(encoded), max(len(one.ids) for one in encoded)
        fed = {
            "input_ids": np.full(shape, self._pad, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.full(shape, self._pad_type, np.int64),
            "position_ids": np.broadcast_to(np.arange(shape[1], dtype=np.int64), shape),
        }
        for i, one in enumerate(encoded):
            n = len(one.ids)
            fed["input_ids"][i, :n] = one.ids
            fed["attention_mask"][i, :n] = one.attention_mask
            fed["token_type_ids"][i, :n] = one.type_ids
        mask = fed["attention_mask"]
        kinds = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
        made = self._session.run(
            [self._output], {name: fed[name].astype(kinds[kind]) for name, kind in self._inputs.items()}
        )[0]
        made = np.asarray(made, np.float32)
        if made.ndim == 3 and made.shape[:2] == shape:
            made = self._pooled(made, mask)
        if made.ndim != 2 or len(made) != len(encoded):
            raise ConfigError(
                f"local.embeddings: the graph's output {self._output!r} has the shape {made.shape} for {shape[0]} texts of {shape[1]} tokens, "
                "which is no embedding of each text or token"
            )
        if self.local.normalize:
            made = made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)
        return np.asarray(made, np.float32)

    def _pooled(self, made: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if self.local.pooling == "cls":
            return made[:, 0]
        if self.local.pooling == "last":
            return made[np.arange(len(made)), np.maximum(mask.sum(axis=1) - 1, 0)]
        # Padding is nothing: where a graph gives it a NaN, a product with 0 would keep that.
        kept = np.where(mask[:, :, None] > 0, made, 0)
        return np.asarray(kept.sum(axis=1) / np.maximum(mask.sum(axis=1, keepdims=True), 1))

    def _chosen(self, names: list[str]) -> str:
        wanted = self.local.output
        if wanted is not None:
            if wanted not in names:
                raise ConfigError(
                    f"local.embeddings: the graph has no output {wanted!r}; it has {', '.join(names)}"
                )
            return wanted
        if len(names) == 1:
            return names[0]
        known = [name for name in _KNOWN if name in names]
        if not known:
            raise ConfigError(
                f"local.embeddings: the graph has several outputs, {', '.join(names)}; say which by output"
            )
        return known[0]
