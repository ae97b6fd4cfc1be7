"""How many notebooks a one-line edit of the library executes again, on average over its lines.

Run from the folder of the book: ``python benchmarks/re_execution.py``. It prints the average for
each package and in all, the modules that cost most, and the imports whose loss would save most. A
line of a docstring that is not shown executes nothing.
"""

from __future__ import annotations

from pathlib import Path

from w2s_book.closure import PACKAGES, Library, counting

SHOWN = 15


def counts(library: Library, roots: list[set[str]]) -> dict[str, int]:
    """Notebooks that need each module."""
    closures = [library.closure(root) for root in roots]
    return {name: sum(name in closure for closure in closures) for name in lines}


def saved(importer: str, imported: str) -> float:
    """What the average loses where one import is not there."""
    library.graph.remove_import(importer=importer, imported=imported)
    without = average(counts(library, roots), list(lines))
    library.graph.add_import(importer=importer, imported=imported)
    return everything - without


def average(count: dict[str, int], names: list[str]) -> float:
    """Notebooks executed again, averaged over the lines of some modules."""
    return sum(count[name] * code[name] for name in names) / sum(lines[name] for name in names)


library = Library()
sources = sorted(Path("notebooks").glob("*/*.md"))
lines = {name: path.read_text("utf-8").count("\n") for name, path in library.modules.items()}
code = {name: counting(path).count(b"\n") for name, path in library.modules.items()}
roots = [library.of_notebook(source.read_text("utf-8")) for source in sources]
count = counts(library, roots)
everything = average(count, list(lines))

print(f"{len(sources)} notebooks; executed again for one edited line, on average over lines:")
for package in PACKAGES:
    names = [name for name in lines if name.split(".")[0] == package]
    print(f"  {package:<16} {average(count, names):5.2f}   {sum(lines[n] for n in names):6d} lines")
print(f"  {'in all':<16} {everything:5.2f}   {sum(lines.values()):6d} lines")

print("\nmodules that cost most (share of the average, notebooks, lines that count):")
share = {name: count[name] * code[name] / sum(lines.values()) for name in lines}
for name in sorted(share, key=share.__getitem__, reverse=True)[:SHOWN]:
    print(f"  {share[name]:5.2f}  {count[name]:3d}  {code[name]:5d}  {name}")

print("\nimports that cost most (what the average would lose without the one):")
direct = library.graph.find_modules_directly_imported_by
edges = [(a, b) for a in lines for b in direct(a) if not a.startswith(f"{b}.")]
gains = {edge: saved(*edge) for edge in edges}
for (importer, imported), gain in sorted(gains.items(), key=lambda item: -item[1])[:SHOWN]:
    print(f"  {gain:5.2f}  {importer} -> {imported}")
