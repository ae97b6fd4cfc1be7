"""The book's prose and configuration against the library."""

import re
from pathlib import Path

import yaml

from w2s_experiments.data.registry import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
# Parts of a documented module or of a command, which users of the library need not.
INTERNAL = {
    *("w2s_utils.files", "w2s_utils.refusal", "w2s_utils.validation"),
    *(f"w2s_report.{name}" for name in ("command", "draw", "page", "words")),
}


def test_every_public_module_is_in_the_reference():
    modules = {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for package in ("w2s_utils", "w2s_report")
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    text = "\n".join(path.read_text("utf-8") for path in (BOOK / "api").glob("*.md"))
    documented = set(re.findall(r"automodule:: (w2s_\S+)", text))
    assert documented == modules - INTERNAL


def test_the_names_in_the_notation_are_names_in_the_code():
    rows = [line for line in (BOOK / "notation.md").read_text("utf-8").splitlines() if "|" in line]
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row.rsplit("|", 2)[-2])}
    assert len(names) > 20
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "w2s_utils").rglob("*.py"))
    assert not [name for name in names if not re.search(rf"\b{name}\b", code)]


def test_data_sets_named_in_the_prose_exist():
    text = (BOOK / "how-it-works.md").read_text("utf-8")
    table = text.split("| data |")[1].split("\n\n")[0]
    named = set(re.findall(r"\| `(\w+)` \|", table))
    shipped = {"digits", "diabetes"}
    assert named == set(REGISTRY) - shipped


def test_the_numbers_of_the_ledger_are_those_of_the_code():
    from w2s_utils import checks

    text = (BOOK / "how-it-works.md").read_text("utf-8")
    assert f"at most {checks.FALSE_ALARM}" in text
    assert f"budget of {checks.COMPARISONS} comparisons" in text
    assert f"probability {checks.POWER}" in text
    assert f"for many\ntrials it is {checks.critical_value(10**6):.1f}" in text
    assert f"for 20 trials it is {checks.critical_value(20):.1f}" in text


def test_every_entry_of_the_bibliography_is_cited():
    keys = set(re.findall(r"@\w+\{(\w+),", (BOOK / "references.bib").read_text("utf-8")))
    sources = [*BOOK.rglob("*.md"), *(ROOT / "notebooks").rglob("*.md")]
    text = "\n".join(path.read_text("utf-8") for path in sources)
    cited = {
        key.strip()
        for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text)
        for key in group.split(",")
    }
    assert cited == keys


def test_notebooks_are_not_executed_by_sphinx():
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    assert config["execute"]["execute_notebooks"] == "off"


def test_the_readme_s_example_prints_what_it_says(capsys):
    text = (ROOT / "README.md").read_text("utf-8")
    example = re.search(r"```python\n(.*?)```", text, flags=re.DOTALL).group(1)
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip() == example.strip().rsplit("# ", 1)[-1]


def test_files_the_readme_links_to_exist():
    text = (ROOT / "README.md").read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]
    assert (ROOT / "docs" / "page.png").stat().st_size < 300_000
