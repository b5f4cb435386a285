"""Renders templates to self-contained HTML pages."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.report import plots
from pipeline.results import tables

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **given: Any) -> str:
    """Render a template of ``templates``; all that it is given is escaped unless the template marks it as a picture."""
    return _environment().get_template(template).render(**given)


@cache
def _environment() -> "Environment":
    """Return what holds the templates, once they are compiled: that takes longer than to render them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plus_minus": tables.plus_minus,
        "percent": tables.shown,
        "signed": tables.signed,
        "picture": Markup,
        "styles": plots.styles,
        "detection_plots": lambda found, title: plots.detection("detection", title, found),
    }
    environment.tests["nested"] = lambda value: isinstance(value, Mapping | list | tuple)
    environment.globals |= {"axis": plots.TIMELINE, "motion": plots.MOTION}
    return environment
