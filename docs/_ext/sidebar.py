"""Sidebar of the site: a group for each kind of reader, whose first page has the others below it."""

from collections.abc import Iterable

from sphinx.application import Sphinx

GROUPS = {
    "Track": (
        "track", "start", "tutorials/track", "gallery", "howto/prompts", "howto/correct", "howto/sources",
        "howto/many_videos", "howto/long_videos", "howto/gpu", "howto/demo", "models", "trackers", "speed",
        "tutorials/embed", "howto/export",
    ),
    "Research": (
        "research", "concepts/frame", "concepts/training", "concepts", "concepts/identities", "concepts/run",
        "tutorials/benchmark", "howto/benchmarks", "howto/compare", "howto/reproduce", "vot", "howto/train",
        "tutorials/finetune", "howto/plugins", "tutorials/policy", "tutorials/block", "tutorials/model",
        "tutorials/tracker", "howto/hooks", "howto/inspect", "migrate",
    ),
    "Annotate": (
        "tutorials/annotate", "tutorials/batch", "annotate", "howto/integrations", "reference/studio",
        "reference/http",
    ),
    "Film": ("howto/compositing", "reference/film"),
    "Reference": (
        "reference/commands", "reference/api", "reference/settings", "formats", "reference/results", "reference/lists",
        "reference/exit_codes", "robustness", "reference/exports", "reference/graphs", "changelog",
    ),
}  # fmt: skip
"""Pages of each group, the first one first."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the groups with Sphinx."""
    app.connect("source-read", add_pages)
    return {"parallel_read_safe": True}


def add_pages(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the groups to the start page, and the other pages of its group to a first page."""
    if page == app.config.root_doc:
        source[0] += list_pages(f"{title} </{pages[0]}>" for title, pages in GROUPS.items())
    for first, *others in GROUPS.values():
        if page == first:
            source[0] += list_pages(f"/{other}" for other in others)


def list_pages(entries: Iterable[str]) -> str:
    """Return a hidden table of contents."""
    return "\n".join(["", "```{toctree}", ":hidden:", "", *entries, "```", ""])
