"""The smallest real application: sign up, sign in and a page for signed-in users, on SQLite in the folder ``instance``.

Run ``python app.py``. ``PORT`` and ``INSTANCE_PATH`` say where it listens and where it keeps its files; every
``BETTER_AUTH_*`` variable of the environment is a setting.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from flask import Flask, render_template

from flask_better_auth import BetterAuth, login_required

PORT = int(os.environ.get("PORT", "5000"))
INSTANCE = Path(os.environ.get("INSTANCE_PATH") or Path(__file__).with_name("instance")).resolve()


def kept_secret(folder: Path) -> str:
    """The secret of this machine, made at the first start: sessions outlive a restart, and the source holds none."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "secret"
    with suppress(FileExistsError), open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(secrets.token_urlsafe(32))
    return path.read_text()


app = Flask(__name__, instance_path=str(INSTANCE))
app.config["BETTER_AUTH_LOGIN_URL"] = "/"
app.config.update({key: value for key, value in os.environ.items() if key.startswith("BETTER_AUTH_")})
if "BETTER_AUTH_URL" not in app.config:
    app.config["BETTER_AUTH_URL"] = f"http://127.0.0.1:{PORT}"
    app.config.setdefault("BETTER_AUTH_TRUSTED_ORIGINS", f"http://localhost:{PORT}")  # people type this one, too
if "BETTER_AUTH_SECRET" not in app.config:
    app.config["BETTER_AUTH_SECRET"] = kept_secret(INSTANCE)
auth = BetterAuth(app)


@app.get("/")
def home() -> str:
    return render_template("home.html")


@app.get("/profile")
@login_required
def profile() -> str:
    return render_template("profile.html")


if __name__ == "__main__":
    print(f"Open {app.config['BETTER_AUTH_URL']} in a browser; Ctrl+C ends it.", flush=True)
    app.run("127.0.0.1", PORT, debug=False)
