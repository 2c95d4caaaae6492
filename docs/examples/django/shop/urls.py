from django.urls import path

from errand_worker import run_task

urlpatterns = [path("errand/tasks", run_task)]
