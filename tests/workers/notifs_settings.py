"""Settings of a Django site whose workers of RQ are django-notifs' own. Its own provider notes what it is to send, as rq_tasks does."""

import os

DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "notifications"]
RQ_QUEUES = {"django_notifs": {"URL": os.environ.get("TEST_REDIS", "redis://127.0.0.1:1/0")}}
SECRET_KEY = "of the tests"
USE_TZ = True
