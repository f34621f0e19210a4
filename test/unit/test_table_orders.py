"""Which system is better: differences of the same seed and scene, their intervals, verdicts and claims."""

from __future__ import annotations

import pytest
from table_fixtures import record

from sray_train.paper.study.record import Record
from sray_train.paper.tables.declaration import Order, Side, load_orders, load_tables
from sray_train.paper.tables.orders import Difference, differences, interval, scene_scores, verdict
from sray_train.paper.tables.results import ORDERS

ORDER = Order("a above b", ((Side("a", {"variant": "a"}), Side("b", {"variant": "b"})),))


def test_differences_are_of_the_same_seed_and_scene() -> None:
    def scored(variant: str, seed: int, **scenes: float) -> Record:
        return record(variant, 0.5, seed=seed, per_scene={name: {"strict_miou": miou} for name, miou in scenes.items()})

    records = [scored("a", 0, x=0.5, y=0.7), scored("a", 1, x=0.9), scored("b", 0, x=0.4, y=0.8, z=0.1)]
    found = differences(ORDER, records, "rooms")[0]
    assert found.pairs == pytest.approx({(0, "x"): 0.1, (0, "y"): -0.1})
    assert found.mean == pytest.approx(0) and found.verdict == "too few to say"
    tuned = [record("a", 0.5, setting="finetuned", data=f"rooms {scene}") for scene in ("09000", "09001")]
    assert scene_scores(tuned) == {(0, "rooms 09000"): 0.5, (0, "rooms 09001"): 0.5}


def test_the_interval_draws_seeds_and_scenes_and_not_single_pairs() -> None:
    # Two seeds, two scenes: 16 replicates are equally likely, one of them twice the first seed and twice the first
    # scene (6 %), so the interval reaches the extremes. Of four pairs drawn singly, one in 256 would.
    pairs = {(0, "x"): 1.0, (0, "y"): 2.0, (1, "x"): 3.0, (1, "y"): 10.0}
    assert interval(pairs) == (1.0, 10.0)
    assert interval({(0, scene): 0.2 for scene in "xyz"}) == pytest.approx((0.2, 0.2))
    with_gap = {(0, "x"): 1.0, (0, "y"): 2.0, (1, "x"): 3.0}
    assert interval(with_gap) == (1.0, 3.0)


def test_a_verdict_on_one_seed_says_so() -> None:
    one, two = ({(seed, scene): 0.1 for seed in range(seeds) for scene in "xyz"} for seeds in (1, 2))
    assert (Difference("a", "b", one).note, Difference("a", "b", two).note) == (", one seed", "")
    assert Difference("a", "b", {(0, "x"): 0.1}).note == "", "it says too few already"


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([0.1, 0.2, 0.3], "holds"),
        ([-0.1, -0.2, -0.3], "does not hold"),
        ([0.1, -0.1, 0.3], "within noise"),
        ([0.1, 0.2], "too few to say"),
        ([], "not measured"),
    ],
)
def test_verdicts_of_pairs(scores: list[float], said: str) -> None:
    assert Difference("a", "b", {(0, str(number)): score for number, score in enumerate(scores)}).verdict == said


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "not measured"], "holds as far as measured"),
        (["holds", "within noise"], "within noise"),
        (["within noise", "does not hold", "not measured"], "does not hold"),
        (["not measured", "not measured"], "not measured"),
    ],
)
def test_verdicts_of_claims(pairs: list[str], said: str) -> None:
    figures = {"holds": 0.1, "does not hold": -0.1}
    found = []
    for each in pairs:
        scores = {"within noise": [0.1, -0.1, 0.0], "not measured": []}.get(each, [figures.get(each, 0.0)] * 3)
        found.append(Difference("a", "b", {(0, str(number)): score for number, score in enumerate(scores)}))
    assert [each.verdict for each in found] == pairs
    assert verdict(found) == said


def test_every_block_of_orders_is_declared_and_shown() -> None:
    assert load_orders().keys() == ORDERS.keys()


def test_the_orders_name_variants_that_the_tables_have() -> None:
    known = {row.records["variant"] for each in load_tables() for row in each.rows if row.records}
    asked = {
        side.records["variant"]
        for orders in load_orders().values()
        for order in orders
        for pair in order.pairs
        for side in pair
    }
    assert asked <= known
