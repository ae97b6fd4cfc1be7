"""What a budget buys: against every split there is, and against a geometry that is known."""

import numpy as np
import pytest

import w2s_report
from w2s_report import Options, page
from w2s_report.readers import InputError
from w2s_report.teachers import _purchases as purchases
from w2s_utils.theory import risks

SETTINGS = {
    "well specified": risks.Setting(d_w=8, d_s=20, d_sw=4, sigma2=1.0),
    "misspecified": risks.Setting(
        d_w=12, d_s=9, d_sw=5.5, sigma2=0.5, rho_w=0.3, rho_s=0.2, b=0.1, kappa=0.15
    ),
    "nothing in common": risks.Setting(d_w=30, d_s=15, d_sw=0, sigma2=2.0, rho_w=0.1),
}


def priced(label_price, pseudo_label_price, budget):
    given = {"label_price": label_price, "pseudo_label_price": pseudo_label_price}
    return Options.of(given | {"budget": budget})


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("labels", [60, 400])
@pytest.mark.parametrize("price", [1.0, 0.1, 0.003])
def test_no_split_of_the_budget_is_better(kind, labels, price):
    """All whole numbers of further labels, with pseudo-labels for what is left."""
    problem = SETTINGS[kind]
    once, twice = purchases([problem] * 3, labels, priced(1, price, 300))
    single, double = once.predicted, twice.predicted
    for money, found in ((300, once), (600, twice)):
        told = found.predicted
        more = np.arange(money)
        N = np.floor((money - more) / price + 1e-9)
        more, N = more[problem.d_s + 2 <= N], N[problem.d_s + 2 <= N]
        least = risks.student(problem, labels + more, N).min()
        assert told["student"].value == pytest.approx(least, rel=1e-9)
        assert told["labels"].value + price * found.predicted["pseudo_labels"].value <= money * (
            1 + 1e-9
        )
        assert told["labels"].value >= 0
        alone = {"strong": risks.baseline, "weak": risks.teacher}
        for model, risk in alone.items():
            expected = risk(problem, labels + money) - least
            assert told[model].value == pytest.approx(float(expected), rel=1e-6)
        # Problems that are all alike leave nothing open.
        assert found.worthwhile == all(value.value > 0 for value in (told["strong"], told["weak"]))
    assert "saved" not in single
    saved = single["student"].value - double["student"].value
    assert double["saved"].value == pytest.approx(saved)
    assert double["saved"].value >= 0


def test_what_the_problems_drawn_do_not_agree_on_is_not_told():
    near, far = SETTINGS["well specified"], SETTINGS["misspecified"]
    cheap = priced(1, 0.01, 300)
    answers = [purchases([one] * 3, 60, cheap)[0].worthwhile for one in (near, far)]
    assert answers == [True, False]
    mixed = purchases([near, near, far], 60, cheap)[0]
    assert mixed.worthwhile is None
    assert mixed.predicted["labels"].low < mixed.predicted["labels"].high
    # Twice a budget may reach where the budget does not; nothing is told of one that does not.
    assert [p.budget for p in purchases([near] * 3, 60, priced(1, 1, 15))] == [30]
    assert purchases([near] * 3, 60, priced(1, 1, 5)) == []
    assert purchases([near] * 3, 60, Options()) == []


def problem(seed, rows=4000, labelled=1000):
    """Both models know the two directions of the target, among many of their own."""
    rng = np.random.default_rng(seed)
    g = rng.standard_normal((rows, 496))
    labels = g[:, :2] @ np.ones(2) + 2 * rng.standard_normal(rows)
    labels[labelled:] = np.nan
    return {"small": np.hstack([g[:, :2], g[:, 299:]])}, g[:, :299], labels


MONEY = {"label_price": 2, "pseudo_label_price": 0.01, "budget": 400}


def test_a_report_with_prices():
    jsonschema = pytest.importorskip("jsonschema")
    from w2s_report import card

    arrays = problem(0)
    found = w2s_report.report(*arrays, trials=4, share=0.9999999, **MONEY)
    once, twice = found.teachers[0].purchases
    assert once.worthwhile
    single, double = once.predicted, twice.predicted
    # The estimates have the noise in the approximation errors.
    truth = risks.Setting(d_w=200, d_s=300, d_sw=3, sigma2=0.0, rho_w=4.0, rho_s=4.0)
    [exact, _] = purchases([truth] * 3, 1000, priced(**MONEY))
    # Noise of variance 4 is known to 5 % from what two hundred directions leave of 1000 labels.
    assert single["student"].value == pytest.approx(exact.predicted["student"].value, rel=0.25)
    assert single["student"].low < single["student"].value < single["student"].high
    assert single["labels"].low <= single["labels"].value <= single["labels"].high
    assert 2 * single["labels"].value + 0.01 * once.predicted["pseudo_labels"].value <= 400 * (
        1 + 1e-9
    )
    jsonschema.validate(found.to_dict(), card.schema())
    text = page.render(found)
    assert "What a budget buys" in text
    assert "Money: 400 more" in text
    assert "is predicted to be spent best on about" in " ".join(text.split())
    assert double["saved"].low <= double["saved"].value <= double["saved"].high
    # Prices change nothing else.
    plain = w2s_report.report(*arrays, trials=4, share=0.9999999)
    assert plain.comparisons == found.comparisons
    assert plain.teachers[0].purchases == ()
    assert "What a budget buys" not in page.render(plain)


def test_a_budget_that_does_not_reach_is_told_on_the_page():
    arrays = problem(1)
    found = w2s_report.report(*arrays, trials=4, share=0.9999999, **{**MONEY, "budget": 0.1})
    assert found.teachers[0].purchases == ()
    assert "the formulas need 302" in page.render(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": None}, "expected all three or none of them, got 2, 0.01 and 0"),
        ({"budget": -3}, "budget: expected greater than 0, got -3"),
        ({"label_price": 0}, "label_price: expected greater than 0, got 0"),
        ({"pseudo_label_price": "x"}, "pseudo_label_price: expected a valid number, got 'x'"),
        ({"budget": np.inf}, "budget: expected a finite number, got inf"),
        ({"budget": np.nan}, "budget: expected greater than 0, got nan"),
        ({"label_price": True}, "label_price: expected a valid number"),
    ],
)
def test_prices_that_cannot_be(change, message):
    with pytest.raises(InputError, match=message) as caught:
        w2s_report.report(*problem(0), **{**MONEY, **change})
    assert "\n" not in str(caught.value)


def test_predictions_alone_have_no_geometry():
    rng = np.random.default_rng(2)
    y = rng.standard_normal(300)
    said = {"llm": y + rng.standard_normal(300)}
    with pytest.raises(InputError, match="budget: needs features of a weak and of the strong"):
        w2s_report.report(labels=y, teacher_predictions=said, student_predictions=said, **MONEY)
