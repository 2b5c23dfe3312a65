"""Renders a report's template to one HTML page. Values are escaped; figures come as `Markup` from `trainer.report`."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, filters: Mapping[str, Callable[..., str]], **values: Any) -> str:  # noqa: ANN401 - any type
    """Return the page of `trainer/report/templates/<template>`; a value that the template names and lacks is an error.

    `filters` turn values into text in the template.
    """
    environment = Environment(
        loader=PackageLoader("trainer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(template).render(**values)
