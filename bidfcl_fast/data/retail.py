"""Two trials of retail marketing: Starbucks' promotion and Hillstrom's e-mails. The files are the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import columns
from .table import Table


def load_starbucks(path: Any, *, sale: float = 10.0, promotion: float = 0.15) -> Table:
    """The trial of a promotion in the Starbucks take-home exercise, 84,534 customers in its training file.

    Two arms, nothing and promotion, about half each. value = `sale` × purchase, cost = `promotion` × promotion sent (US$,
    the exercise's own numbers): net revenue is value − cost. V1 and V4 to V7 are codes and become 0/1 columns, V2 and V3
    are numbers.

    Parameters
    ----------
    path
        The CSV file (gzip by its ending), or the folder that holds it as starbucks*.csv*.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is not there, or lacks a column, or holds something else than the exercise's codes.
    """
    file = columns.located(path, "starbucks*.csv*")
    codes = {"V1": "0123", "V4": "12", "V5": "1234", "V6": "1234", "V7": "12"}
    column = columns.text(file, ["Promotion", "purchase", "V2", "V3", *codes])
    unknown = set(column["Promotion"]) - {"Yes", "No"}
    if unknown:
        raise ValueError(f"{file}: Promotion must be Yes or No, got {sorted(map(str, unknown))}")
    sent = column["Promotion"] == "Yes"
    x, features = [np.stack([column["V2"], column["V3"]], 1).astype(np.float64)], ["V2", "V3"]
    for name, levels in codes.items():
        dummies, names = columns.one_hot(name, column[name], list(levels))
        x.append(dummies)
        features += names
    return Table(
        x=np.concatenate(x, 1),
        treatment=sent.astype(np.int64),
        value=sale * column["purchase"].astype(np.float64),
        cost=promotion * sent,
        labels=("nothing", "promotion"),
        features=features,
    )


# Arm, in the file's words; "nothing" first.
_SEGMENTS = ("No E-Mail", "Mens E-Mail", "Womens E-Mail")
_ZIP = ("Rural", "Surburban", "Urban")  # the file's spelling
_CHANNEL = ("Multichannel", "Phone", "Web")


def load_hillstrom(path: Any, *, value: str = "spend", email: float = 0.10) -> Table:
    """Hillstrom's e-mail trial (2008), 64,000 customers: no e-mail, one about men's wear, one about women's.

    A third each. value = spend in US$ within two weeks, or "visit" or "conversion" (0/1). The file has no costs: an e-mail
    is taken to cost `email` US$, a choice of this library that every result should state.

    Parameters
    ----------
    path
        The CSV file (gzip by its ending), or the folder that holds it as *illstrom*.csv*.
    value
        "spend", "visit" or "conversion".
    email
        Cost of one e-mail, US$.

    Source: K. Hillstrom, The MineThatData E-Mail Analytics and Data Mining Challenge, 2008.
    """
    if value not in ("spend", "visit", "conversion"):
        raise ValueError(f"value must be 'spend', 'visit' or 'conversion', got {value!r}")
    file = columns.located(path, "*illstrom*.csv*")
    plain = ["recency", "history", "mens", "womens", "newbie"]
    column = columns.text(file, [*plain, "zip_code", "channel", "segment", value])
    unknown = set(column["segment"]) - set(_SEGMENTS)
    if unknown:
        raise ValueError(f"{file}: segment must be one of {', '.join(_SEGMENTS)}, got {sorted(map(str, unknown))}")
    treatment = np.select([column["segment"] == s for s in _SEGMENTS], [0, 1, 2])
    zips, zip_names = columns.one_hot("zip", column["zip_code"], _ZIP)
    channels, channel_names = columns.one_hot("channel", column["channel"], _CHANNEL)
    numbers = np.stack([column[name].astype(np.float64) for name in plain], 1)
    numbers[:, 1] = np.log1p(numbers[:, 1])  # US$ spent last year: three powers of ten
    return Table(
        x=np.concatenate([numbers, zips, channels], 1),
        treatment=treatment,
        value=column[value].astype(np.float64),
        cost=email * (treatment > 0),
        labels=("no e-mail", "men's", "women's"),
        features=["recency", "log history", "mens", "womens", "newbie", *zip_names, *channel_names],
    )
