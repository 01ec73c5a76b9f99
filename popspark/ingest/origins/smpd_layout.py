"""The tables of SMPD by role, their files and fields, as the years name them."""

from __future__ import annotations

FILE = (
    r"(?<!t1_)(train|test)_[^/]*(category|text|tags|temporalspatial|user|additional|img|label|data(?=\.txt))[^/]*"
    r"\.(?:json|txt)(?:\.gz)?$"
)
ROLES = {"tags": "text"}
SPINE, WHOLE = "temporalspatial", "data"
WHOLE_COLUMNS = (
    *("Uid", "Pid", "Category", "Subcategory", "Concept", "Pathalias", "Ispublic", "Mediastatus", "Title", "Mediatype"),
    *("Alltags", "Postdate", "Latitude", "Geoaccuracy", "Longitude"),
)
"""Of the one table of 2018, `WHOLE`."""
LINE = ("line",)
TABLES = {
    "temporalspatial": ("Uid", "Pid", "Postdate", "Latitude", "Longitude", "Geoaccuracy"),
    "category": ("Uid", "Pid", "Category", "Subcategory", "Concept"),
    "text": ("Uid", "Pid", "Title", "Tile", "Alltags", "Mediatype"),
    "user": ("Uid", "Pid", "photo_count", "ispro", "timezone_id", "photo_firstdate"),
    "additional": ("Uid", "Pid", "Pathalias", "Ispublic", "Mediastatus"),
    "img": LINE,
    "label": LINE,
}
"""What is read of each table, by role: the whole `LINE`, or fields of objects; their names are matched without regard
to case, as they differ between the years."""

OF_WHOLE = (SPINE, "category", "text", "additional")
"""The tables that the one of 2018 is."""

EXTRAS = {
    "category": "category_Category",
    "subcategory": "category_Subcategory",
    "concept": "category_Concept",
    "latitude": "temporalspatial_Latitude",
    "longitude": "temporalspatial_Longitude",
    "geo_accuracy": "temporalspatial_Geoaccuracy",
    "is_pro": "user_ispro",
    "timezone_id": "user_timezone_id",
    "first_photo_at": "user_photo_firstdate",
    "is_public": "additional_Ispublic",
    "media_status": "additional_Mediastatus",
    "part": "split",
}
"""What `extra` holds, by its name there, besides the user's name and bytes that are not UTF-8."""
