"""The command `popspark`: a subcommand a job, `popspark score-posts bundle=models/mine posts=warehouse/posts`.

A job's module is imported when that job is asked for, and imports at its top only what its settings need: help appears
at once, and a misspelt setting ends before Spark starts.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import click
from click.shell_completion import CompletionItem

from popspark import __version__
from popspark.runtime.errors import closest

JOBS = {
    "Scores": {
        "score-posts": "Predict how popular posts are with a trained model; only what is new or changed.",
        "rank-album": "Put the photographs of a folder in the order in which a ranker would post them.",
    },
    "Your data": {
        "validate-export": "Print what an export of posts holds, before it is ingested.",
        "ingest-posts": "Read an export (X, Flickr, Instagram, SMP, CSV, Parquet) into the table posts.",
        "ingest-images": "List image files in the table images: where each is, and whether it can be read.",
        "fetch-images": "Download the images that posts name by URL.",
        "extract-features": "Turn each image into lists of numbers (features) that models learn from.",
    },
    "VSCNN": {
        "build-examples": "Make the table that a VSCNN model is trained on.",
        "train-vscnn": "Train the VSCNN paper's network, which predicts a post's popularity.",
        "run-study": "Fit every model of the VSCNN paper on your posts: its tables and figures for them.",
    },
    "Intrinsic popularity": {
        "generate-pairs": "Find pairs of posts of one user that differ in popularity and in little but the picture.",
        "build-pair-examples": "Join the pairs with small copies of their pictures, for train-ranker.",
        "train-ranker": "Train a model that says which of two pictures would do better: a ranker.",
    },
    "Tables": {
        "runs": "Print what the last scheduled runs did, and what went wrong.",
        "history": "Print the versions of a table: when, by which run.",
        "restore": "Make an earlier version of a table the newest one.",
        "compact": "Bring small files together; delete what no version needs.",
        "convert": "Make a table of Parquet of an earlier popspark a Delta table.",
        "export": "Write a table as plain Parquet.",
    },
    "Trying it out": {
        "simulate-posts": "Make a posts table with made-up users, texts and counts, whose true effects are known.",
    },
}
"""The jobs by what a user wants."""


def module_of(job: str) -> str:
    """`score-posts` is `popspark.jobs.score_posts`; jobs on any table are in a room of their own."""
    room = "popspark.jobs.tables" if job in JOBS["Tables"] else "popspark.jobs"
    return f"{room}.{job.replace('-', '_')}"


def _type_name(annotation: Any) -> str:
    """A setting's type as a person reads it: `int`, `a|b`, `list of str`, `str, then int`, `str or null`."""
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return "|".join(map(str, arguments))
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is tuple and Ellipsis not in arguments:
        return ", then ".join(map(_type_name, arguments))
    if origin in (list, tuple):
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"{_type_name(arguments[1])} by name"
    if arguments:
        return " or ".join("null" if kind is type(None) else _type_name(kind) for kind in arguments)
    return {"Any": "any"}.get(getattr(annotation, "__name__", ""), getattr(annotation, "__name__", str(annotation)))


class Setting(NamedTuple):
    """One setting of a job. default: as YAML, empty where it must be given or is made anew."""

    name: str
    default: str
    meaning: str


def list_settings(model: Any, values: Mapping[str, Any] | None = None, prefix: str = "") -> Iterator[Setting]:
    """The settings of a Config, those of sections as `section.name`. values: defaults that win over the model's."""
    from popspark.runtime.config import default_values, section_of

    values = {**default_values(model), **(values or {})}
    own_first = sorted(model.model_fields.items(), key=lambda field: field[0] not in model.__annotations__)
    for name, field in own_first:
        section = section_of(field.annotation)
        if section is not None and values.get(name, {}) is not None:
            yield from list_settings(section, values.get(name), f"{prefix}{name}.")
            continue
        default = values.get(name, "")
        kind = f"({_type_name(field.annotation)}{', required' if field.is_required() and name not in values else ''})"
        meaning = " ".join([*(field.description or "").split(), kind])
        yield Setting(f"{prefix}{name}", default if isinstance(default, str) else json.dumps(default), meaning)


class _Settings(click.Argument):
    """The `key=value` arguments of a job; completes their names."""

    def __init__(self, model: Any) -> None:
        super().__init__(["settings"], nargs=-1, metavar="[KEY=VALUE]...")
        self._model = model

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = (setting.name for setting in list_settings(self._model))
        return [CompletionItem(f"{name}=") for name in names if name.startswith(incomplete)]


class _Job(click.Command):
    """A job as a subcommand: --env, --config and its settings."""

    def __init__(self, name: str) -> None:
        from popspark.runtime.command import run_job

        module_name = name.replace("-", "_")
        job = import_module(module_of(name))
        self._model = job.Config

        def call(settings: tuple[str, ...], config: str | None, env: str | None) -> int:
            return run_job(module_name, job.Config, job.main, settings, config, env)

        super().__init__(
            name,
            callback=call,
            help="\b\n" + (job.__doc__ or "").replace("\n\n", "\n\n\b\n"),
            params=[
                click.Option(
                    ["--env"], help="Where it runs: cluster, databricks, or a .yaml file; on this machine if not given."
                ),
                click.Option(["--config"], help=f"Settings from conf/{module_name}, by name, or from a .yaml file."),
                _Settings(job.Config),
            ],
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Settings"):
            rows = [(f"{name}={default}", meaning) for name, default, meaning in list_settings(self._model)]
            formatter.write_dl(rows, col_max=8)  # the meaning below the name


class _Jobs(click.Group):
    """The jobs, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for jobs in JOBS.values() for name in jobs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = cmd_name.replace("_", "-")
        if name not in self.list_commands(ctx):
            ctx.fail(f"There is no job {cmd_name!r}. {closest(name, self.list_commands(ctx))}".rstrip())
        return _Job(name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, jobs in JOBS.items():
            with formatter.section(title):
                formatter.write_dl(list(jobs.items()))


@click.command(
    cls=_Jobs,
    subcommand_metavar="JOB [KEY=VALUE]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__)
def popspark() -> None:
    """Predicts how popular posts with a picture are, a table at a time, on Spark, and trains the models for it.

    popspark JOB --help lists a job's settings. Tables are folders below env.warehouse unless they are named.
    """


def main(job: str | None = None) -> None:
    """Runs the command line of this process, of `popspark` or of one job; leaves with the job's exit code if not 0.

    It returns when a job is done: Databricks takes even SystemExit(0) for a failure.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this: the exit code is still the job's own
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # a letter that the locale lacks must not end a job
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = [job, *sys.argv[1:]] if job else sys.argv[1:]
    try:
        code = popspark.main(arguments, prog_name="popspark", standalone_mode=False)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except click.Abort:  # Ctrl-C before the job began
        code = 128 + signal.SIGINT
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    if code:
        sys.exit(code)
