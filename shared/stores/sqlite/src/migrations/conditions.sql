-- When and how a task is to be run is told with it, and no longer kept beside it.
UPDATE tasks SET record = json_set(record,
    '$.result.queue', coalesce(record ->> '$.header.queue', 'default'),
    '$.result.user', record ->> '$.header.user',
    '$.result.notification_id', record ->> '$.header.notification_id',
    '$.result.group', record ->> '$.header.group',
    '$.result.expires', record ->> '$.header.expires',
    '$.result.max_attempts', record ->> '$.header.max_attempts',
    '$.result.callback_url', record ->> '$.header.callback_url',
    '$.result.trace', record ->> '$.header.trace');
