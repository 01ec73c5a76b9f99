"""The one door to image features: stored ones where they are there, computed ones where they are not."""

from __future__ import annotations

from pyspark.sql import DataFrame

from popspark.features.extraction import Extraction
from popspark.features.missing_features import extract_wanted
from popspark.features.projection import gather_projections, project_features
from popspark.features.stored_files import collect_ids
from popspark.features.stored_projections import project_stored
from popspark.models.bundle import Bundle


def features_for(
    wanted: DataFrame, bundle: Bundle, images: DataFrame, stored: DataFrame | None, extraction: Extraction
) -> DataFrame:
    """What scoring needs of the images in `wanted` (image_id, sha256): rows as `gather_projections` makes them.

    images, stored: the tables images and image_features as they were read; stored is None where there is none.
    extraction: of the bundle's families, as `plan_bundle` gives them, for what is not stored. The bundle was shipped.
    """
    ids = collect_ids(wanted) if stored is not None else None
    rows = project_features(extract_wanted(wanted, images, stored, extraction, ids), bundle)
    if stored is not None:
        rows = rows.unionByName(project_stored(stored, ids, bundle))
    return gather_projections(rows, bundle)
