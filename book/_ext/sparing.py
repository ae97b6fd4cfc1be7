"""Sphinx extension: what Sphinx and its extensions do again for each page is done once.

A page is the same with and without it; only time is saved. Everything here replaces a function by
one that gives the same answer, and where a later version has no such function, by nothing: the
build is then as slow as it would be without.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Mapping
from typing import Any

import pybtex.plugin
import sphinx.builders.html
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.search.en import SearchEnglish


def replace(owner: Any, name: str, made: Any) -> None:
    """Replace a function by what is made of it, where there is one."""
    if (original := getattr(owner, name, None)) and not hasattr(original, "w2s_original"):
        replaced = made(original)
        replaced.w2s_original = original
        setattr(owner, name, replaced)


class Outline:
    """An environment whose tables of contents have no sections within pages."""

    def __init__(self, env: BuildEnvironment, tocs: Mapping[str, nodes.bullet_list]):
        self._env, self.tocs = env, tocs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)


def outlined(toc: nodes.bullet_list) -> nodes.bullet_list:
    """Return a table of contents without the sections of its page, as a list of titles wants it."""
    toc = toc.deepcopy()
    for item in toc.children:
        if len(item) > 1:
            if below := list(item.findall(addnodes.toctree)):
                item[1][:] = below
            else:
                item.pop(1)
    return toc


def short_navigation(resolve: Any) -> Any:
    """Let the navigation of a page copy the titles of all pages, not all their sections too.

    Sphinx copies the sections of every page for every page, and then throws them away.
    """
    outlines: dict[BuildEnvironment, dict[str, nodes.bullet_list]] = {}

    def resolved(env: BuildEnvironment, docname: str, builder: Any, **options: Any) -> Any:
        if not options.get("titles_only"):
            return resolve(env, docname, builder, **options)
        if env not in outlines:
            whole = any(
                "tocdepth" in env.metadata[name] or any(toc.findall(addnodes.only))
                for name, toc in env.tocs.items()
            )
            outlines[env] = (
                env.tocs if whole else {name: outlined(toc) for name, toc in env.tocs.items()}
            )
        return resolve(Outline(env, outlines[env]), docname, builder, **options)

    return resolved


def keep_doctrees(app: Sphinx, *_: object) -> None:
    """Keep the doctrees in which numbers of figures are looked up; Sphinx unpickles one each time.

    One that is resolved, and so changed, is a fresh one.
    """
    env = app.env
    fresh, resolve = env.get_doctree, env.get_and_resolve_doctree

    def resolve_fresh(docname: str, builder: Any, doctree: Any = None, *a: Any, **k: Any) -> Any:
        return resolve(docname, builder, doctree or fresh(docname), *a, **k)

    env.get_doctree = functools.cache(fresh)
    env.get_and_resolve_doctree = resolve_fresh


def look_for_garbage_again(app: Sphinx, exception: Exception | None) -> None:
    """Do so among what comes after the build: the process ends, and all goes with it."""
    gc.freeze()
    gc.enable()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    # A build makes millions of nodes that stay until its end: looking for garbage among them is
    # a fifth of its time.
    gc.disable()
    app.connect("build-finished", look_for_garbage_again)
    # Each citation looks through the entry points of all that is installed.
    replace(pybtex.plugin, "_load_entry_point", functools.cache)
    # Each page reduces its words to their stems anew.
    replace(SearchEnglish, "stem", functools.cache)
    replace(sphinx.builders.html, "global_toctree_for_doc", short_navigation)
    app.connect("write-started", keep_doctrees)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
