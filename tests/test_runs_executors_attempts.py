from __future__ import annotations

from collections import Counter

import pytest

from zeroiqa.errors import UserError
from zeroiqa.runs.executors.attempts import KILLS, Attempts, Task


class Machine:
    """Does the tasks one after the other; some images kill whoever touches them."""

    def __init__(self, shards, *, killers=(), plain_kills=False, limit=10_000):
        self.images = shards
        self.killers = set(killers)
        self.plain_kills = plain_kills
        self.limit = limit
        self.rows = {}
        self.deaths = Counter()
        self.done = []

    def work(self):
        attempts = Attempts(self.images, lambda shard: {i: f"{i}.png" for i in self.images[shard]})
        while attempts.left:
            task = attempts.next()
            assert task is not None, "no task although shards are left"
            if self.kills(task):
                self.deaths[task.shard] += 1
                assert self.deaths.total() < self.limit, "it does not end"
                attempts.died(task)
            elif attempts.finished(task) is not None:
                self.done.append(task.shard)
                self.rows |= {image: task.skip.get(image) for image in self.images[task.shard]}
        return self

    def kills(self, task):
        if task.shard is None:
            return self.plain_kills
        touched = self.images[task.shard] if task.images is None else task.images
        return any(image in self.killers and image not in task.skip for image in touched)

    @property
    def errors(self):
        return {image for image, error in self.rows.items() if error is not None}


def shards(*sizes):
    numbers = iter(range(sum(sizes)))
    return {shard: [next(numbers) for _ in range(size)] for shard, size in enumerate(sizes)}


def test_without_deaths_shards_come_in_their_order_and_once():
    machine = Machine(shards(1, 2, 4)).work()
    assert machine.done == [0, 1, 2]
    assert len(machine.rows) == 7 and not machine.errors


def test_killed_worker_costs_its_own_shard_which_comes_last():
    attempts = Attempts([5, 6, 7], lambda shard: {})
    first, second = attempts.next(), attempts.next()
    attempts.died(first)
    assert attempts.finished(second) == 6
    assert [attempts.next(), attempts.next(), attempts.next()] == [Task(7), Task(5, deaths=1), None]


@pytest.mark.parametrize("size", [1, 2, 3, 8, 100])
def test_image_that_kills_is_the_only_error_of_its_shard(size):
    planned = shards(1, size, 2)
    for killer in planned[1][:8]:
        machine = Machine(planned, killers=[killer]).work()
        assert machine.errors == {killer}
        assert len(machine.rows) == 3 + size
        assert sorted(machine.done) == [0, 1, 2]


def test_search_needs_few_processes():
    machine = Machine(shards(4096), killers=[1234]).work()
    assert machine.errors == {1234}
    assert machine.deaths.total() <= KILLS + 12 + KILLS  # the shard, 4096 halved to 1, the image


@pytest.mark.parametrize("killers", [[0, 1], [0, 7], [3, 4, 5], range(8)])
def test_several_killers_in_one_shard_are_all_found(killers):
    assert Machine(shards(8, 8), killers=killers).work().errors == set(killers)


def test_run_of_nothing_but_killers_ends_with_an_error_for_each():
    machine = Machine(shards(1, 2, 4), killers=range(7)).work()
    assert machine.errors == set(range(7))


def test_sentence_names_the_image_and_says_what_to_do():
    machine = Machine(shards(2), killers=[1]).work()
    assert machine.rows == {
        0: None,
        1: "1.png: the process that worked on it was killed, 3 times; leave it out, repair it, "
        "or try it again with --retry-errors.",
    }


def test_nobody_is_blamed_where_even_a_plain_picture_kills():
    machine = Machine(shards(1, 2, 4, 8), killers=range(15), plain_kills=True)
    with pytest.raises(
        UserError, match=r"killed 9 times in a row, even by a plain picture.* 4 shards are left"
    ):
        machine.work()
    assert machine.rows == {}


def test_shard_that_kills_only_as_a_whole_ends_the_run():
    attempts = Attempts([0, 1], lambda shard: {0: "a.png", 1: "b.png"})
    with pytest.raises(UserError, match=r"Shard 1 killed its worker 9 times, and none of its images"):
        while (task := attempts.next()) is not None:
            if task.shard == 1 and task.images is None:
                attempts.died(task)
            else:
                attempts.finished(task)
    assert attempts.left == 1


def test_chance_does_not_blame_an_image():
    """Each task dies twice, for no fault of an image, and is done the third time."""
    planned = shards(1, 2, 4, 8)
    attempts = Attempts(planned, lambda shard: {i: f"{i}.png" for i in planned[shard]})
    done = []
    while attempts.left:
        task = attempts.next()
        if task.deaths < KILLS - 1 and task.shard is not None:
            attempts.died(task)
        elif attempts.finished(task) is not None:
            done.append(task)
    assert sorted(task.shard for task in done) == [0, 1, 2, 3]
    assert not any(task.skip for task in done)


def test_images_are_decoded_carefully_from_the_first_death_of_their_shard_on():
    attempts = Attempts([5, 6], lambda shard: {10 * shard: "a.png", 10 * shard + 1: "b.png"})
    first, second = attempts.next(), attempts.next()
    assert not first.careful and not second.careful
    attempts.finished(second)
    attempts.died(first)
    again = attempts.next()
    assert again.shard == 5 and again.careful
    attempts.died(again)
    attempts.died(attempts.next())
    half = attempts.next()
    assert half.images == (50,) and half.careful
