"""Configuration: conf/env/<env>.yaml, conf/<job>.yaml and `key=value` overrides into one typed, frozen record.

The merge and the interpolation (`${env.warehouse}/posts`, `${oc.env:HOME}`) are OmegaConf's, the types pydantic's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, ValidationError
from yaml import YAMLError

from popspark.errors import ConfigError, PathError, closest


class Section(BaseModel):
    """A group of settings: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, protected_namespaces=())


class Env(Section):
    """Where the job runs. warehouse: root of all tables. spark: options for the session, by full name."""

    warehouse: str
    spark: dict[str, Any] = {}


class JobConfig(Section):
    """Base of every job's config."""

    env: Env


C = TypeVar("C", bound=JobConfig)


def _load_file(path: Path) -> Any:
    if not path.is_file():
        siblings = ", ".join(sorted(str(p) for p in path.parent.glob("*.yaml"))) or "none"
        raise PathError("No such config file.", where=str(path), legal=siblings)
    try:
        return OmegaConf.load(path)
    except YAMLError as error:
        raise ConfigError("This is not YAML.", where=str(path), got=str(error)) from error


def _legal_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The names that are legal where `path` ends, as far as the model's own sections tell."""
    for part in path[:-1]:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _explain(error: ValidationError, model: type[BaseModel], where: str) -> ConfigError:
    lines = []
    for fault in error.errors():
        name = ".".join(map(str, fault["loc"]))
        legal = _legal_keys(model, fault["loc"])
        if fault["type"] == "extra_forbidden":
            hint = closest(str(fault["loc"][-1]), legal)
            lines.append(f"unknown key {name}; legal keys: {', '.join(legal)}. {hint}".rstrip())
        elif fault["type"] == "missing":
            lines.append(f"missing key {name}; set it in the file or as {name}=VALUE")
        else:
            lines.append(f"{name} = {fault['input']!r}: {fault['msg']}")
    return ConfigError("This configuration cannot be used.", where=where, got="\n       ".join(lines))


def load_config(model: type[C], job_file: Path, env_file: Path, overrides: Sequence[str] = ()) -> C:
    """The config of one job from its two files and the overrides: `key=value` or `section.key=value`, last one wins."""
    where = f"{job_file} with {env_file}" + (f" and {' '.join(overrides)}" if overrides else "")
    malformed = [o for o in overrides if "=" not in o]
    if malformed:
        raise ConfigError("An override must be key=value.", where="command line", got=", ".join(malformed))
    parts = [
        OmegaConf.create({"env": _load_file(env_file)}),
        _load_file(job_file),
        OmegaConf.from_dotlist(list(overrides)),
    ]
    try:
        values = OmegaConf.to_container(OmegaConf.merge(*parts), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError("This configuration cannot be resolved.", where=where, got=str(error)) from error
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _explain(error, model, where) from error
