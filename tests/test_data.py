"""`Table` checks itself; the embedded trial is what its source says."""

from __future__ import annotations

import gzip
import hashlib
from importlib import resources

import numpy as np
import pytest

import bidfcl_fast as bf
from bidfcl_fast.data import Table, load_thornton, thornton


def made(**changed):
    given = {
        "x": np.arange(8.0).reshape(4, 2),
        "treatment": np.array([0, 1, 2, 1]),
        "value": np.array([0.0, 1.0, 1.0, 0.0]),
        "cost": np.array([0.0, 0.5, 2.0, 0.0]),
    }
    return Table(**{**given, **changed})


def test_what_a_table_knows():
    table = made(labels=["none", "some", "much"], features=["a", "b"])
    assert (len(table), table.treatments) == (4, 3)
    assert table.treatment.dtype == np.int64
    np.testing.assert_array_equal(table.row, range(4))
    np.testing.assert_allclose(table.received_propensity, [0.25, 0.5, 0.25, 0.5])
    assert repr(table) == "Table(4 rows, 2 features, 3 treatments, mean value 0.5, mean cost 0.625)"
    assert bf.Table is Table


def test_float32_stays_and_integers_become_floats():
    assert made(x=np.zeros((4, 1), np.float32)).x.dtype == np.float32
    assert made(value=np.array([0, 1, 1, 0])).value.dtype == np.float64
    assert made(value=np.array([False, True, True, False])).value.dtype == np.float64


@pytest.mark.parametrize("rows", [slice(1, 3), np.array([1, 2]), np.array([False, True, True, False])])
def test_parts_keep_names_treatments_and_row_ids(rows):
    table = made(propensity=np.full((4, 3), 1 / 3), features=["a", "b"], row=np.array([10, 20, 30, 40]))
    part = table[rows]
    assert (len(part), part.treatments, part.features) == (2, 3, ("a", "b"))
    np.testing.assert_array_equal(part.row, [20, 30])
    np.testing.assert_array_equal(part.x, table.x[1:3])
    assert part.propensity.shape == (2, 3)
    assert len(table[0]) == len(table[-1]) == 1


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"x": np.zeros(4)}, ValueError, "x must have 2 dimensions"),
        ({"x": np.array([["a", "b"]] * 4)}, TypeError, "x must be numbers"),
        ({"x": np.array([[0, 1], [np.nan, 1], [0, 1], [0, 1]])}, ValueError, "x must be finite, got nan in row 1"),
        ({"treatment": np.array([0, 1, 2])}, ValueError, r"treatment must be \[4\]"),
        ({"treatment": np.zeros(4)}, TypeError, "treatment must be integers"),
        ({"treatment": np.array([0, 1, -2, 1])}, ValueError, "treatment must be 0 to 1, got -2 in row 2"),
        ({"treatments": 2}, ValueError, "treatment must be 0 to 1, got 2 in row 2"),
        ({"value": np.zeros(3)}, ValueError, "value must have 4 rows"),
        ({"cost": np.array([0, 1, 2, np.inf])}, ValueError, "cost must be finite, got inf in row 3"),
        ({"labels": ["a"], "treatments": 3}, ValueError, "labels must name 3 treatments"),
        ({"features": ["a"]}, ValueError, "features must name the 2 columns"),
        ({"propensity": np.zeros((4, 2))}, ValueError, "treatment must be 0 to 1"),
        ({"propensity": np.full(3, 0.5)}, ValueError, r"propensity must be \[4\] or \[4, 3\]"),
        ({"propensity": np.array([0.5, 0, 1, 1])}, ValueError, "positive, got 0 in row 1"),
        ({"propensity": np.full(4, 1.5)}, ValueError, "between 0 and 1"),
        ({"row": np.zeros(4)}, TypeError, "row must be integers"),
    ],
)
def test_misuse_is_named(changed, error, match):
    with pytest.raises(error, match=match):
        made(**changed)


def test_a_mask_of_the_wrong_length():
    with pytest.raises(ValueError, match=r"mask of rows must be \[4\]"):
        made()[np.array([True, False])]


def test_the_trial():
    table = load_thornton()
    assert (len(table), table.treatments) == (2830, 5)
    assert table.features == ("second sites", "distvct", "age", "age missing")
    np.testing.assert_array_equal(np.bincount(table.treatment), [623, 557, 580, 699, 371])
    assert set(np.unique(table.value)) == {0.0, 1.0}
    # Money is paid only to those who came, and nothing to those who drew nothing.
    assert not table.cost[(table.value == 0) | (table.treatment == 0)].any()
    assert (table.cost[(table.value == 1) & (table.treatment > 0)] > 0).all()
    assert table.x[:, 3].sum() == 5
    assert len(np.unique(table.row)) == 2830
    assert table.row.max() < 4820


def test_the_trials_propensities_are_shares_within_the_two_groups_of_sites():
    table = load_thornton()
    second = table.x[:, 0] == 1
    for group in (second, ~second):
        shares = np.bincount(table.treatment[group], minlength=5) / group.sum()
        np.testing.assert_allclose(table.propensity[group], np.broadcast_to(shares, (group.sum(), 5)))
    # The draws really differed: nothing was two and a half times as likely in the second sites.
    assert table.propensity[second][0, 0] > 2.5 * table.propensity[~second][0, 0]


@pytest.mark.parametrize("how", ["site", "village", "overall"])
def test_every_arm_was_open_to_everybody(how):
    table = load_thornton(propensity=how)
    np.testing.assert_allclose(table.propensity.sum(1), 1)
    assert (table.propensity > 0).all()
    if how == "overall":
        assert len(np.unique(table.propensity, axis=0)) == 1


def test_choices_of_the_loader():
    assert load_thornton(covariates=()).features == ("second sites",)
    assert "hiv2004" in load_thornton(covariates=("age", "hiv2004")).features
    with pytest.raises(ValueError, match="covariates must be among"):
        load_thornton(covariates=("tinc",))
    with pytest.raises(ValueError, match="'site', 'village' or 'overall'"):
        load_thornton(propensity="exact")


def test_the_embedded_file_is_the_sources_and_carries_its_terms():
    folder = resources.files("bidfcl_fast.data")
    text = gzip.decompress(folder.joinpath("thornton_hiv.csv.gz").read_bytes())
    assert text.startswith(b"villnum,got,distvct,tinc,any,age,hiv2004")
    assert text.count(b"\n") == 4821
    assert hashlib.sha256(text).hexdigest() == "d26c9bbe290d58a2bddda8c5946fe9f00ad5fdf64a261780716b0777bb5ce7db"
    terms = folder.joinpath("thornton_hiv.LICENSE.txt").read_text(encoding="utf-8")
    for needed in ("MIT", "Copyright (c) 2021 Nick Huntington-Klein", "causaldata 0.1.5", "Thornton (2008)", "98(5)"):
        assert needed in terms


def test_the_draws_differed_between_the_groups_of_sites_and_hardly_within():
    """The permutation test of docs/demo.md: χ² of arm by village against random deals of the same arms."""
    table = load_thornton()
    village = np.unique(thornton._columns()["villnum"][table.row], return_inverse=True)[1]
    rng = np.random.default_rng(0)

    def chi2(arm, place):
        count = np.zeros((place.max() + 1, 5))
        np.add.at(count, (place, arm), 1)
        count = count[count.sum(1) > 0]
        expected = count.sum(1, keepdims=True) * count.sum(0) / count.sum()
        return ((count - expected) ** 2 / expected).sum()

    def standard(rows):
        arm, place = table.treatment[rows], village[rows]
        dealt = np.array([chi2(rng.permutation(arm), place) for _ in range(200)])
        return (chi2(arm, place) - dealt.mean()) / dealt.std()

    second = table.x[:, 0] == 1
    assert standard(np.full(len(table), True)) > 7
    assert standard(second) < 2.5
    assert standard(~second) < 2.5
