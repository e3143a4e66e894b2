"""Names the process: its directories, listener, service name and addresses."""

from pathlib import Path

from config.settings.environment import env, refuse

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).resolve()

LISTENERS = ("public", "internal", "admin")
# The admin's apps are the complete set: so it is what manage.py and Celery run with. A web process must say (wsgi.py).
LISTENER = env.str("LISTENER", default="admin")
if LISTENER not in LISTENERS:
    raise refuse("LISTENER", f"must be one of {', '.join(LISTENERS)}.")

SERVICE_NAME = env.str("SERVICE_NAME")
PUBLIC_BASE_URL = env.str("PUBLIC_BASE_URL").rstrip("/")
FRONTEND_URL = env.str("FRONTEND_URL").rstrip("/")
