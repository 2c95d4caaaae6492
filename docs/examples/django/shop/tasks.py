try:
    from django.tasks import task
except ImportError:
    from django_tasks import task


@task
def add(a, b):
    return a + b


@task
async def add_async(a, b):
    return a + b


@task
def fail():
    raise ValueError("this task always fails")


@task(takes_context=True)
def attempt(context):
    return context.attempt
