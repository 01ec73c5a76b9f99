"""Configuration: conf/env/<env>.yaml, conf/<job>.yaml and `key=value` overrides into one typed, frozen record.

The merge and the interpolation (`${env.warehouse}/posts`, `${oc.env:HOME}`) are OmegaConf's, the types pydantic's.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, get_args

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from yaml import YAMLError

from popspark.runtime.errors import ConfigError, PathError, closest
from popspark.runtime.logs import LogFormat


class Section(BaseModel):
    """A group of settings: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, protected_namespaces=())


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


class Env(Section):
    """Where the job runs. warehouse: root of all tables. spark: options for the session, by full name.

    log_format: of the lines on stderr; json is one object a line, with the run's id.
    """

    warehouse: str
    spark: dict[str, Any] = {}
    log_format: LogFormat = "text"

    @field_validator("spark", mode="before")
    @classmethod
    def _name_in_full(cls, options: Any) -> Any:
        """An override `env.spark.spark.driver.memory=4g` arrives as sections; Spark knows only the whole name."""
        return dict(_flat(options)) if isinstance(options, Mapping) else options


def new_run_id() -> str:
    """The time, for people and for sorting, and some random digits: `20240501T020000-9f3c1a`."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


class JobConfig(Section):
    """Base of every job's config. run_id: stands in each log line and record; a scheduler may give its own."""

    env: Env
    run_id: str = Field(default_factory=new_run_id, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")


class ScheduledConfig(JobConfig):
    """Of a job that is run again and again over a growing table.

    runs: the table that gets a row for this run, or null. metrics: a file that gets the same as JSON, or null.
    lock_wait_seconds: how long to wait for another run of the same table.
    """

    runs: str | None
    metrics: str | None
    lock_wait_seconds: float = Field(ge=0)


S = TypeVar("S", bound=Section)
C = TypeVar("C", bound=JobConfig)


def _load_file(path: Path) -> Any:
    if not path.is_file():
        siblings = ", ".join(sorted(str(p) for p in path.parent.glob("*.yaml"))) or "none"
        raise PathError("No such config file.", where=str(path), legal=siblings)
    try:
        values = OmegaConf.load(path)
    except (YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise ConfigError("This is not YAML.", where=str(path), got=str(error)) from error
    if not isinstance(values, DictConfig):
        raise ConfigError("A config file must hold `key: value` lines.", where=str(path), got="a list")
    return values


def _parse_overrides(overrides: Sequence[str]) -> Any:
    malformed = [o for o in overrides if not o.partition("=")[0] or "=" not in o]
    if malformed:
        raise ConfigError("An override must be key=value.", where="command line", got=", ".join(malformed))
    try:
        return OmegaConf.from_dotlist(list(overrides))
    except (YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(
            "The value of an override is not YAML.", where="command line", got=" ".join(overrides), fix="quote it"
        ) from error


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, optional or not; None for any other field."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, BaseModel)), None)


def _legal_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The names that are legal where `path` ends, as far as the model's own sections tell."""
    for part in path[:-1]:
        section = _section(model.model_fields[str(part)].annotation) if str(part) in model.model_fields else None
        if section is None:
            return []
        model = section
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
        elif fault["type"] == "literal_error":
            hint = closest(str(fault["input"]), re.findall("'([^']*)'", fault["ctx"]["expected"]))
            lines.append(f"{name} = {fault['input']!r}: {fault['msg']}. {hint}".removesuffix(". "))
        else:
            lines.append(f"{name} = {fault['input']!r}: {fault['msg']}")
    return ConfigError("This configuration cannot be used.", where=where, got="\n       ".join(lines))


def validate_section(model: type[S], values: Any, where: str) -> S:
    """The section that `values` describe; raises `ConfigError` with all that is wrong. where: for its message."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _explain(error, model, where) from error


def load_config(model: type[C], job_file: Path, env_file: Path, overrides: Sequence[str] = ()) -> C:
    """The config of one job from its two files and the overrides: `key=value` or `section.key=value`, last one wins."""
    where = f"{job_file} with {env_file}" + (f" and {' '.join(overrides)}" if overrides else "")
    parts = [OmegaConf.create({"env": _load_file(env_file)}), _load_file(job_file), _parse_overrides(overrides)]
    try:
        values = OmegaConf.to_container(OmegaConf.merge(*parts), resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError("This configuration cannot be resolved.", where=where, got=str(error)) from error
    return validate_section(model, values, where)
