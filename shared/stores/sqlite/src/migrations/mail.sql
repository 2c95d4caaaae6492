-- The caught mails, with what lists and searches read before what is read of one alone. Ids are used once.
ALTER TABLE mail RENAME TO old_mail;
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
INSERT INTO mail (id, key, received_at, recipients, head, words, mail)
SELECT
    id,
    key,
    received_at,
    lower(' ' || replace(replace(list, '<', ' '), '>', ' ') || ' '),
    json_object('from', mail ->> 'from', 'to', mail -> 'to', 'subject', mail ->> 'subject', 'files', json_array_length(mail, '$.attachments')),
    lower((mail ->> 'from') || ' ' || list || ' ' || (mail ->> 'subject') || ' ' || coalesce(mail ->> 'text', mail ->> 'html', '')),
    mail
FROM (
    SELECT
        *,
        (SELECT coalesce(group_concat(atom, ' '), '') FROM json_tree(mail) WHERE path IN ('$.to', '$.cc', '$.bcc') AND atom IS NOT NULL) AS list
    FROM old_mail
);
DROP TABLE old_mail;
