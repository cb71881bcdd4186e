"""Signing in with GitHub and Google, on SQLite in the folder ``instance``.

Run ``python app.py`` with ``BETTER_AUTH_GITHUB_CLIENT_ID``, ``BETTER_AUTH_GITHUB_CLIENT_SECRET`` and the same of
``GOOGLE`` in the environment; GitHub has to know ``http://127.0.0.1:5000/api/auth/callback/github``. Or run
``python app.py --demo``: a provider on this machine plays both, and nothing is needed. ``PORT`` and ``INSTANCE_PATH``
say where it listens and where it keeps its files.
"""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path

from flask import Flask, render_template

from flask_better_auth import BetterAuth, login_required

PORT = int(os.environ.get("PORT", "5000"))
INSTANCE = Path(os.environ.get("INSTANCE_PATH") or Path(__file__).with_name("instance")).resolve()
NAMES = {"github": "GitHub", "google": "Google"}

INSTANCE.mkdir(parents=True, exist_ok=True)
with suppress(FileExistsError), open(INSTANCE / "secret", "x", opener=lambda p, f: os.open(p, f, 0o600)) as file:
    file.write(secrets.token_urlsafe(32))  # made at the first start: the source holds none

app = Flask(__name__, instance_path=str(INSTANCE))
app.config.update(
    BETTER_AUTH_LOGIN_URL="/",
    BETTER_AUTH_URL=f"http://127.0.0.1:{PORT}",
    BETTER_AUTH_SECRET=(INSTANCE / "secret").read_text(),
)
app.config.update({key: value for key, value in os.environ.items() if key.startswith("BETTER_AUTH_")})

plugins = []
if "--demo" in sys.argv:
    from demo import providers

    plugins = [providers(NAMES)]
offered = {
    name: label for name, label in NAMES.items() if plugins or f"BETTER_AUTH_{name.upper()}_CLIENT_ID" in app.config
}
auth = BetterAuth(app, plugins=plugins)


@app.get("/")
def home() -> str:
    return render_template("home.html", offered=offered, names=NAMES)


@app.get("/profile")
@login_required
def profile() -> str:
    return render_template("profile.html", offered=offered, names=NAMES)


if __name__ == "__main__":
    print(f"Open {app.config['BETTER_AUTH_URL']} in a browser; Ctrl+C ends it.", flush=True)
    app.run("127.0.0.1", PORT, debug=False)
