"""Says on a page what an export holds, before it is ingested.

    python jobs/validate_export.py origin=smpd source=/data/smpd
    python jobs/validate_export.py origin=smp_t1 source=/data/t1 images_root=/data/t1/images page=t1.txt

Reads   source: as for ingest_posts; images_root: the folder that the paths of images are relative to
Writes  page, where one is named; the same is printed
"""

from __future__ import annotations

from pathlib import Path

from popspark.images.index import list_images
from popspark.ingest import Options, is_read, load_mapping, parse_export
from popspark.ingest.accounting import complete, find_repeated, reject_duplicates
from popspark.ingest.readers.records import list_files
from popspark.ingest.validation import inspect_rows
from popspark.runtime.config import JobConfig
from popspark.runtime.session import get_session


class Config(JobConfig):
    origin: str
    source: str
    images_root: str | None
    page: str | None
    mapping: str | None


def main(config: Config) -> None:
    spark = get_session("validate_export", config.env.spark)
    options = Options(mapping=load_mapping(config.mapping) if config.mapping else None)
    parsed = parse_export(spark, config.origin, config.source, options)
    files = [(file, is_read(config.origin, file)) for file in list_files(spark, config.source)]
    images = list_images(spark, config.images_root)[0] if config.images_root else None
    rows = complete(parsed, config.origin, is_simulated=False)
    rows = reject_duplicates(rows, find_repeated(rows.where("reason IS NULL")))
    found = inspect_rows(rows, files, images)
    page = f"{config.origin} export in {config.source}\n\n{found}"
    print(page)
    if config.page:
        Path(config.page).write_text(page + "\n", "utf-8")
