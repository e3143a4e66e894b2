"""This process's directories, listener, service name and addresses."""

from pathlib import Path

from config.settings.environment import env, refuse

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).resolve()

LISTENERS = ("public", "internal", "admin")
# The admin has all the apps, so manage.py and Celery run with it. A web process must name its listener (wsgi.py).
LISTENER = env.str("LISTENER", default="admin")
if LISTENER not in LISTENERS:
    raise refuse("LISTENER", f"must be one of {', '.join(LISTENERS)}.")

SERVICE_NAME = env.str("SERVICE_NAME")
PUBLIC_BASE_URL = env.str("PUBLIC_BASE_URL").rstrip("/")
FRONTEND_URL = env.str("FRONTEND_URL").rstrip("/")
