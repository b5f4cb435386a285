"""Renders templates to self-contained HTML pages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.report import plots
from pipeline.results import tables


def render(template: str, **given: Any) -> str:
    """Render a template of ``templates``; all that it is given is escaped unless the template marks it as a picture."""
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
    }
    environment.tests["nested"] = lambda value: isinstance(value, Mapping | list | tuple)
    environment.globals |= {"axis": plots.TIMELINE, "motion": plots.MOTION}
    return environment.get_template(template).render(**given)
