"""A Django site whose worker is django-notifs' own: it prints what its console provider is to send.

channels_site.py REDIS_URL PREFIX"""

import sys

import django
from django.conf import settings

url, prefix = sys.argv[1:]
layer = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [url], "prefix": prefix}}
settings.configure(
    ASGI_APPLICATION="__main__.application",
    CHANNEL_LAYERS={"default": layer, "django_notifs": layer},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "channels", "notifications"],
    SECRET_KEY="of the tests",
    USE_TZ=True,
)
django.setup()

from channels.routing import ChannelNameRouter, ProtocolTypeRouter  # noqa: E402
from django.core.management import call_command  # noqa: E402
from notifications.consumers import DjangoNotifsConsumer  # noqa: E402

application = ProtocolTypeRouter({"channel": ChannelNameRouter({"django_notifs": DjangoNotifsConsumer.as_asgi()})})
print("ready", flush=True)
call_command("runworker", "django_notifs")
