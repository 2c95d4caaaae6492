-- A database of version 0.1.0, as `errand` of 2026-11-30 left it: what is delayed is due in 2090, so that it is as it was whenever this is read.
BEGIN TRANSACTION;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL,
    attributes TEXT NOT NULL, -- JSON object: DeadLetter::attributes
    buried_at INTEGER NOT NULL -- milliseconds since 1970
, visible_at INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "dead_letters" VALUES(1,'{"task":"webhook","id":"refused-1","kwargs":{"url": "http://127.0.0.1:4555/v1/tasks"},"queue":"default","fingerprint":"a0a098c4b4ca12468f4798839dae2050"}','{"errand-attempts":"1","errand-id":"refused-1","errand-kind":"rejected","errand-queue":"default","errand-reason":"the receiver answered HTTP 400","errand-task":"webhook"}',1796068720306,0);
CREATE TABLE deduplications (
        queue TEXT NOT NULL,
        lane TEXT NOT NULL,
        id TEXT NOT NULL,
        message_id TEXT NOT NULL,
        place INTEGER NOT NULL, -- of the message of that id
        until INTEGER NOT NULL, -- milliseconds since 1970
        PRIMARY KEY (queue, lane, id)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE mail (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT UNIQUE, -- of the attempt that it is of
    task_id TEXT,
    received_at INTEGER NOT NULL, -- milliseconds since 1970
    recipients TEXT NOT NULL, -- addresses in small letters, a space before and after each
    head TEXT NOT NULL, -- Head as JSON
    words TEXT NOT NULL, -- what is searched, in small letters
    mail TEXT NOT NULL, -- Mail as JSON
    source BLOB
) STRICT;
INSERT INTO "mail" VALUES(1,'mail-1','mail-1',1796068720300,' ann@example.com ','{"from":"errand@localhost","to":["ann@example.com"],"subject":"Hello","files":0}','errand@localhost
ann@example.com

 ann@example.com 
hello
it works.','{"from":"errand@localhost","to":["ann@example.com"],"cc":[],"bcc":[],"reply_to":[],"subject":"Hello","text":"It works.","html":null,"headers":[],"attachments":[]}',NULL);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL,
    visible_at INTEGER NOT NULL, -- milliseconds since 1970
    receive_count INTEGER NOT NULL DEFAULT 0, -- also tells one receipt from the next
    in_flight INTEGER NOT NULL DEFAULT 0 -- 1 from a receipt until it is hidden on purpose
, queue TEXT NOT NULL DEFAULT 'default', lane TEXT, attributes TEXT NOT NULL DEFAULT '{}', message_id TEXT, deduplication_id TEXT, sent_at INTEGER NOT NULL DEFAULT 0, first_received_at INTEGER) STRICT;
INSERT INTO "messages" VALUES(4,'{"task":"console","id":"later-1","kwargs":{"text": "later"},"queue":"default","run_after":"2090-01-01T00:00:00.000Z","expires":"2090-01-02T00:00:00.000Z","max_attempts":3,"callback_url":"https://example.com/done","group":"g","fingerprint":"d6937d474510e96eba061a7d49702b98"}',3786912000000,0,0,'default',NULL,'{}',NULL,NULL,1796068720303,NULL);
INSERT INTO "messages" VALUES(5,'{"task":"console","id":"slow-1","kwargs":{"text": "slow"},"queue":"slow","run_after":"2090-01-01T00:00:00.000Z","fingerprint":"6e3e1aefa2ad6d80539e5f34e9ba4a13"}',3786912000000,0,0,'slow',NULL,'{}',NULL,NULL,1796068720307,NULL);
INSERT INTO "messages" VALUES(6,'{"task":"console","id":"order-1","kwargs":{"text": "1"},"queue":"orders.fifo","run_after":"2090-01-01T00:00:00.000Z","group":"a","fingerprint":"dcc6c5280cd1a12c76c8f23b96fffa18"}',1796111020311,1,0,'orders.fifo','a','{}',NULL,NULL,1796068720310,1796068720311);
INSERT INTO "messages" VALUES(7,'{"task":"console","id":"order-2","kwargs":{"text": "2"},"queue":"orders.fifo","group":"a","fingerprint":"ad9151f8827f776ddbc2f35d75877d99"}',9223372036854775807,0,0,'orders.fifo','a','{}',NULL,NULL,1796068720312,NULL);
INSERT INTO "messages" VALUES(8,'{"task":"console","id":"cancelled-1","queue":"default","run_after":"2090-01-01T00:00:00.000Z","fingerprint":"33dd6e858fe3bcaa0aa8b9c4436d41a3"}',3786912000000,0,0,'default',NULL,'{}',NULL,NULL,1796068720314,NULL);
INSERT INTO "messages" VALUES(9,'{"task":"webhook","id":"bulk-1","kwargs":[{"url": "http://127.0.0.1:9/"}, {"url": "http://127.0.0.1:4555/v1/tasks"}, {"url": "http://127.0.0.1:9/"}],"queue":"default","context":{"bulk": true},"fingerprint":"68986dbbca676012038fd16f48fd3461"}',1796070884774,1,0,'default',NULL,'{}',NULL,NULL,1796068720318,1796068720318);
CREATE TABLE notes (
        kind TEXT NOT NULL, -- errand_core::NoteKind
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        until INTEGER, -- milliseconds since 1970
        PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "notes" VALUES('call','bfaa9e05c4dd062e27756e63f2c665bc2db2db4a4c5d2a2fcfc61d7891bcc5b3','{"fingerprint":"911017fdefe7fe797fadef870d37826743b3683376f8a2f282d36015e7812ef6","status":202,"location":"/v1/tasks/once%2D1","parts":0}
{"id":"once-1","task":"console","status":"READY","enqueued_at":"2026-11-30T19:58:40.328Z","started_at":null,"finished_at":null,"last_attempted_at":null,"run_after":null,"args":[],"kwargs":{},"backend":"local","sender":"native","errors":[],"worker_ids":[],"return_value":null,"attempts":0,"queue":"default","user":null,"notification_id":null,"group":null,"expires":null,"max_attempts":null,"next_attempt_at":null,"callback_url":null,"trace":null}',3786912000000);
INSERT INTO "notes" VALUES('key','685cfb8f8d824377f9432084f213c4e1e50e2e8b054b9731ba8233e3fc691b76','{"name":"shop","scopes":["send","read"],"expires":null,"rate":null}',NULL);
INSERT INTO "notes" VALUES('template','shipped','{"channels":{"email":{"body":"On its way.","subject":"Order {{ order.id }}"}},"locales":{}}',NULL);
CREATE TABLE parts (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "parts" VALUES('mail',2);
INSERT INTO "parts" VALUES('schedules',1);
CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    entry TEXT NOT NULL, -- JSON: Entry
    next_at INTEGER -- milliseconds since 1970; null while it is paused, or when it never runs again
) STRICT;
INSERT INTO "schedules" VALUES('digest','{"cron":"0 9 * * mon-fri","rate":null,"timezone":"Europe/Berlin","paused":true,"made_at":"2026-11-30T19:58:40.000Z","envelope":"{\"task\":\"console\",\"id\":\"digest\",\"kwargs\":{\"text\": \"Good morning\"},\"queue\":\"default\"}"}',NULL);
INSERT INTO "schedules" VALUES('pulse','{"cron":null,"rate":"5 minutes","timezone":"UTC","paused":true,"made_at":"2026-11-30T19:58:40.000Z","envelope":"{\"task\":\"console\",\"id\":\"pulse\",\"queue\":\"default\"}"}',NULL);
CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    position TEXT NOT NULL UNIQUE, -- errand_core::position: the newest last
    task TEXT NOT NULL,
    status TEXT NOT NULL,
    changed_at INTEGER NOT NULL, -- milliseconds since 1970
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "tasks" VALUES('bulk-1','2026-11-30T19:58:40.317Z#bulk-1','webhook','READY',1796068720323,'{"result":{"id":"bulk-1","task":"webhook","status":"READY","enqueued_at":"2026-11-30T19:58:40.317Z","started_at":"2026-11-30T19:58:40.320Z","finished_at":null,"last_attempted_at":"2026-11-30T19:58:40.320Z","run_after":null,"args":[],"kwargs":[{"url": "http://127.0.0.1:9/"}, {"url": "http://127.0.0.1:4555/v1/tasks"}, {"url": "http://127.0.0.1:9/"}],"backend":"local","sender":"native","errors":[{"exception_class_path":"errand.unavailable","traceback":"3 of 3 payloads are not delivered (0-2); payload 0: no connection to 127.0.0.1:9 could be made: it was refused"}],"worker_ids":["local-32548"],"return_value":null,"attempts":1,"queue":"default","user":null,"notification_id":null,"group":null,"expires":null,"max_attempts":null,"next_attempt_at":"2026-11-30T20:34:44.774Z","callback_url":null,"trace":null},"lease_until":"2026-11-30T19:59:15.320Z","progress":{"refused":"1","refusal":{"kind":"rejected","message":"payload 1: the receiver answered HTTP 400"}},"spared":0,"header":{"context":{"bulk": true},"fingerprint":"68986dbbca676012038fd16f48fd3461"},"token":null}');
INSERT INTO "tasks" VALUES('cancelled-1','2026-11-30T19:58:40.313Z#cancelled-1','console','CANCELLED',1796068720315,'{"result":{"id":"cancelled-1","task":"console","status":"CANCELLED","enqueued_at":"2026-11-30T19:58:40.313Z","started_at":null,"finished_at":"2026-11-30T19:58:40.315Z","last_attempted_at":null,"run_after":"2090-01-01T00:00:00.000Z","args":[],"kwargs":{},"backend":"local","sender":"native","errors":[],"worker_ids":[],"return_value":null,"attempts":0,"queue":"default","user":null,"notification_id":null,"group":null,"expires":null,"max_attempts":null,"next_attempt_at":null,"callback_url":null,"trace":null},"lease_until":"2026-11-30T19:58:40.313Z","spared":0,"header":{"fingerprint":"33dd6e858fe3bcaa0aa8b9c4436d41a3"},"token":null}');
INSERT INTO "tasks" VALUES('done-1','2026-11-30T19:58:40.291Z#done-1','console','SUCCESSFUL',1796068720296,'{"result":{"id":"done-1","task":"console","status":"SUCCESSFUL","enqueued_at":"2026-11-30T19:58:40.291Z","started_at":"2026-11-30T19:58:40.295Z","finished_at":"2026-11-30T19:58:40.296Z","last_attempted_at":"2026-11-30T19:58:40.295Z","run_after":null,"args":[],"kwargs":{"text":"Hello","n":12345678901234567890123},"backend":"local","sender":"native","errors":[],"worker_ids":["local-32548"],"return_value":null,"attempts":1,"queue":"default","user":"ann","notification_id":"n-1","group":null,"expires":null,"max_attempts":null,"next_attempt_at":null,"callback_url":null,"trace":null},"lease_until":"2026-11-30T19:59:15.295Z","spared":0,"header":{"context":{"k":1e400},"fingerprint":"ac700a97bec18f9df7731dd6cb3f6c3b"},"token":null}');
INSERT INTO "tasks" VALUES('later-1','2026-11-30T19:58:40.302Z#later-1','console','SCHEDULED',1796068720302,'{"result":{"id":"later-1","task":"console","status":"SCHEDULED","enqueued_at":"2026-11-30T19:58:40.302Z","started_at":null,"finished_at":null,"last_attempted_at":null,"run_after":"2090-01-01T00:00:00.000Z","args":[],"kwargs":{"text": "later"},"backend":"local","sender":"native","errors":[],"worker_ids":[],"return_value":null,"attempts":0,"queue":"default","user":null,"notification_id":null,"group":"g","expires":"2090-01-02T00:00:00.000Z","max_attempts":3,"next_attempt_at":null,"callback_url":"https://example.com/done","trace":null},"lease_until":"2026-11-30T19:58:40.302Z","spared":0,"header":{"fingerprint":"d6937d474510e96eba061a7d49702b98"},"token":null}');
INSERT INTO "tasks" VALUES('mail-1','2026-11-30T19:58:40.295Z#mail-1','email','SUCCESSFUL',1796068720302,'{"result":{"id":"mail-1","task":"email","status":"SUCCESSFUL","enqueued_at":"2026-11-30T19:58:40.295Z","started_at":"2026-11-30T19:58:40.299Z","finished_at":"2026-11-30T19:58:40.302Z","last_attempted_at":"2026-11-30T19:58:40.299Z","run_after":null,"args":[],"kwargs":{"to": ["ann@example.com"], "subject": "Hello", "body": "It works."},"backend":"local","sender":"native","errors":[],"worker_ids":["local-32548"],"return_value":{"message_id":"1"},"attempts":1,"queue":"default","user":null,"notification_id":null,"group":null,"expires":null,"max_attempts":null,"next_attempt_at":null,"callback_url":null,"trace":null},"lease_until":"2026-11-30T19:59:15.299Z","spared":0,"header":{"fingerprint":"7441616736d88822320a7ef1d269c0cf"},"token":null}');
INSERT INTO "tasks" VALUES('once-1','2026-11-30T19:58:40.328Z#once-1','console','SUCCESSFUL',1796068720331,'{"result":{"id":"once-1","task":"console","status":"SUCCESSFUL","enqueued_at":"2026-11-30T19:58:40.328Z","started_at":"2026-11-30T19:58:40.331Z","finished_at":"2026-11-30T19:58:40.331Z","last_attempted_at":"2026-11-30T19:58:40.331Z","run_after":null,"args":[],"kwargs":{},"backend":"local","sender":"native","errors":[],"worker_ids":["local-32548"],"return_value":null,"attempts":1,"queue":"default","user":null,"notification_id":null,"group":null,"expires":null,"max_attempts":null,"next_attempt_at":null,"callback_url":null,"trace":null},"lease_until":"2026-11-30T19:59:15.331Z","spared":0,"header":{"fingerprint":"33dd6e858fe3bcaa0aa8b9c4436d41a3"},"token":null}');
INSERT INTO "tasks" VALUES('order-1','2026-11-30T19:58:40.309Z#order-1','console','SCHEDULED',1796068720309,'{"result":{"id":"order-1","task":"console","status":"SCHEDULED","enqueued_at":"2026-11-30T19:58:40.309Z","started_at":null,"finished_at":null,"last_attempted_at":null,"run_after":"2090-01-01T00:00:00.000Z","args":[],"kwargs":{"text": "1"},"backend":"local","sender":"native","errors":[],"worker_ids":[],"return_value":null,"attempts":0,"queue":"orders.fifo","user":null,"notification_id":null,"group":"a","expires":null,"max_attempts":null,"next_attempt_at":null,"callback_url":null,"trace":null},"lease_until":"2026-11-30T19:58:40.309Z","spared":0,"header":{"fingerprint":"dcc6c5280cd1a12c76c8f23b96fffa18"},"token":null}');
INSERT INTO "tasks" VALUES('order-2','2026-11-30T19:58:40.311Z#order-2','console','READY',1796068720311,'{"result":{"id":"order-2","task":"console","status":"READY","enqueued_at":"2026-11-30T19:58:40.311Z","started_at":null,"finished_at":null,"last_attempted_at":null,"run_after":null,"args":[],"kwargs":{"text": "2"},"backend":"local","sender":"native","errors":[],"worker_ids":[],"return_value":null,"attempts":0,"queue":"orders.fifo","user":null,"notification_id":null,"group":"a","expires":null,"max_attempts":null,"next_attempt_at":null,"callback_url":null,"trace":null},"lease_until":"2026-11-30T19:58:40.311Z","spared":0,"header":{"fingerprint":"ad9151f8827f776ddbc2f35d75877d99"},"token":null}');
INSERT INTO "tasks" VALUES('refused-1','2026-11-30T19:58:40.298Z#refused-1','webhook','FAILED',1796068720307,'{"result":{"id":"refused-1","task":"webhook","status":"FAILED","enqueued_at":"2026-11-30T19:58:40.298Z","started_at":"2026-11-30T19:58:40.302Z","finished_at":"2026-11-30T19:58:40.307Z","last_attempted_at":"2026-11-30T19:58:40.302Z","run_after":null,"args":[],"kwargs":{"url": "http://127.0.0.1:4555/v1/tasks"},"backend":"local","sender":"native","errors":[{"exception_class_path":"errand.rejected","traceback":"the receiver answered HTTP 400"}],"worker_ids":["local-32548"],"return_value":null,"attempts":1,"queue":"default","user":null,"notification_id":null,"group":null,"expires":null,"max_attempts":null,"next_attempt_at":null,"callback_url":null,"trace":null},"lease_until":"2026-11-30T19:59:15.302Z","spared":0,"header":{"fingerprint":"a0a098c4b4ca12468f4798839dae2050"},"token":null}');
INSERT INTO "tasks" VALUES('slow-1','2026-11-30T19:58:40.307Z#slow-1','console','SCHEDULED',1796068720307,'{"result":{"id":"slow-1","task":"console","status":"SCHEDULED","enqueued_at":"2026-11-30T19:58:40.307Z","started_at":null,"finished_at":null,"last_attempted_at":null,"run_after":"2090-01-01T00:00:00.000Z","args":[],"kwargs":{"text": "slow"},"backend":"local","sender":"native","errors":[],"worker_ids":[],"return_value":null,"attempts":0,"queue":"slow","user":null,"notification_id":null,"group":null,"expires":null,"max_attempts":null,"next_attempt_at":null,"callback_url":null,"trace":null},"lease_until":"2026-11-30T19:58:40.307Z","spared":0,"header":{"fingerprint":"6e3e1aefa2ad6d80539e5f34e9ba4a13"},"token":null}');
CREATE TABLE written (at INTEGER NOT NULL) STRICT;
INSERT INTO "written" VALUES(0);
CREATE INDEX tasks_by_status ON tasks (status, position);
CREATE INDEX tasks_by_task ON tasks (task, position);
CREATE INDEX messages_by_visible_at ON messages (queue, visible_at, id);
CREATE INDEX messages_by_lane ON messages (queue, lane, id) WHERE lane IS NOT NULL;
CREATE INDEX deduplications_by_until ON deduplications (until);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('mail',1);
INSERT INTO "sqlite_sequence" VALUES('messages',10);
INSERT INTO "sqlite_sequence" VALUES('dead_letters',1);
COMMIT;
PRAGMA user_version = 7;
