"""Files and overrides to a typed record, and what each mistake is answered with."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError

from popspark.runtime.config import Env, JobConfig, Section, find_conf, load_config
from popspark.runtime.errors import ConfigError, PathError, PopsparkError

ROOT = Path(__file__).resolve().parents[3]


class Model(Section):
    layers: int = 2
    kind: Literal["cnn", "svr"] = "cnn"


class Config(JobConfig):
    posts: str
    version: str = "1"
    model: Model = Model()
    other: Model | None = None
    weights: dict[str, str] = {}
    families: tuple[str, ...] = ("color",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "env.yaml").write_text("warehouse: /data\nspark:\n  spark.sql.shuffle.partitions: 8\n")
    (tmp_path / "job.yaml").write_text("posts: ${env.warehouse}/posts\nmodel:\n  layers: 3\n")
    return tmp_path


def load(folder: Path, *overrides: str) -> Config:
    return load_config(Config, overrides, folder / "job.yaml", folder / "env.yaml")


def refusal(folder: Path, *overrides: str, kind: type[PopsparkError] = ConfigError) -> str:
    """The message, with the folder's name cut out."""
    with pytest.raises(kind) as raised:
        load(folder, *overrides)
    return str(raised.value).replace(f"{folder}/", "")


def test_defaults_below_file_below_overrides(folder: Path) -> None:
    assert load(folder).model == Model(layers=3, kind="cnn")
    assert load(folder, "model.layers=4", "model.layers=5").model == Model(layers=5, kind="cnn")
    assert load(folder, "model.kind=svr").model == Model(layers=3, kind="svr")


def test_a_job_file_wins_over_the_env_file(folder: Path) -> None:
    (folder / "job.yaml").write_text("env: {warehouse: /elsewhere}\nposts: ${env.warehouse}/posts\n")
    assert load(folder).posts == "/elsewhere/posts"


def test_interpolation_sees_overrides_and_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "photos")
    assert load(folder).posts == "/data/posts"
    assert load(folder, "env.warehouse=/mine").posts == "/mine/posts"
    assert load(folder, "posts=/lake/${oc.env:TEAM}").posts == "/lake/photos"


def test_spark_options_keep_their_whole_names(folder: Path) -> None:
    options = load(folder, "env.spark.spark.driver.memory=4g", "env.spark.spark.sql.shuffle.partitions=2").env.spark
    assert options == {"spark.sql.shuffle.partitions": 2, "spark.driver.memory": "4g"}


@pytest.mark.parametrize(("text", "value"), [("2", "2"), ("0.5", "0.5"), ("'1.10'", "1.10")])
def test_a_number_may_stand_for_a_string(folder: Path, text: str, value: str) -> None:
    assert load(folder, f"version={text}").version == value


@pytest.mark.parametrize(
    "text",
    ["2024_01", "0123", "1e3", "12:30", "Pics #1", "[2024] pics", "*x", "&x", "trip: rome", "on", "~", "@x", "a b"],
)
def test_text_is_taken_as_it_stands(folder: Path, text: str) -> None:
    """And not as the number, list, comment or anchor that it would be in YAML."""
    assert load(folder, f"posts={text}").posts == text
    assert load(folder, "posts='a #b'").posts == "a #b"
    assert load(folder, f"weights.x={text}").weights == {"x": text}


@pytest.mark.parametrize(
    ("override", "weights", "families"),
    [
        ("weights={vgg19: random}", {"vgg19": "random"}, ("color",)),
        ("weights={vgg19: /w/1.pth, resnet18: 'imagenet'}", {"vgg19": "/w/1.pth", "resnet18": "imagenet"}, ("color",)),
        ("weights.vgg19={a: b}", {"vgg19": "{a: b}"}, ("color",)),
        ("families=[lbp, gist]", {}, ("lbp", "gist")),
        ("families=[lbp,gist]", {}, ("lbp", "gist")),
        ("families=[]", {}, ()),
    ],
)
def test_a_list_or_a_group_of_texts_is_yaml(
    folder: Path, override: str, weights: dict[str, str], families: tuple[str, ...]
) -> None:
    config = load(folder, override)
    assert (config.weights, config.families) == (weights, families)


@pytest.mark.parametrize("override", ["weights=[vgg19]", "families={lbp: 1}", "model=[1]", "env=[1]"])
def test_a_list_in_the_place_of_a_group(folder: Path, override: str) -> None:
    assert refusal(folder, override) == (
        f"This configuration cannot be resolved.\n  where: job.yaml with env.yaml and {override}\n"
        "  got: a list where a group of `name: value` must be, or a group where a list must be"
    )


def test_a_text_in_the_place_of_a_list(folder: Path) -> None:
    assert refusal(folder, "families=lbp").endswith("got: families = 'lbp': Input should be a valid tuple")


def test_a_config_is_frozen(folder: Path) -> None:
    config = load(folder)
    with pytest.raises(ValidationError, match="Instance is frozen"):
        config.posts = "elsewhere"
    with pytest.raises(ValidationError, match="Instance is frozen"):
        config.model.layers = 7


def test_all_faults_are_told_at_once(folder: Path) -> None:
    (folder / "job.yaml").write_text("pots: x\nmodel: {layers: many, kindd: svr}\n")
    assert refusal(folder, "model.kind=gbdt") == (
        "This configuration cannot be used.\n"
        "  where: job.yaml with env.yaml and model.kind=gbdt\n"
        "  got: missing key posts; set it as posts=VALUE\n"
        "       model.layers = 'many': Input should be a valid integer, unable to parse string as an integer\n"
        "       model.kind = 'gbdt': Input should be 'cnn' or 'svr'\n"
        "       unknown key model.kindd; legal keys: layers, kind. Did you mean 'kind'?\n"
        "       unknown key pots; legal keys: env, run_id, posts, version, model, other, weights, families. "
        "Did you mean 'posts'?"
    )


@pytest.mark.parametrize(
    ("override", "got"),
    [
        ("colour=red", "unknown key colour; legal keys: env, run_id, posts, version, model, other, weights, families."),
        (
            "env.wharehouse=x",
            "unknown key env.wharehouse; legal keys: warehouse, spark, log_format. Did you mean 'warehouse'?",
        ),
        ("other.layer=1", "unknown key other.layer; legal keys: layers, kind. Did you mean 'layers'?"),
        ("posts=", "posts = None: Input should be a valid string"),
        ("model=3", "model = 3: Input should be a valid dictionary or instance of Model"),
    ],
)
def test_one_fault(folder: Path, override: str, got: str) -> None:
    message = f"This configuration cannot be used.\n  where: job.yaml with env.yaml and {override}\n  got: {got}"
    assert refusal(folder, override) == message


def test_an_unknown_interpolation(folder: Path) -> None:
    assert refusal(folder, "posts=${env.warhouse}/posts").startswith(
        "This configuration cannot be resolved.\n"
        "  where: job.yaml with env.yaml and posts=${env.warhouse}/posts\n"
        "  got: Interpolation key 'env.warhouse' not found\n"
    )


def test_a_value_left_open_is_missing(folder: Path) -> None:
    (folder / "job.yaml").write_text("posts: ???\n")
    assert load(folder, "posts=x").posts == "x"
    assert refusal(folder).startswith(
        "This configuration cannot be resolved.\n"
        "  where: job.yaml with env.yaml\n"
        "  got: Missing mandatory value: posts\n"
    )


@pytest.mark.parametrize("override", ["posts", "--posts", "=3"])
def test_a_malformed_override(folder: Path, override: str) -> None:
    assert refusal(folder, "model.layers=2", override) == (
        f"An override must be key=value.\n  where: command line\n  got: {override}"
    )


@pytest.mark.parametrize("override", ["model={layers: 2", "model.layers=[a", "posts=${env.warehouse"])
def test_an_override_whose_value_is_not_yaml(folder: Path, override: str) -> None:
    assert refusal(folder, override) == (
        f"The value of an override is not YAML.\n  where: command line\n  got: {override}\n  fix: quote it"
    )


def test_a_missing_file_lists_its_siblings(folder: Path) -> None:
    with pytest.raises(PathError) as raised:
        find_conf(f"{folder}/jbo.yaml", folder="env")
    assert str(raised.value) == (
        f"No such config file.\n  where: {folder}/jbo.yaml\n  legal: {folder}/env.yaml, {folder}/job.yaml"
    )
    with pytest.raises(PathError) as raised:
        find_conf(f"{folder}/none/env.yaml", folder="env")
    assert str(raised.value) == f"No such config file.\n  where: {folder}/none/env.yaml\n  legal: none"


def test_defaults_stand_in_code_and_may_refer_to_each_other() -> None:
    class Job(JobConfig):
        posts: str = "${env.warehouse}/posts"
        model: Model = Model(layers=4)

    config = load_config(Job, ["model.kind=svr"])
    assert (config.posts, config.model) == ("warehouse/posts", Model(layers=4, kind="svr"))
    assert load_config(Job, ["env.warehouse=/lake"]).posts == "/lake/posts"


def test_an_environment_replaces_the_local_one_whole(folder: Path) -> None:
    (folder / "env.yaml").write_text("warehouse: /data\n")
    assert load(folder).env == Env(warehouse="/data")


@pytest.mark.parametrize(
    "job", sorted(path.parent.name for path in ROOT.glob("conf/*/*.yaml") if path.parent.name != "env")
)
def test_every_preset_is_one_of_its_job(job: str) -> None:
    model = import_module(f"popspark.jobs.{job}").Config
    for preset in (ROOT / "conf" / job).iterdir():
        assert load_config(model, preset=preset) != load_config(model)
        assert preset.read_text().startswith("# ")


@pytest.mark.parametrize("content", [b"posts: [1,\n", b"posts: a\nposts: b\n", b"posts: \xff\n", b"posts: ${env.x\n"])
def test_a_file_that_is_not_yaml(folder: Path, content: bytes) -> None:
    (folder / "job.yaml").write_bytes(content)
    assert refusal(folder).startswith("This is not YAML.\n  where: job.yaml\n  got: ")


@pytest.mark.parametrize("name", ["env.yaml", "job.yaml"])
def test_a_file_that_is_a_list(folder: Path, name: str) -> None:
    (folder / name).write_text("- posts\n")
    assert refusal(folder) == f"A config file must hold `key: value` lines.\n  where: {name}\n  got: a list"


def test_an_empty_file_has_no_values(folder: Path) -> None:
    (folder / "job.yaml").write_text("")
    assert load(folder, "posts=x").model == Model()
    assert refusal(folder).endswith("got: missing key posts; set it as posts=VALUE")
