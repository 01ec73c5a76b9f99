"""One clear message each, an exit code that is not 0, and nothing half-written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

import pytest

from tests.jobs.conftest import ROOT, Submit


def run(job: str, *arguments: str) -> subprocess.CompletedProcess:
    """A job that must fail before it needs Spark; its record goes into a warehouse that is thrown away."""
    command = [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *arguments]
    with TemporaryDirectory() as away:
        return subprocess.run(
            command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, timeout=120, cwd=away
        )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["bundel=x"], 78, "unknown key bundel; legal keys: "),
        (["bundel=x"], 78, "Did you mean 'bundle'?"),
        (["bundle"], 78, "An override must be key=value."),
        (["batch_size=many"], 78, "batch_size = 'many': Input should be a valid integer"),
        (["update.mode=half"], 78, "update.mode = 'half': Input should be 'incremental' or 'full'"),
        (
            ["update.posted_from=2024-02-01", "update.posted_to=2024-01-31"],
            78,
            "posted_from 2024-02-01 comes after posted_to 2024-01-31",
        ),
        (["update.max_refused_share=5"], 78, "update.max_refused_share = 5: Input should be less than or equal to 1"),
        (["run_id=../x"], 78, "run_id = '../x': String should match pattern"),
        (["device=gpu"], 78, "device = 'gpu': Input should be 'auto', 'cpu' or 'cuda'"),
        (["--env", "nowhere"], 66, "There is no 'nowhere' in conf/env."),
        (["bundle=models/absent"], 66, "There is no bundle."),
        (["--nonsense"], 2, "No such option '--nonsense'."),
    ],
)
def test_score_posts_refuses(arguments: list[str], code: int, message: str, tmp_path: Path) -> None:
    done = run("score_posts", f"scores={tmp_path}/scores", *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "scores").exists()


def test_an_altered_bundle(tmp_path: Path) -> None:
    bundle = copytree(ROOT / "models" / "demo-vscnn", tmp_path / "bundle")
    with (bundle / "network.safetensors").open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"\xff\xff")
    done = run("score_posts", f"bundle={bundle}", f"scores={tmp_path}/scores")
    assert done.returncode == 65
    assert "network.safetensors is not the file that this bundle was released with." in done.stderr
    assert "fix: copy the bundle again" in done.stderr


def test_a_bundle_made_with_other_weights(tmp_path: Path) -> None:
    bundle = f"bundle={ROOT}/models/demo-vscnn"
    done = run("score_posts", bundle, f"scores={tmp_path}/scores", "weights.efficientnet_lite0=random")
    assert done.returncode == 65
    assert "was made for other features than those at hand." in done.stderr
    assert "2.1-random-float32" in done.stderr


def test_weights_of_the_wrong_sha256(tmp_path: Path) -> None:
    (tmp_path / "vgg19.pth").write_bytes(b"not weights")
    settings = ["features.families=[vgg19]", f"features.weights.vgg19={tmp_path}/vgg19.pth"]
    done = run("extract_features", *settings, "features.weights_sha256.vgg19=00ff")
    assert done.returncode == 66
    assert "The weights of vgg19 are not the file that was asked for." in done.stderr
    assert "legal: sha256 00ff" in done.stderr


def test_an_unknown_family() -> None:
    done = run("extract_features", "features.families=[colour]")
    assert done.returncode == 78
    assert "Did you mean 'color'?" in done.stderr


@pytest.mark.parametrize(
    ("job", "before"), [("train_vscnn", "build-examples"), ("train_ranker", "build-pair-examples")]
)
def test_training_without_examples(job: str, before: str, tmp_path: Path) -> None:
    done = run(job, f"env.warehouse={tmp_path}")
    assert done.returncode == 66
    assert f"fix: run popspark {before} first" in done.stderr
    assert not (tmp_path / "models").exists()


def test_pair_examples_of_another_decoder(tmp_path: Path) -> None:
    record = {"is_simulated": True, "decoder": "0", "pairs": {"ok": 1}, "limits": {}, "audit": [], "seed": 0}
    (tmp_path / "pair_examples.json").write_text(json.dumps(record))
    done = run("train_ranker", f"env.warehouse={tmp_path}")
    assert done.returncode == 65
    assert "Pair examples of images that were decoded by other rules." in done.stderr
    assert "got: decoder 0\n  legal: decoder 2\n  fix: run popspark build-pair-examples again" in done.stderr
    assert not (tmp_path / "models").exists()


def test_an_album_without_photographs_or_by_a_bundle_that_is_no_ranker(tmp_path: Path) -> None:
    settings = [f"bundle={ROOT}/models/demo-vscnn", f"album={tmp_path}/album"]
    done = run("rank_album", *settings, f"source={tmp_path}/nothing")
    assert done.returncode == 66
    assert "There are no photographs." in done.stderr
    done = run("rank_album", *settings, f"source={ROOT}/sample/photos/c*.jpg")
    assert done.returncode == 65
    assert "Bundle demo-vscnn 2 is no ranker." in done.stderr
    assert not list(tmp_path.iterdir())


def test_tables_that_lack_columns_or_do_not_exist(tmp_path: Path, submit: Submit) -> None:
    bundle = f"bundle={ROOT}/models/demo-vscnn"
    # spark-submit prints what its driver writes to stderr on stdout.
    absent = submit("score_posts", f"env.warehouse={tmp_path}", bundle, code=66)
    assert "Cannot read the images table." in absent.stdout
    wrong = submit("score_posts", f"env.warehouse={tmp_path}", bundle, f"posts={ROOT}/sample/posts",
                   f"images={ROOT}/sample/posts", code=65)  # fmt: skip
    assert "These are not rows of table images." in wrong.stdout
    assert "missing column uri string; missing column sha256 string;" in wrong.stdout
    assert not (tmp_path / "scores").exists()
