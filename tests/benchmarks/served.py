"""The application that gunicorn serves while sign-ins storm it; its database is in ``BENCHMARK_DATABASE``."""

from __future__ import annotations

import os

from .site import add_bare_views, build

site = build(os.environ["BENCHMARK_DATABASE"], testing=True)  # every request comes from one address: no limits
add_bare_views(site.app, site)
app = site.app
