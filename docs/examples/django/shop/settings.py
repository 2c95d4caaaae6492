"""The least that a project needs to send tasks to Errand and to run them."""

import os
from importlib.util import find_spec

from django.core.management.utils import get_random_secret_key

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or get_random_secret_key()
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = [] if find_spec("django.tasks") else ["django_tasks"]
MIDDLEWARE = []
USE_TZ = True

# Errand posts tasks of up to 4 MiB; Django takes 2.5 MiB when not told.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

TASKS = {
    "default": {
        "BACKEND": "errand_backend.ErrandBackend",
        "OPTIONS": {
            "url": os.environ.get("ERRAND_URL", "http://127.0.0.1:3000"),
            "key": os.environ.get("ERRAND_API_KEY"),
            "timeout": 10,
        },
    }
}
ERRAND_HTTP_SECRET = os.environ.get("ERRAND_HTTP_SECRET", "")
