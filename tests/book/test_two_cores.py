"""Two processes read the pages: what one of them alone would have refused is refused still."""

from types import SimpleNamespace

import pytest
import two_cores


@pytest.fixture
def warned(monkeypatch):
    found = []
    said = lambda message, *words, location: found.append((message % words, location))  # noqa: E731
    monkeypatch.setattr(two_cores.logger, "warning", said)
    return found


def read(page, label, kind):
    """Return what a process that read one page, with one label, hands over."""
    data = {"std": {"labels": {}}, "math": {"objects": {}}, "py": {"objects": {}}}
    handed = SimpleNamespace(domaindata=data, doc2path=lambda page: f"{page}.md")
    if kind in ("proof_list", "sphinx_exercise_registry"):
        setattr(handed, kind, {label: {"docname": page}})
    elif kind == "py":
        data[kind]["objects"][label] = SimpleNamespace(docname=page)
    else:
        data[kind]["labels" if kind == "std" else "objects"][label] = (page, "id")
    return handed


@pytest.mark.parametrize("kind", ["std", "math", "py", "proof_list", "sphinx_exercise_registry"])
def test_a_label_in_pages_of_two_processes_is_a_warning(warned, kind):
    twins, env = two_cores.Twins(), read("x", "x", kind)
    twins.look(None, env, {"a"}, read("a", "one", kind))
    twins.look(None, env, {"b"}, read("b", "two", kind))
    assert warned == []
    twins.look(None, env, {"c"}, read("c", "one", kind))
    [(message, page)] = warned
    assert message.startswith("duplicate")
    assert message.endswith("one, other instance in a.md")
    assert page == "c"


def test_what_a_process_was_given_by_an_earlier_one_is_no_twin(warned):
    """Processes start as copies, with the labels merged so far."""
    twins, env = two_cores.Twins(), read("x", "x", "std")
    twins.look(None, env, {"a"}, read("a", "one", "std"))
    twins.look(None, env, {"b"}, read("a", "one", "std"))
    assert warned == []
