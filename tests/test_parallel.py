"""Ranks in one process: what every communicator, shard and sum over ranks keeps, for 1 to 16 of them."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_programs import problem

import refhf
from refhf.driver.registry import METHODS
from refhf.parallel import agree, guard, in_process, load_shard, run, serial, shard
from refhf.parallel.communication_volume import (
    counted_data_parallel,
    counted_model_parallel,
    paper_data_parallel,
    paper_model_parallel,
    parameters,
    weights,
)
from refhf.parallel.model_parallel import model_parallel
from refhf.parallel.reduction import MARKS, mark
from refhf.parallel.shards import VIRTUAL, Layout, Rows, layout, virtual_shards
from refhf.parallel.thread_ranks import PartedError

RANKS = range(1, 17)
REDUCTIONS = ("fast", "reproducible")


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    with problem.one_blas_thread():
        yield


def relative(got, want):
    return np.linalg.norm(np.subtract(got, want)) / np.linalg.norm(want)


# Communicators


@pytest.mark.parametrize("ranks", RANKS)
def test_the_four_calls(ranks):
    """A sum is of all, a broadcast the root's, a gather in the ranks' order; all have the same bits everywhere."""
    parts = np.random.default_rng(0).normal(size=(ranks, 2, 3))

    def calls(comm):
        x = parts[comm.rank].copy()
        assert comm.sum(x) is x
        root = ranks // 2
        sent = comm.broadcast(np.full(4, comm.rank), root)
        comm.barrier()
        gathered = comm.gather(np.full(comm.rank, comm.rank), range(ranks))
        return x, sent, np.concatenate(gathered), len(gathered)

    results = run(ranks, calls)
    np.testing.assert_allclose(results[0][0], parts.sum(axis=0), rtol=1e-13)
    for x, sent, gathered, n in results:
        np.testing.assert_array_equal(x, results[0][0])
        np.testing.assert_array_equal(sent, np.full(4, ranks // 2))
        np.testing.assert_array_equal(gathered, np.repeat(np.arange(ranks), np.arange(ranks)))
        assert n == ranks


def test_calls_are_counted():
    """A call counts one and the bytes of its result, on every rank; one rank communicates nothing."""

    def calls(comm):
        comm.sum(np.zeros(5))
        comm.broadcast(np.zeros(3, np.float32))
        comm.gather(np.zeros(comm.rank + 1), [1, 2])
        comm.barrier()
        return comm.traffic

    for traffic in run(2, calls):
        assert traffic[:2] == (4, 5 * 8 + 3 * 4 + 3 * 8)
        assert traffic.seconds > 0
    assert calls_of_one(serial()) == calls_of_one(in_process(1)[0]) == (0, 0, 0.0)


def calls_of_one(comm):
    x = np.arange(3.0)
    np.testing.assert_array_equal(comm.sum(x), [0, 1, 2])
    np.testing.assert_array_equal(comm.gather(x)[0], [0, 1, 2])
    np.testing.assert_array_equal(comm.broadcast(x), [0, 1, 2])
    comm.barrier()
    return comm.traffic


@pytest.mark.parametrize("wrong", [np.zeros((3, 3)).T[:2], [1.0, 2.0], 3.0])
def test_buffers_only(wrong):
    """An array that is not contiguous cannot be sent, and all ranks raise the error."""
    with pytest.raises((ValueError, AttributeError)):
        run(2, lambda comm: comm.sum(wrong))


def test_a_failure_ends_all():
    """The first exception is raised again; ranks that wait for the one that failed do not wait for ever."""
    for ranks in (2, 3, 16):

        def fail(comm, last=ranks - 1):
            if comm.rank == last:
                raise KeyError("here")
            for _ in range(3):
                comm.sum(np.zeros(2))

        with pytest.raises(KeyError, match="here"):
            run(ranks, fail)


def test_a_rank_that_decides_alone_parts():
    """If one rank returns early, or makes a different call or size, the others raise an error and do not hang."""
    with pytest.raises(PartedError, match="rank . waits in sum .*, but rank 1 has returned"):
        run(3, lambda comm: comm.rank == 1 or comm.sum(np.zeros(1)))
    with pytest.raises(PartedError, match="rank 0 in gather, rank 1 in barrier"):
        run(2, lambda comm: comm.barrier() if comm.rank else comm.gather(np.zeros(1)))
    with pytest.raises(PartedError, match=r"sum of float64 \(1,\), rank 1 in sum of float64 \(2,\)"):
        run(2, lambda comm: comm.sum(np.zeros(comm.rank + 1)))


def test_agree():
    """Equal facts pass; different or missing ones raise the same ValueError on every rank, with each rank's value."""
    facts = {"seed": 3, "X": np.arange(6.0), "name": "two\nlines", "options": {"a": (1, 2)}}
    run(4, lambda comm: agree(comm, **facts))
    run(3, agree)
    messages = []

    def check(comm, **mine):
        with pytest.raises(ValueError) as caught:
            agree(comm, **mine)
        messages.append(str(caught.value))

    run(3, lambda comm: check(comm, **facts | {"seed": 3 if comm.rank == 1 else 4}))
    assert messages == ["ranks: expected the same seed on all; got 4 on rank 0, 2, 3 on rank 1"] * 3
    run(2, lambda comm: check(comm, X=np.arange(3.0), Y=np.arange(3.0) + 1e-16 * comm.rank))
    assert "same Y" in messages[-1] and "same X" not in messages[-1]
    run(2, lambda comm: check(comm, **{"one": 1} if comm.rank else {}))
    assert messages[-1] == "ranks: expected the same one on all; got nothing on rank 0, 1 on rank 1"


def test_guard_leaves_exceptions_where_they_are_enough():
    """On one rank, and among threads, an exception in `guard` is just raised."""
    with pytest.raises(KeyError), guard(serial()):
        raise KeyError

    def guarded(comm):
        with guard(comm):
            raise SystemExit(comm.rank)

    with pytest.raises(SystemExit):
        run(2, guarded)


# Shards


@given(n=st.integers(0, 300), size=st.integers(1, 40))
def test_shards_are_the_rows(n, size):
    """Shards are consecutive and hold every row once, equally many but for one, or equally many pieces but for one."""
    for reduction in ("reproducible-24", "reproducible-1", *REDUCTIONS):
        shards = [shard(n, rank, size, reduction) for rank in range(size)]
        assert [row for rows in shards for row in range(n)[rows]] == list(range(n))
        pieces = virtual_shards(reduction) or size
        least, most = (pieces // size) * (n // pieces), -(-pieces // size) * -(-n // pieces)
        assert all(least <= rows.stop - rows.start <= most for rows in shards)
    bounds = [n * j // VIRTUAL for j in range(VIRTUAL + 1)]
    assert {rows.start for rows in shards} <= set(bounds)


@given(n=st.integers(0, 300), size=st.integers(1, 40), each=st.integers(1, 4))
def test_pieces_a_rank_cut_the_rows_as_fast_does(n, size, each):
    """With a multiple of N as the number of pieces, the ranks hold the same rows as under 'fast'."""
    for rank in range(size):
        assert shard(n, rank, size, f"reproducible-{each * size}") == shard(n, rank, size)


@pytest.mark.parametrize("ranks", [1, 7, 24, 32])
def test_more_than_16_ranks_have_the_same_bits(ranks):
    """Under 'reproducible-32' every answer has the same bits on any number of ranks, and all 32 ranks have cases."""
    net, theta, _, _ = problem.data()
    v = np.random.default_rng(1).normal(size=net.size)
    f, _ = problem.objective(reduction="reproducible-32")
    one = [f.value_and_gradient(theta)[1], f.sample(50, rng=3).gauss_newton(theta) @ v]

    def on_rank(comm):
        f, _ = problem.objective(comm, reduction="reproducible-32")
        assert len(f.X) > 0
        return f.value_and_gradient(theta)[1], f.sample(50, rng=3).gauss_newton(theta) @ v

    for got in run(ranks, on_rank):
        np.testing.assert_array_equal(got, one)


@settings(max_examples=10)
@given(bounds=st.lists(st.integers(0, 13), min_size=1, max_size=30))
def test_any_cut_of_the_rows_has_the_same_bits(bounds):
    """With as many pieces as cases, ranks may hold any rows, or none: gradients and mini-batches keep every bit."""
    bounds, reduction = [0, *sorted(bounds), 13], "reproducible-13"

    def answers(comm=None, bounds=None):
        f, theta = problem.objective(comm, 13, bounds, reduction=reduction)
        return f.value_and_gradient(theta)[1], f.sample(6, rng=3).gauss_newton(theta) @ theta

    one = answers()
    for got in run(len(bounds) - 1, lambda comm: answers(comm, bounds)):
        np.testing.assert_array_equal(got, one)


@settings(max_examples=50)
@given(bounds=st.lists(st.integers(0, 60), min_size=1, max_size=8), seed=st.integers(0, 99), data=st.data())
def test_a_mini_batch_is_shared_out(bounds, seed, data):
    """The ranks' shares of a sample are together all its rows, once, in order; so too for a sample of a sample."""
    bounds = np.array([0, *sorted(bounds), 61])
    layouts = [Layout(bounds, np.arange(len(bounds) - 1), rank) for rank in range(len(bounds) - 1)]
    rows = [np.arange(start, stop) for start, stop in itertools.pairwise(bounds)]
    rng = np.random.default_rng(seed)
    for _ in range(2):
        n = layouts[0].cases
        drawn = np.sort(rng.choice(n, data.draw(st.integers(1, n)), replace=False))
        everything = np.concatenate(rows)
        layouts, taken = zip(*(each.take(drawn) for each in layouts), strict=True)
        rows = [held[mine] for held, mine in zip(rows, taken, strict=True)]
        np.testing.assert_array_equal(np.concatenate(rows), everything[drawn])
        assert [each.mine[0].stop for each in layouts] == [len(held) for held in rows]


def test_layout_refuses():
    """No rows on any rank, and shards that cut a virtual shard, are a ValueError on every rank."""
    errors = []

    def refused(comm, held, reduction):
        with pytest.raises(ValueError) as caught:
            layout(held[comm.rank], comm, reduction)
        errors.append(str(caught.value))

    run(3, lambda comm: refused(comm, [0, 0, 0], "fast"))
    assert errors == ["X: expected at least one case; got none on any rank"] * 3
    run(2, lambda comm: refused(comm, [33, 67], "reproducible"))
    assert len(errors) == 5 and "begins at 33" in errors[-1]
    for wrong in "reproducible-0", "reproducible--2", "reproducible-", "reproducible-V", "fast-3", 3:
        with pytest.raises(
            ValueError, match="reduction: expected one of fast, reproducible, reproducible-V, V a number"
        ):
            shard(10, 0, 1, wrong)


def test_rows_of_a_file_are_the_rows_of_the_array(tmp_path):
    """A shard read from `.npy` files equals the slice of the arrays, in every way it is asked for."""
    rng = np.random.default_rng(0)
    for X in (rng.normal(size=(50, 3)), rng.integers(255, size=(50, 3), dtype=np.uint8), rng.normal(size=(50, 3)) > 0):
        for y in (rng.integers(4, size=50), rng.normal(size=(50, 2)).astype(np.float32)):
            np.save(tmp_path / "X.npy", X)
            np.save(tmp_path / "y.npy", y)

            def check(comm, X=X, y=y):
                rows, targets = load_shard(tmp_path / "X.npy", tmp_path / "y.npy", comm)
                mine = shard(50, comm.rank, comm.size)
                assert rows.shape == X[mine].shape
                assert y.ndim == 1 or rows.dtype == targets[:].dtype == np.float64
                np.testing.assert_array_equal(rows, X[mine].astype(float))
                np.testing.assert_array_equal(rows[2:5], X[mine][2:5])
                np.testing.assert_array_equal(rows[np.array([1, 3])], X[mine][[1, 3]])
                np.testing.assert_array_equal(targets, y[mine])

            run(3, check)
    assert isinstance(Rows(tmp_path / "X.npy")[:], np.ndarray)


def test_an_objective_of_files_is_that_of_arrays(tmp_path):
    """Value, gradient, product and mini-batch of shards on disk are those of the arrays, to the last bit."""
    net, theta, X, y = problem.data(50)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "Y.npy", np.eye(4)[y])
    whole = refhf.supervised(net, X, y)

    def check(comm, targets):
        f = refhf.supervised(net, *load_shard(tmp_path / "X.npy", tmp_path / targets, comm), comm=comm, chunk_size=8)
        assert f.value(theta) == pytest.approx(whole.value(theta), rel=1e-13)
        assert relative(f.gauss_newton(theta) @ theta, whole.gauss_newton(theta) @ theta) < 1e-13
        assert f.sample(9, rng=1).value(theta) == pytest.approx(whole.sample(9, rng=1).value(theta), rel=1e-13)
        assert f.error(theta) == whole.error(theta)

    for ranks in (1, 3):
        for targets in ("y.npy", "Y.npy"):
            run(ranks, functools.partial(check, targets=targets))
    np.save(tmp_path / "X.npy", np.where(np.arange(150).reshape(50, 3) == 140, np.nan, 0.0))
    with pytest.raises(ValueError, match="nan"):
        refhf.supervised(refhf.mlp([3, 4]), Rows(tmp_path / "X.npy"), y, chunk_size=8)
    with pytest.raises(ValueError, match="shape"):
        refhf.supervised(net, Rows(tmp_path / "X.npy", 0, 0), y[:0])
    np.save(tmp_path / "Y.npy", np.eye(4)[y][:49])
    with pytest.raises(ValueError, match="shape"):
        refhf.supervised(net, X, Rows(tmp_path / "Y.npy"), chunk_size=8)


def test_broken_files_are_named(tmp_path):
    """A file that is not a whole `.npy` of real numbers in C order is a ValueError with its name."""
    good = tmp_path / "good.npy"
    np.save(good, np.zeros((4, 3)))
    content, bad = good.read_bytes(), tmp_path / "bad.npy"
    header = content[:128]
    wrong = [content[:n] for n in (0, 5, 9, 60, 128, len(content) - 1)] + [
        content + b"0",
        header.replace(b"(4, 3)", b"(9, 3)") + content[128:],
        header.replace(b"(4, 3), }", b"(4, 3), (") + content[128:],
        header.replace(b"(4, 3)", b"(4,-3)") + content[128:],
        header.replace(b"<f8", b"<c8") + content[128:],
        header.replace(b"False", b"True ") + content[128:],
    ]
    for each in wrong:
        bad.write_bytes(each)
        with pytest.raises(ValueError, match=r"bad\.npy"):
            Rows(bad)
    np.save(bad, np.array([None, "x"], dtype=object))
    with pytest.raises(ValueError, match=r"bad\.npy"):
        Rows(bad)
    np.save(bad, np.zeros(3))
    with pytest.raises(ValueError, match="inputs, targets"):
        load_shard(good, bad, serial())


# Sums over ranks


def evaluations(f, theta, v):
    """All that an objective is asked for, as one vector."""
    mini = f.sample(f.cases // 2 or 1, rng=3)
    return np.concatenate(
        [
            [f.value(theta), f.error(theta), mini.value(theta), f.value_and_gradient(theta)[0]],
            f.value_and_gradient(theta)[1],
            f.hessian(theta) @ v,
            f.gauss_newton(theta) @ v,
            f.gradient_squares(theta),
            mini.sample(mini.cases // 2 or 1, rng=4).gauss_newton(theta) @ v,
        ]
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("cases", [101, 5, 1])
def test_ranks_answer_as_one(reduction, cases):
    """Value, gradient, products, squares, error and mini-batches are the serial ones on 1 to 16 ranks (R11, R12).

    To 1e-12, for even and uneven shards, empty ones, and fewer cases than ranks; the same bits on every rank; and with
    'reproducible' the same bits for every number of ranks.
    """
    net, theta, _, _ = problem.data()
    v = np.random.default_rng(1).normal(size=net.size)
    one = evaluations(problem.objective(cases=cases, reduction=reduction, chunk_size=4)[0], theta, v)
    for ranks in RANKS:
        splits = [None] if reduction == "reproducible" or cases < 4 else [None, problem.uneven(cases, ranks)]
        for bounds in splits:
            results = run(
                ranks,
                lambda comm, bounds=bounds: evaluations(
                    problem.objective(comm, cases, bounds, reduction=reduction, chunk_size=4)[0], theta, v
                ),
            )
            for result in results:
                np.testing.assert_array_equal(result, results[0])
            if reduction == "reproducible" or ranks == 1:
                np.testing.assert_array_equal(results[0], one)
            assert relative(results[0], one) < 1e-12


def test_losses_and_dtypes():
    """The same for targets of every loss, and for float32 to its precision, where sums over ranks are in float64."""
    rng = np.random.default_rng(0)
    for loss in ("squared_error", "softmax_cross_entropy", "logistic_cross_entropy"):
        for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
            net = refhf.mlp([5, 4, 3], loss=loss)
            X, z = rng.normal(size=(23, 5)).astype(dtype), rng.normal(size=(23, 3)).astype(dtype)
            y, theta = net.loss.predict(z), net.init(0, dtype)
            one = evaluations(refhf.supervised(net, X, y), theta, theta + 1)

            def on_ranks(comm, net=net, X=X, y=y, theta=theta):
                rows = shard(len(X), comm.rank, comm.size)
                f = refhf.supervised(net, X[rows], y[rows], comm=comm)
                assert f.value_and_gradient(theta)[1].dtype == theta.dtype == (f.hessian(theta) @ theta).dtype
                return evaluations(f, theta, theta + 1)

            assert relative(run(3, on_ranks)[0], one) < tolerance


def test_images_on_ranks():
    """R11: convolutions too answer as one process does, to the bit with 'reproducible', in float32."""
    rng = np.random.default_rng(0)
    net = refhf.convnet((9, 9, 2), [refhf.conv(3, 3, stride=2, padding=1), refhf.conv(4, 2), refhf.pool(2), 3])
    X, y = rng.standard_normal((37, 162)).astype(np.float32), rng.integers(3, size=37)
    theta = net.init(0, np.float32)
    for reduction in REDUCTIONS:
        one = evaluations(refhf.supervised(net, X, y, reduction=reduction), theta, theta + 1)
        for ranks in (2, 3):

            def on_ranks(comm, reduction=reduction):
                rows = shard(len(X), comm.rank, comm.size, reduction)
                f = refhf.supervised(net, X[rows], y[rows], comm=comm, reduction=reduction)
                return evaluations(f, theta, theta + 1)

            for result in run(ranks, on_ranks):
                assert relative(result, one) < 1e-5
                assert reduction == "fast" or (result == one).all()


@pytest.mark.parametrize("method", problem.OPTIONS)
def test_methods_do_not_notice_ranks(method):
    """R11: ten HF steps take the same decisions and end within 1e-10 of the serial theta, on any number of ranks."""
    x, fun, told, _ = problem.train(method)
    for ranks, uneven in ((2, False), (5, True), (16, False)):
        bounds = problem.uneven(101, ranks) if uneven else None
        results = run(ranks, lambda comm, bounds=bounds: problem.train(method, comm, bounds=bounds))
        for other, *_ in results:
            np.testing.assert_array_equal(other, results[0][0])
        assert results[0][2] == told
        assert relative(results[0][0], x) < 1e-10
        assert results[0][1] == pytest.approx(fun, rel=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_reproducible_methods_keep_every_bit(method):
    """R11: with reduction='reproducible' three steps end at the same bits on 1, on 3, and on more ranks than pieces."""
    x, fun, told, _ = problem.train(method, reduction="reproducible")
    for ranks in (3, 20):
        results = run(ranks, lambda comm: problem.train(method, comm, reduction="reproducible"))
        for other in results:
            np.testing.assert_array_equal(other[0], x)
            assert other[1:3] == (fun, told)


def test_the_mean_is_over_cases():
    """With unequal shards, f is the mean over cases, not the mean of the shards' means."""
    net, theta, X, y = problem.data(10)
    parts = [refhf.supervised(net, X[rows], y[rows]).value(theta) for rows in (slice(0, 9), slice(9, 10))]
    whole = refhf.supervised(net, X, y).value(theta)
    ours = run(2, lambda comm: problem.objective(comm, 10, [0, 9, 10])[0].value(theta))
    decay = problem.objective(cases=10)[0].value(theta) - whole
    assert ours[0] == pytest.approx(whole + decay, rel=1e-13)
    assert abs(np.mean(parts) - whole) > 1e-3


@given(x=st.lists(st.floats(), min_size=1, max_size=9), data=st.data())
def test_a_mark_sees_one_bit(x, data):
    """A mark is a number below MARKS, the same for the same bits, and another when one of them has changed."""
    x = np.array(x)
    changed, bit = x.copy(), data.draw(st.integers(0, 63))
    changed.view(np.uint64)[data.draw(st.integers(0, len(x) - 1))] ^= np.uint64(1 << bit)
    assert 0 <= mark(x) < MARKS
    assert mark(x) == mark(x.copy()) != mark(changed)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("ranks", [2, 5])
def test_ranks_that_have_drifted_apart_find_out_together(ranks, reduction):
    """One bit of theta, of v, or another draw on one rank is a RuntimeError on all, in that call."""
    caught = []

    def drift(comm, question):
        f, theta = problem.objective(comm, reduction=reduction)
        other = np.nextafter(theta, 1) if comm.rank == 1 else theta
        with pytest.raises(RuntimeError, match="expected the same theta"):
            question(f, theta, other, comm)
        f.value(theta)
        caught.append(comm.rank)

    questions = [
        lambda f, theta, other, comm: f.value(other),
        lambda f, theta, other, comm: f.value_and_gradient(other),
        lambda f, theta, other, comm: f.hessian(theta) @ other,
        lambda f, theta, other, comm: f.sample(9, rng=comm.rank // 2).gauss_newton(theta) @ theta,
        lambda f, theta, other, comm: next(refhf.iterate(f, theta, method="sgd", rng=None, batch=40)),
    ]
    for n, question in enumerate(questions if ranks > 2 else questions[:3], start=1):
        run(ranks, functools.partial(drift, question=question))
        assert len(caught) == n * ranks


def test_different_arguments_are_refused_at_once():
    """Networks, decay, dtypes or reductions that differ over ranks are a ValueError on all of them."""
    net, _, X, y = problem.data()
    for name, one, other in [
        ("l2", {}, {"l2": 0.1}),
        ("reduction", {}, {"reduction": "reproducible"}),
        ("chunk_size", {}, {"chunk_size": 7}),
        ("network", {}, {"net": refhf.mlp([12, 9, 5])}),
        ("dtype", {}, {"X": X.astype(np.float32)}),
    ]:

        def make(comm, one=one, other=other, name=name):
            arguments = {"net": net, "X": X, "y": y} | (other if comm.rank else one)
            with pytest.raises(ValueError, match=f"same {name} on all"):
                refhf.supervised(**arguments, comm=comm)

        run(2, make)
    with pytest.raises(ValueError, match="reduction: expected one of fast, reproducible"):
        refhf.supervised(net, X, y, reduction="fats")


# What is communicated


@pytest.mark.parametrize("ranks", [2, 3, 16])
def test_an_epoch_of_sgd_communicates_what_the_formula_says(ranks):
    """n/b calls of P + 3 numbers: half the paper's calls (an all-reduce is both), its numbers but once."""
    n, b = 120, problem.OPTIONS["sgd"]["batch"]
    *_, last = run(ranks, lambda comm: problem.train("sgd", comm, cases=n, steps=n // b))[0]
    calls, numbers = counted_data_parallel(problem.SIZES, gradients=n // b)
    assert (last["epochs"], last["communications"], last["bytes_communicated"]) == (1, calls, 8 * numbers)
    paper = paper_data_parallel(n, b, problem.SIZES, ranks)
    assert calls == paper.calls / 2
    beyond = calls * (parameters(problem.SIZES) - weights(problem.SIZES) + 3)
    assert numbers == pytest.approx(paper.numbers / np.log2(ranks) + beyond)


@pytest.mark.parametrize("method", problem.HESSIAN_FREE)
def test_hessian_free_iterations_communicate_what_the_formula_says(method):
    """After each step: calls = evaluations, and P + 3 numbers a gradient and product, 3 a value; nothing serially."""
    last = run(3, lambda comm: problem.train(method, comm))[0][3]
    evaluations = (last[name] for name in ("gradient_evaluations", "curvature_products", "value_evaluations"))
    calls, numbers = counted_data_parallel(problem.SIZES, *evaluations)
    assert (last["communications"], last["bytes_communicated"]) == (calls, 8 * numbers)
    alone = problem.train(method)[3]
    assert (alone["communications"], alone["bytes_communicated"]) == (0, 0)


def test_reproducible_sums_communicate_what_they_say():
    """A call gathers V (m + 1) + N numbers for a vector of m."""
    for ranks in (2, 5, 20):

        def count(comm):
            f, theta = problem.objective(comm, reduction="reproducible")
            calls, size, _ = comm.traffic
            f.value_and_gradient(theta)
            f.value(theta)
            return comm.traffic.calls - calls, comm.traffic.bytes - size

        numbers = [VIRTUAL * (m + 1) + ranks for m in (parameters(problem.SIZES), 0)]
        assert run(ranks, count) == [(2, 8 * sum(numbers))] * ranks


def test_what_is_evaluated_outside_a_run_is_not_its_communication():
    """A caller that evaluates between the steps (a record, a plot) does not change the counts of the run."""

    def counts(comm, between):
        f, theta = problem.objective(comm)
        reports = refhf.iterate(f, theta, method="sgd", rng=0, batch=40)
        for _ in range(3):
            report = next(reports)
            between(f, theta)
        return report[-2:]

    quiet = run(2, lambda comm: counts(comm, lambda f, theta: None))
    assert quiet == run(2, lambda comm: counts(comm, lambda f, theta: f.error(theta)))


# Model parallelism


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("sizes", [(12, 9, 4), (7, 4), (5, 6, 7, 5, 4)])
def test_split_columns_give_the_serial_answers(ranks, sizes):
    """The ranks' parts joined are the serial gradient, Gauss-Newton and Hessian product; part and join are inverse."""
    rng = np.random.default_rng(0)
    net = refhf.mlp(sizes)
    f = refhf.supervised(net, rng.normal(size=(20, sizes[0])), rng.integers(sizes[-1], size=20))
    theta, v = net.init(0), rng.normal(size=net.size)
    want = [f.value_and_gradient(theta)[1], f.gauss_newton(theta) @ v, f.hessian(theta) @ v]

    def split(comm):
        m = model_parallel(f, comm)
        part = m.part(theta)
        np.testing.assert_array_equal(m.join(part), theta)
        assert m.value_and_gradient(part)[0] == pytest.approx(f.value(theta), rel=1e-13)
        parts = m.value_and_gradient(part)[1], m.gauss_newton(part) @ m.part(v), m.hessian(part) @ m.part(v)
        assert {len(x) for x in parts} == {m.net.size}
        return [m.join(x) for x in parts]

    for got in run(ranks, split):
        for g, w in zip(got, want, strict=True):
            assert relative(g, w) < 1e-12


@pytest.mark.parametrize("sizes", [(12, 9, 4), (7, 4), (5, 6, 7, 5, 4)])
def test_model_parallel_sgd_is_serial_sgd_and_communicates_what_the_formula_says(sizes):
    """An epoch on parts: the serial theta; 2 L - 1 calls a step, section 3's 2 L less one, and n d_L numbers less."""
    n, b, rng = 24, 6, np.random.default_rng(0)
    net = refhf.mlp(sizes)
    f = refhf.supervised(net, rng.normal(size=(n, sizes[0])), rng.integers(sizes[-1], size=n))
    serial_theta = net.init(0)
    for k in range(n // b):
        serial_theta = serial_theta - 0.1 * f.sample(b, rng=k).value_and_gradient(serial_theta)[1]

    def epoch(comm):
        m = model_parallel(f, comm)
        part = m.part(net.init(0))
        for k in range(n // b):
            part = part - 0.1 * m.sample(b, rng=k).value_and_gradient(part)[1]
        traffic = comm.traffic
        v = m.part(serial_theta)
        G, before = m.gauss_newton(part), comm.traffic
        assert before.calls - traffic.calls == len(sizes) - 1
        product = G @ v
        assert len(product) == m.net.size
        calls, size = comm.traffic.calls - before.calls, comm.traffic.bytes - before.bytes
        expected = counted_model_parallel(n, sizes, products=1)
        assert (calls, size) == (expected.calls, 8 * expected.numbers)
        return m.join(part), traffic

    for theta, traffic in run(3, epoch):
        assert relative(theta, serial_theta) < 1e-13
        calls, numbers = counted_model_parallel(b, sizes, gradients=n // b)
        assert traffic[:2] == (calls, 8 * numbers)
        paper = paper_model_parallel(n, b, sizes)
        assert (paper.calls - calls, paper.numbers - numbers) == (n // b, n * sizes[-1])


def test_what_cannot_be_split():
    """Fewer columns than ranks, a shared or a decaying objective: a ValueError."""
    f, _ = problem.objective()
    whole = refhf.supervised(f.net, f.X, f.y)
    with pytest.raises(ValueError, match="at most 4 ranks, the columns of layer 2; got 5"):
        run(5, lambda comm: model_parallel(whole, comm))
    with pytest.raises(ValueError, match="l2 = 0"):
        model_parallel(f, serial())
    with pytest.raises(ValueError, match="all cases on every rank"):
        run(2, lambda comm: model_parallel(problem.objective(comm)[0], comm))
