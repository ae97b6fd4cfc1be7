"""Encoders of phrases and of French reviews: who has seen what, dimensions, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_experiments import french_reviews, text
from w2s_experiments.data import datasets
from w2s_utils.problem import with_constant

SIZES = {"encoder_phrases": 1500, "pool_phrases": 900, "d_w": 50, "d_s": 40, "noise": 0.5}
REVIEWS = {
    "pretraining": 300, "weak_pretraining": 150, "reviews": 260, "directions": 80, "versions": 1,
}  # fmt: skip
needs_sst2 = pytest.mark.skipif(not datasets.available("sst2"), reason="needs sst2")
needs_webis = pytest.mark.skipif(
    not datasets.available("webis_cls_fr"), reason="needs webis_cls_fr"
)


@pytest.fixture(scope="module")
def sentences():
    return text.training_sentences()


@pytest.fixture(scope="module")
def encoded(sentences):
    return text.encode(np.random.default_rng(0), **SIZES, sentences=sentences)


@needs_sst2
def test_phrases_are_encoded_to_full_rank(encoded):
    problem = encoded.pool
    assert problem.targets.shape == (900, 1)
    assert list(problem.teachers) == ["words", "pairs", "characters"]
    assert list(problem.students) == ["words", "characters"]
    for features, d in ((problem.teachers, 50), (problem.students, 40)):
        for phi in features.values():
            assert phi.shape == (900, d)
            assert np.linalg.matrix_rank(phi) == d
    assert encoded.pool.noise == 0.5


@needs_sst2
def test_students_know_something_of_sentiment(encoded):
    positive = encoded.pool.targets[:, 0] > 0
    assert list(encoded.own) == ["words", "characters"]
    for probability in encoded.own.values():
        assert 0.5 < np.mean((probability > 0.5) == positive) < 0.95


@needs_sst2
def test_one_phrase_a_sentence(encoded):
    rows = encoded.one_a_sentence()
    assert len(set(encoded.groups[rows])) == len(rows) == encoded.groups.max() + 1
    assert len(encoded.one_a_sentence(100)) == 100


@needs_sst2
def test_no_phrase_of_the_pool_lies_in_a_sentence_of_the_encoders(sentences):
    apart, pool = text._divide(sentences, 10**6, 10**6, np.random.default_rng(1))
    seen = {position for row in apart for position in sentences.within[row]}
    assert not any(position in seen for row in pool for position in sentences.within[row])
    assert len(apart) > 20000
    assert len(pool) > 20000
    assert sentences.words[pool].min() == 5
    assert sentences.words[apart].min() == 2


@needs_sst2
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_s": 31}, "d_s: expected at least 32"),
        ({"d_w": 39}, "d_w: expected at least 40"),
        ({"pool_phrases": 179}, "pool_phrases: expected at least 180"),
        ({"encoder_phrases": 10}, "encoder_phrases: expected at least 180"),
    ],
)
def test_fewer_phrases_than_dimensions(change, message):
    with pytest.raises(ValueError, match=message):
        text.encode(np.random.default_rng(0), **{**SIZES, **change})


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("sst2", lambda rng: text.encode(rng, **SIZES)),
        ("webis_cls_fr", lambda rng: french_reviews.problem(rng, **REVIEWS)),
    ],
)
def test_without_files_the_error_says_what_to_do(name, call, tmp_path, monkeypatch):
    monkeypatch.setenv("W2S_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(datasets, "cache_folder", lambda: tmp_path)
    with pytest.raises(datasets.DataError, match=f"w2s data fetch {name}"):
        call(np.random.default_rng(0))


@needs_sst2
def test_a_damaged_file_is_an_error(tmp_path, monkeypatch):
    for path in datasets.files("sst2"):
        target = tmp_path / "sst2" / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes()[:-100])
    monkeypatch.setenv("W2S_DATA_DIR", str(tmp_path))
    with pytest.raises(datasets.DataError, match=r"damaged|truncated|not a"):
        text.encode(np.random.default_rng(0), **SIZES)


@pytest.fixture(scope="module")
def reviews():
    return french_reviews.problem(np.random.default_rng(0), **REVIEWS)


@needs_webis
def test_french_ladder_and_strong_models(reviews):
    assert reviews.targets.shape == (260, 1)
    assert reviews.noise == 0
    assert len(reviews.teachers) == 7 + 2 * len(french_reviews.WIDTHS)
    assert reviews.students["pretrained"].shape == (260, 18 + 30 + 1)
    assert reviews.students["plain"].shape == (260, 80)
    for phi in (*reviews.teachers.values(), *reviews.students.values()):
        assert np.linalg.matrix_rank(phi) == phi.shape[1]


@needs_webis
def test_pretraining_helps(reviews):
    # Answers of the heads follow the stars of reviews that no head has seen.
    answers = reviews.students["pretrained"][:, :18]
    stars = reviews.targets[:, 0]
    related = [np.corrcoef(answers[:, i], stars)[0, 1] for i in range(0, 18, 3)]
    assert np.mean(related) > 0.2


@needs_webis
def test_narrow_directions_are_within_the_strong_model(reviews):
    strong = reviews.students["pretrained"]
    inside = reviews.teachers["words 20"]
    left = inside - strong @ np.linalg.lstsq(strong, inside, rcond=None)[0]
    assert np.abs(left).max() < 1e-9
    assert np.ptp(with_constant(inside)[:, -1]) == 0


@needs_webis
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pretraining": 10**5}, "pretraining: expected at most 7767"),
        ({"reviews": 10**4}, "reviews: expected at most 3614"),
        ({"weak_pretraining": 301}, "weak_pretraining: expected at most pretraining = 300"),
        ({"directions": 79}, "directions: expected at least 80"),
        ({"pretraining": 80}, "pretraining: expected at least 200"),
        ({"versions": 0}, "versions: expected at least 1"),
    ],
)
def test_bad_sizes_of_reviews(change, message):
    with pytest.raises(ValueError, match=message):
        french_reviews.problem(np.random.default_rng(0), **{**REVIEWS, **change})
