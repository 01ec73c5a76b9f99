"""Images to features on the cluster: one UDF that decodes each image once and runs every family."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pyspark import SparkFiles, TaskContext
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as t
from pyspark.sql.pandas.functions import pandas_udf

from popspark.features.extractor import Extractor
from popspark.features.plan import PlannedFamily
from popspark.features.stored_files import sha_key
from popspark.images import decode as codecs
from popspark.images.isolation import Decode, IsolatedDecode
from popspark.images.limits import DEFAULT_LIMITS, Limits
from popspark.images.references import references_of
from popspark.images.table import reference
from popspark.storage.schemas.table import FLOATS, STRING
from popspark.storage.tables import IMAGE_FEATURES


@dataclass(frozen=True)
class Extraction:
    """All that the UDF takes to the workers."""

    planned: tuple[PlannedFamily, ...]
    device: str
    batch_size: int
    limits: Limits = DEFAULT_LIMITS
    decode: Decode = codecs.decode

    @property
    def schema(self) -> t.StructType:
        """Of the UDF's result: status, error, and one array per family; null where that family has no values."""
        families = [t.StructField(p.name, FLOATS) for p in self.planned]
        return t.StructType([t.StructField("status", STRING), t.StructField("error", STRING), *families])


def _task_device(setting: str) -> str:
    """The device of the running task; on executors."""
    from popspark.networks.devices import choose_device

    context = TaskContext.get()
    gpu = context.resources().get("gpu") if context else None
    n_cuda = 0
    if setting != "cpu" and gpu is None:
        import torch

        n_cuda = torch.cuda.device_count()
    return choose_device(setting, gpu.addresses if gpu else None, os.environ.get("CUDA_VISIBLE_DEVICES"), n_cuda)


def _local_weights(path: str | None) -> str | None:
    """Where this machine has the weights, shipped with the job or at the same path; on executors."""
    if path is None:
        return None
    shipped = Path(SparkFiles.get(Path(path).name))
    return str(shipped) if shipped.is_file() else path


def _limit_threads(n_cpus: int, with_torch: bool) -> None:
    """OpenCV and torch bring thread pools of their own; both get what the task was given; on executors."""
    import cv2

    cv2.setNumThreads(n_cpus)
    if with_torch:
        import torch

        torch.set_num_threads(n_cpus)


@contextmanager
def open_extractor(extraction: Extraction) -> Iterator[Extractor]:
    """The extractor of the running task, on the task's device and with its processors; on executors."""
    context = TaskContext.get()
    n_cpus = context.cpus() if context else 1
    deep = any(p.weights is not None for p in extraction.planned)
    _limit_threads(n_cpus, with_torch=deep)
    device = _task_device(extraction.device) if deep else "cpu"
    calculates = {p.name: p.load(device, _local_weights(p.weights_path)) for p in extraction.planned}
    retried = context is not None and context.attemptNumber() > 0
    decode = IsolatedDecode(extraction.decode) if retried else extraction.decode
    try:
        yield Extractor(calculates, extraction.batch_size, extraction.limits, decode, n_cpus)
    finally:
        if isinstance(decode, IsolatedDecode):
            decode.close()


def build_udf(extraction: Extraction) -> Callable[..., Column]:
    """The pandas UDF: images, as `references_of` takes them, to `extraction.schema`."""

    def extract(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        """Features of images, read here; on executors."""
        images = (image for batch in batches for image in references_of(batch))
        with open_extractor(extraction) as extractor:
            rows: list[list[object]] = []
            for row in extractor.extract(images):
                rows.append([row.status, row.error, *(row.values.get(p.name) for p in extraction.planned)])
                if len(rows) == extraction.batch_size:
                    yield pd.DataFrame(rows, columns=extraction.schema.names, dtype=object)
                    rows = []
            if rows:
                yield pd.DataFrame(rows, columns=extraction.schema.names, dtype=object)

    # Non-deterministic in Spark's sense: the optimiser must not run it once per field that is read from its result.
    return pandas_udf(extract, extraction.schema).asNondeterministic()  # type: ignore[call-overload]


def extract_features(images: DataFrame, extraction: Extraction) -> DataFrame:
    """image_id, sha256, and a struct `features`: status, error, and one array per family. One row in, one row out.

    An image that ingest refused keeps its status and is not read again.
    """
    extracted = images.withColumn("features", build_udf(extraction)(reference(images)))
    refused = F.col("status") != "ok"
    first: dict[str, Column] = {
        name: F.when(refused, F.col(name)).otherwise(F.col(f"features.{name}")) for name in ("status", "error")
    }
    fields = [first.get(name, F.col(f"features.{name}")).alias(name) for name in extraction.schema.names]
    return extracted.select("image_id", "sha256", F.struct(*fields).alias("features"))


def current_features(images: DataFrame, stored: DataFrame, planned: tuple[PlannedFamily, ...]) -> DataFrame:
    """The stored rows of the planned families and versions that were made from the images' present bytes."""
    versions = F.concat_ws(" ", "family", "version").isin([f"{p.name} {p.version}" for p in planned])
    present = images.select("image_id", sha_key().alias("key"))
    keyed = stored.where(versions).withColumn("key", sha_key())
    return keyed.join(present, ["image_id", "key"], "left_semi").select(*IMAGE_FEATURES.columns)


def to_feature_rows(extracted: DataFrame, planned: tuple[PlannedFamily, ...]) -> DataFrame:
    """From `extract_features` to image_features: one row per image and family."""

    def feature_row(family: PlannedFamily) -> Column:
        values = F.col(f"features.{family.name}")
        done = values.isNotNull()
        return F.struct(
            F.lit(family.name).alias("family"),
            F.lit(family.version).alias("version"),
            values.alias("values"),
            F.when(done, F.lit("ok")).otherwise(F.col("features.status")).alias("status"),
            F.when(~done, F.col("features.error")).alias("error"),
        )

    rows = extracted.withColumn("row", F.explode(F.array(*(feature_row(p) for p in planned))))
    return rows.select("image_id", "sha256", "row.*").select(*IMAGE_FEATURES.columns)
