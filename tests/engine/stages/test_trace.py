from hypothesis import given
from hypothesis import strategies as st

from engine.stages.trace import Move, Named, in_words, moves_between

KEYS = st.lists(st.integers(0, 15), unique=True, max_size=12)


@st.composite
def orders(draw: st.DrawFn) -> tuple[list[Named], list[Named]]:
    """Two orders of items that share some, as a stage may leave them."""
    called = draw(st.sampled_from(("same", "otherwise")))
    before: list[Named] = [(key, f"item {key}") for key in draw(KEYS)]
    after: list[Named] = [(key, f"item {key}") for key in draw(KEYS)]
    if called == "otherwise":
        after = [(key, f"{name}!" if draw(st.booleans()) else name) for key, name in after]
    return before, after


def replayed(before: list[Named], moves: list[Move], count: int) -> list[str]:
    """What one who has only read the moves makes of the order before them."""
    told = {move.before for move in moves}
    placed = {move.after: move.became or move.item for move in moves if move.after}
    others = iter([name for rank, (_, name) in enumerate(before, 1) if rank not in told])
    return [placed[rank] if rank in placed else next(others) for rank in range(1, count + 1)]


@given(orders())
def test_who_follows_the_moves_arrives_at_what_the_stage_left(
    both: tuple[list[Named], list[Named]],
) -> None:
    before, after = both
    moves = moves_between(before, after)
    assert replayed(before, moves, len(after)) == [name for _, name in after]


@given(orders())
def test_each_move_is_what_happened_to_that_item(both: tuple[list[Named], list[Named]]) -> None:
    before, after = both
    names = [name for _, name in before], [name for _, name in after]
    for move in moves_between(before, after):
        assert move.before is None or names[0][move.before - 1] == move.item
        assert move.after is None or names[1][move.after - 1] == (move.became or move.item)
        assert (move.before, move.after) != (None, None)


@given(orders())
def test_what_only_closed_up_is_not_called_moved(both: tuple[list[Named], list[Named]]) -> None:
    before, _ = both
    kept = before[1::2]
    moves = moves_between(before, kept)
    assert all(move.after is None for move in moves)
    assert len(moves) == len(before) - len(kept)


def test_one_item_brought_to_the_front_is_one_move() -> None:
    before = [(key, key) for key in "abcdef"]
    (move,) = moves_between(before, [before[4], *before[:4], before[5]])
    assert move == Move("e", 5, 1)


def test_items_that_come_twice_are_told_apart_by_their_number() -> None:
    twice = [("a", "a"), ("b", "b"), ("a", "a")]
    assert moves_between(twice, twice) == []
    assert moves_between(twice, twice[:2]) == [Move("a", 3, None)]


def test_the_nearest_to_the_first_rank_is_told_first() -> None:
    before = [(key, key) for key in "abcdef"]
    moves = moves_between(before, [before[0], before[2], before[4]])
    assert [move.item for move in moves] == ["b", "d", "f"]


def test_moves_are_counted_in_words() -> None:
    moves = [Move("a", 1, None), Move("b", 4, 1), Move("c", 2, 2, "d"), Move("e", 3, None)]
    assert in_words(moves) == "dropped 2, moved 1, reworded 1"
    assert in_words([]) == "changed nothing"


def test_a_long_name_is_cut_for_showing_and_still_known_to_differ() -> None:
    old, new = "x" * 5000 + "y", "x" * 5000 + "z"
    (move,) = moves_between([(1, old)], [(1, new)])
    assert len(move.item) == len(move.became) == 200
