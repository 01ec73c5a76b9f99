"""Configuration of a job: defaults in code, an environment, a preset and `key=value` overrides into one frozen record.

Each default stands in the field that it belongs to. The merge and the interpolation (`${env.warehouse}/posts`,
`${oc.env:HOME}`) are OmegaConf's, the types pydantic's.
"""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import to_jsonable_python
from yaml import YAMLError

from popspark.runtime.errors import ConfigError, PathError, closest
from popspark.runtime.logs import LogFormat


class Section(BaseModel):
    """A group of settings: frozen, unknown keys refused. The string under a field is what `--help` says of it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        coerce_numbers_to_str=True,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


class Env(Section):
    """Where the job runs."""

    warehouse: str
    """Root of all tables: a folder, or a URL that Spark can read and write."""
    spark: dict[str, Any] = {}
    """Options for the session, by Spark's full names."""
    log_format: LogFormat = "text"
    """Of the lines on stderr; json is one object a line, with the run's id."""

    @field_validator("spark", mode="before")
    @classmethod
    def _name_in_full(cls, options: Any) -> Any:
        """An override `env.spark.spark.driver.memory=4g` arrives as sections; Spark knows only the whole name."""
        return dict(_flat(options)) if isinstance(options, Mapping) else options


LOCAL = Env(warehouse="warehouse", spark={"spark.sql.shuffle.partitions": 8})
"""One machine, where no other environment is named. Paths are relative to where the job is started."""


def new_run_id() -> str:
    """The time, for people and for sorting, and some random digits: `20240501T020000-9f3c1a`."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


class JobConfig(Section):
    """Base of every job's settings."""

    env: Env = LOCAL
    run_id: str = Field(default_factory=new_run_id, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
    """Stands in each log line and record; a scheduler may give its own. By default the time and random digits."""


class ScheduledConfig(JobConfig):
    """Base of jobs that are run again and again over a growing table."""

    runs: str | None = "${env.warehouse}/runs"
    """The table that gets a row for this run, or null."""
    metrics: str | None = None
    """A file for the scheduler that gets the same row as JSON."""
    lock_wait_seconds: float = Field(60, ge=0)
    """How long to wait for another run of the same table."""


S = TypeVar("S", bound=Section)
C = TypeVar("C", bound=JobConfig)


def conf_folder() -> Traversable:
    """The environments and presets that come with popspark: conf/ of the checkout, or its copy in the package."""
    installed = files("popspark") / "conf"
    return installed if installed.is_dir() else Path(__file__).resolve().parents[2] / "conf"


def find_conf(name: str, *, folder: str) -> Traversable:
    """The file of that name (`cluster`) in a folder of conf/, or at that path (`my.yaml`); raises `PathError`."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            siblings = ", ".join(sorted(map(str, path.parent.glob("*.yaml")))) or "none"
            raise PathError("No such config file.", where=name, legal=siblings)
        return path
    shipped = conf_folder() / folder
    names = sorted(file.name.removesuffix(".yaml") for file in shipped.iterdir()) if shipped.is_dir() else []
    if name not in names:
        raise PathError(
            f"There is no {name!r} in conf/{folder}.",
            legal=f"{', '.join(names) or 'none'}; or the path of a .yaml file",
            fix=closest(name, names) or None,
        )
    return shipped / f"{name}.yaml"


def _load_file(file: Traversable) -> Any:
    try:
        values = OmegaConf.load(io.StringIO(file.read_text("utf-8")))
    except (YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise ConfigError("This is not YAML.", where=str(file), got=str(error)) from error
    if not isinstance(values, DictConfig):
        raise ConfigError("A config file must hold `key: value` lines.", where=str(file), got="a list")
    return values


def _is_text(model: type[BaseModel], path: Sequence[str]) -> bool:
    """Whether the setting of that name holds one text: any, or one of a closed list; null or not."""
    annotation: Any = model
    for key in path:
        section = section_of(annotation)
        if section is not None and key in section.model_fields:
            annotation = section.model_fields[key].annotation
        elif get_origin(annotation) is dict:
            annotation = get_args(annotation)[1]
        else:
            return False
    is_one_of = get_origin(annotation) in (Literal, Union, UnionType)
    kinds = set(get_args(annotation)) if is_one_of else {annotation}
    return all(kind is str or kind is type(None) or isinstance(kind, str) for kind in kinds)


def _parse_override(override: str, model: type[BaseModel]) -> Any:
    """A value is YAML, but text without quotes is taken as it stands: a folder may be called `2024_01` or `Pics #1`."""
    key, _, value = override.partition("=")
    path = key.split(".")
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    if is_quoted or not _is_text(model, path):
        return OmegaConf.from_dotlist([override])
    nested: Any = None if value in ("", "null") else value
    for name in reversed(path):
        nested = {name: nested}
    return OmegaConf.create(nested)


def _parse_overrides(overrides: Sequence[str], model: type[BaseModel]) -> list[Any]:
    malformed = [o for o in overrides if not o.partition("=")[0] or "=" not in o]
    if malformed:
        raise ConfigError("An override must be key=value.", where="command line", got=", ".join(malformed))
    parsed = []
    for override in overrides:
        try:
            parsed.append(_parse_override(override, model))
        except (YAMLError, OmegaConfBaseException) as error:
            raise ConfigError(
                "The value of an override is not YAML.", where="command line", got=override, fix="quote it"
            ) from error
    return parsed


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, optional or not; None for any other field."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, BaseModel)), None)


def _legal_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The names that are legal where `path` ends, as far as the model's own sections tell."""
    for key in path[:-1]:
        section = section_of(model.model_fields[str(key)].annotation) if str(key) in model.model_fields else None
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
            lines.append(f"missing key {name}; set it as {name}=VALUE")
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


def default_values(model: type[BaseModel]) -> dict[str, Any]:
    """The defaults of a model's fields by name, as plain values; fields that are required or made anew are absent."""
    fixed = {name: field for name, field in model.model_fields.items() if not field.is_required()}
    return {name: to_jsonable_python(f.default) for name, f in fixed.items() if f.default_factory is None}


def load_config(
    model: type[C],
    overrides: Sequence[str] = (),
    preset: Traversable | None = None,
    env: Traversable | None = None,
) -> C:
    """The settings of one job: its defaults, below an environment and a preset, below the overrides.

    overrides: `key=value` or `section.key=value`, the last one wins. env: replaces the local environment whole.
    Raises `ConfigError` with all faults at once.
    """
    files_given = [str(file) for file in (preset, env) if file]
    where = " and ".join([" with ".join(files_given), *overrides] if files_given else overrides) or "no settings given"
    layers = [OmegaConf.create(default_values(model))]
    if env:
        layers[0].pop("env")
        layers.append(OmegaConf.create({"env": _load_file(env)}))
    if preset:
        layers.append(_load_file(preset))
    layers += _parse_overrides(overrides, model)
    try:
        values = OmegaConf.to_container(OmegaConf.merge(*layers), resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError("This configuration cannot be resolved.", where=where, got=str(error)) from error
    except TypeError as error:  # OmegaConf's, which does not say of which
        got = "a list where a group of `name: value` must be, or a group where a list must be"
        raise ConfigError("This configuration cannot be resolved.", where=where, got=got) from error
    return validate_section(model, values, where)
