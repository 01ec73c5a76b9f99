"""The numbers that the VSCNN paper states (Abousaleh et al.), by its tables: on 432,000 Flickr posts of SMP-T1.

A triple is Spearman's rho, MAE, MSE. Names are this package's: of social values, feature sets and models.
"""

from __future__ import annotations

SOURCE = "Abousaleh et al., SMP-T1, 432,000 posts, random split"
Triple = tuple[float, float, float]

TABLE_1 = {
    "user_rank": 0.74,
    "user_mean_views": 0.74,
    "n_user_groups": 0.067,
    "user_mean_group_members": 0.19,
    "n_user_posts": -0.35,
}
TABLE_2 = {"n_hashtags": 0.49, "n_title_chars": 0.22, "n_caption_chars": 0.51, "has_people": 0.0043}

VSCNN: Triple = (0.9014, 0.73, 0.97)

TABLE_4: dict[tuple[str, str], Triple] = {
    ("scnn", "user"): (0.7537, 1.13, 2.17),
    ("scnn", "post"): (0.6590, 1.35, 2.98),
    ("scnn", "time"): (0.5317, 1.42, 3.43),
    ("scnn", "social"): (0.8809, 0.79, 1.13),
    ("vcnn", "color"): (0.3278, 1.66, 4.46),
    ("vcnn", "gist"): (0.2612, 1.72, 4.67),
    ("vcnn", "lbp"): (0.3287, 1.66, 4.45),
    ("vcnn", "aesthetic"): (0.2000, 1.77, 4.91),
    ("vcnn", "deep"): (0.4101, 1.61, 4.13),
    ("vcnn", "visual"): (0.4168, 1.58, 4.08),
    ("vscnn", "visual+social"): VSCNN,
}

_TABLE_5 = """
color          0.0856 1.81 5.10  0.2569 1.72 4.74  0.1915 1.76 4.93  0.3381 1.66 4.41
gist           0.1337 1.79 5.04  0.3209 1.67 4.55  0.1436 1.80 5.12  0.3176 1.69 4.51
lbp            0.1546 1.79 5.04  0.3028 1.69 4.63  0.1640 1.78 5.01  0.3126 1.68 4.52
aesthetic      0.1221 1.80 5.06  0.1866 1.77 4.97  0.1661 1.79 5.00  0.2040 1.77 4.88
deep           0.3701 1.66 4.43  0.4754 1.53 3.88  0.2330 1.76 4.96  0.4403 1.59 4.05
visual         0.3837 1.65 4.35  0.5018 1.50 3.73  0.2384 1.76 4.95  0.4890 1.53 3.82
user           0.6449 1.41 3.17  0.7548 1.12 2.18  0.7579 1.12 2.15  0.7580 1.12 2.15
post           0.5266 1.68 4.41  0.6126 1.42 3.28  0.6682 1.32 2.91  0.6962 1.27 2.72
time           0.1337 1.80 5.00  0.2681 1.70 4.65  0.3485 1.61 4.19  0.6285 1.29 2.84
social         0.7114 1.28 2.72  0.8292 0.94 1.58  0.8049 1.01 1.74  0.8611 0.86 1.30
visual+social  0.7341 1.22 2.44  0.8347 0.93 1.54  0.8200 0.96 1.65  0.8778 0.80 1.15
"""


def _table_5() -> dict[tuple[str, str], Triple]:
    found: dict[tuple[str, str], Triple] = {("vscnn", "visual+social"): VSCNN}
    for line in _TABLE_5.split("\n")[1:-1]:
        features, *numbers = line.split()
        for column, model in enumerate(("lr", "svr", "dtr", "gbdt")):
            rho, mae, mse = (float(number) for number in numbers[3 * column : 3 * column + 3])
            found[model, features] = (rho, mae, mse)
    return found


TABLE_5 = _table_5()

TABLE_6: dict[str, Triple] = {
    "TaiwanNo.1": (0.8268, 1.0676, 2.0528),
    "heihei": (0.8093, 1.1059, 2.1767),
    "NLPR MMC Passerby": (0.7927, 1.1783, 2.4973),
    "BUPTMM": (0.7723, 1.1733, 2.4482),
    "bluesky": (0.7406, 1.2475, 2.7293),
    "WePREdictIt": (0.5631, 1.6278, 4.2022),
    "FirstBlood": (0.6456, 1.6761, 6.3815),
    "ride snail to race": (-0.0405, 2.4274, 9.2715),
    "CERTH-ITI-MKLAB": (0.3554, 3.8178, 19.3593),
    "Multimodal approach [32]": (0.75, 1.12, 2.39),
    "VSCNN": VSCNN,
}

TABLE_7: dict[str, Triple] = {"vscnn": VSCNN, "vscnn_ef": (0.8898, 0.76, 1.07)}

POPULAR_SHARES = {"popular users": 0.6919, "common users": 0.1617}
"""Section V-B 1: share of a user's images that are among the top fifth."""
