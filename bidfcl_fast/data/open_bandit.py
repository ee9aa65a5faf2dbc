"""Logs of the Open Bandit Dataset: many arms, and the true odds of each. The files are the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from . import columns
from .table import Table

_FEATURES = ("user_feature_0", "user_feature_1", "user_feature_2", "user_feature_3")
_POSITIONS: tuple[str, ...] = ("1", "2", "3")
_ITEMS = {"all": 80, "men": 34, "women": 46}


def load_open_bandit(
    path: Any, *, like: Table | None = None, treatments: int | None = None, item_cost: Any = 0.0
) -> Table:
    """One log of the Open Bandit Dataset: which of M items a visitor of a fashion site was shown, and whether they clicked.

    value = click (0/1); showing an item costs nothing in the data, so cost = `item_cost`. propensity [N] = the logged
    probability of the item shown: uniform in `random_*` files (a trial), Thompson sampling's in `bts_*` (biased; as small
    as 4.5e-5: clip before weighting by it). Features: position and four hashed user features, as 0/1 columns.

    Parameters
    ----------
    path
        A CSV file (gzip by its ending) named …_all, …_men or …_women.
    like
        A table loaded before, whose features to use: a trial and a log of the same campaign then have the same columns. A
        hash that it does not know is all zeros.
    treatments
        M; left out, 80, 34 or 46 by the name of the file.
    item_cost
        A number, or [M].

    Source: Saito, Aihara, Matsutani, Narita, Open Bandit Dataset and Pipeline, arXiv:2008.07146; data CC BY 4.0, ZOZO, Inc.
    """
    file = columns.located(path, "*.csv*")
    if treatments is None:
        campaign = Path(file.name.partition(".")[0]).name.rpartition("_")[2]
        if campaign not in _ITEMS:
            raise ValueError(f"{file}: the name ends in none of _all, _men, _women; give treatments=")
        treatments = _ITEMS[campaign]
    column = columns.text(file, ["item_id", "position", "click", "propensity_score", *_FEATURES])
    item = column["item_id"].astype(np.int64)
    price = np.broadcast_to(np.asarray(item_cost, np.float64), (treatments,))
    x, names = [], []
    for name in ("position", *_FEATURES):
        if name == "position":
            levels = _POSITIONS
        elif like is not None:
            levels = tuple(f.rpartition(" ")[2] for f in like.features if f.startswith(f"{name} "))
        else:
            levels = tuple(map(str, np.unique(column[name])))
        dummies, own = columns.one_hot(name, column[name], levels)
        x.append(dummies)
        names += own
    if item.min() < 0 or item.max() >= treatments:
        raise ValueError(f"{file}: item_id must be 0 to {treatments - 1}, got {item.min()} to {item.max()}")
    return Table(
        x=np.concatenate(x, 1),
        treatment=item,
        value=column["click"].astype(np.float64),
        cost=price[item],
        propensity=column["propensity_score"].astype(np.float64),
        treatments=treatments,
        features=names,
    )
