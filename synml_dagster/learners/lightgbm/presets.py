"""Parameters under one name, measured in bench/lightgbm; the user's own win over them."""

from __future__ import annotations

from typing import Any

from synml_dagster.errors import ConfigError, did_you_mean

# For one rank, and those that are safe on several.
_PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "fast": (
        {"use_quantized_grad": True, "quant_train_renew_leaf": True, "bin_construct_sample_cnt": 50_000},
        {"max_bin": 63},
    ),
}


def check_preset(name: str | None) -> None:
    """Refuse a name that no preset has, with the nearest."""
    if name not in (None, *_PRESETS):
        raise ConfigError(
            f"there is no preset {name!r}.{did_you_mean(str(name), _PRESETS)} There is: {', '.join(_PRESETS)}."
        )


def preset_params(name: str | None, ranks: int) -> dict[str, Any]:
    """Return the parameters of a preset for so many ranks; none where there is no name."""
    return _PRESETS[name][ranks > 1] if name else {}
