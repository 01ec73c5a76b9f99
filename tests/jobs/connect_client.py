"""A client of Spark Connect, in a process of its own: registers the functions, queries, and prints the rows as JSON.

SPARK_REMOTE=sc://... python tests/jobs/connect_client.py PATH_OF_IMAGES VSCNN RANKER
"""

from __future__ import annotations

import json
import sys

from popspark.runtime.session import get_session
from popspark.scoring.register import register
from popspark.storage.tables import IMAGES
from popspark.storage.warehouse import read_table

images_path, vscnn, ranker = sys.argv[1:]
spark = get_session("queries", {})
names = register(spark, {"popularity": vscnn, "intrinsic": ranker}, families=("color", "lbp"))
images = read_table(spark, IMAGES, images_path)
texts = {
    "scores": """
        WITH scored AS (SELECT image_id, popularity_score(uri) AS s FROM {images})
        SELECT image_id, s.score, s.percentile, s.status FROM scored
    """,
    "beats": """
        WITH compared AS (
            SELECT l.image_id, r.image_id AS other_id, intrinsic_beats(l.uri, r.uri) AS b
            FROM {images} AS l CROSS JOIN {images} AS r
            WHERE l.status = 'ok' AND r.status = 'ok'
        )
        SELECT image_id, other_id, b.probability FROM compared
    """,
    "features": """
        WITH extracted AS (SELECT image_id, image_features(uri) AS f FROM {images})
        SELECT image_id, f.color AS color, size(f.lbp) AS n_lbp, f.status FROM extracted
    """,
    "contributions": """
        WITH explained AS (SELECT image_id, popularity_contributions(uri) AS c FROM {images})
        SELECT image_id, c.score, c.baseline + c.color + c.lbp AS total FROM explained WHERE c.status = 'ok'
    """,
}
found = {name: [row.asDict() for row in spark.sql(text, images=images).collect()] for name, text in texts.items()}
print("RESULT", json.dumps({"session": type(spark).__module__, "names": names, **found}))
spark.stop()
