//! E-mail.

pub mod address;
pub mod mime;
mod ses;

use errand_core::{Aliases, Fields, Payload, Place, Text, from_base64, segment};
use serde_json::Value;

pub use ses::{KEY_TAG, SES, within_ses};

/// Headers that fields of the payload or the service itself set.
const OWN_HEADERS: [&str; 10] = ["from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version", "content-type"];

/// What task `email` takes. The names are those of Django's `EmailMessage` and of django-notifs.
#[derive(Clone)]
pub struct Email {
    /// The subject.
    pub subject: String,
    /// The text form.
    pub body: Option<String>,
    /// The HTML form.
    pub html: Option<String>,
    /// The sender; the operator's default when not said.
    pub from_email: Option<String>,
    /// Recipients.
    pub to: Vec<String>,
    /// Recipients of a copy.
    pub cc: Vec<String>,
    /// Recipients of a copy that the others do not see.
    pub bcc: Vec<String>,
    /// Where answers are to go.
    pub reply_to: Vec<String>,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// SES message tags.
    pub tags: Vec<(String, String)>,
    /// SES configuration set; the operator's default when not said.
    pub configuration_set: Option<String>,
}

/// What others call the fields of an [`Attachment`].
const ATTACHMENT_ALIASES: Aliases = &[("content_type", "mimetype"), ("type", "mimetype"), ("name", "filename")];

/// A file in an [`Email`]: `{"filename", "content", "mimetype"}` with the content in base64, or Django's `[filename, content, mimetype]`.
#[derive(Clone)]
pub struct Attachment {
    /// Its name.
    pub filename: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Its media type.
    pub mimetype: String,
    /// Names it for `cid:` links of the HTML; it is then shown inline.
    pub content_id: Option<String>,
}

impl Payload for Email {
    const SCHEMA: &'static str = include_str!("schema.json");
    const NOTIFICATION: &'static str =
        r#"{"subject": "{{ short_description }}", "body": "{{ short_description }}{% if url is defined %}\n\n{{ url }}{% endif %}"}"#;
    // Of mail services, and of Django's `send_mail`.
    const ALIASES: Aliases =
        &[("text", "body"), ("message", "body"), ("html_message", "html"), ("from", "from_email"), ("recipient_list", "to")];

    /// The body's kind is what the payload says it is; one that cannot be told yet, or is none, is taken for HTML. All else is of a header or of a name,
    /// but for what is in a file.
    fn text(place: &Place<'_>) -> Text {
        match place.path {
            ["html"] => Text::Html,
            ["body"] => {
                let says = |name| place.payload.get(name).filter(|value: &&Value| !value.is_null());
                let plain = says("content_subtype").is_none_or(|subtype| subtype == "plain") || says("html").is_some();
                if plain { Text::Plain } else { Text::Html }
            }
            ["attachments"] | ["attachments", "content"] => Text::Plain,
            _ => Text::Line,
        }
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let subject = fields.required::<String>("subject");
        if subject.as_ref().is_some_and(|subject| subject.chars().any(char::is_control)) {
            fields.refuse("subject", "expected one line without control characters");
        }
        let (body, html) = bodies(fields);
        let from_email = one_address(fields, "from_email");
        let [to, cc, bcc, reply_to] = ["to", "cc", "bcc", "reply_to"].map(|name| addresses(fields, name));
        // What is there and no address is refused already.
        let none = |name| fields.raw(name).is_none_or(|raw| serde_json::from_str::<[(); 0]>(raw.get()).is_ok());
        if [&to, &cc, &bcc].iter().all(|list| list.is_empty()) && ["to", "cc", "bcc"].into_iter().all(none) {
            fields.refuse("to", "is required: at least one address, here or in cc or bcc");
        }
        Some(Self {
            subject: subject.unwrap_or_default(),
            body,
            html,
            from_email,
            to,
            cc,
            bcc,
            reply_to,
            headers: headers(fields),
            attachments: attachments(fields),
            tags: tags(fields),
            configuration_set: fields.text("configuration_set", name),
        })
    }
}

/// The text and the HTML form; Django's `content_subtype` says which of them `body` is.
fn bodies(fields: &mut Fields<'_>) -> (Option<String>, Option<String>) {
    let (body, html) = (fields.optional::<String>("body"), fields.optional::<String>("html"));
    if fields.raw("body").is_none() && fields.raw("html").is_none() {
        fields.refuse("body", "is required, or html");
    }
    match fields.optional::<String>("content_subtype").as_deref() {
        Some("html") if html.is_none() => (None, body),
        Some("html" | "plain") | None => (body, html),
        Some(_) => {
            fields.refuse("content_subtype", "expected plain or html");
            (body, html)
        }
    }
}

/// A list of addresses, or one.
fn addresses(fields: &mut Fields<'_>, name: &'static str) -> Vec<String> {
    if fields.raw(name).is_some_and(|raw| raw.get().starts_with('"')) {
        return one_address(fields, name).into_iter().collect();
    }
    let list: Vec<Value> = fields.list(name);
    let read = |(place, address): (usize, &Value)| {
        let address = address.as_str().ok_or("a string with an e-mail address").and_then(address::read);
        address.unwrap_or_else(|expected| {
            fields.refuse(&format!("{name}/{place}"), format!("expected {expected}"));
            String::new()
        })
    };
    list.iter().enumerate().map(read).collect()
}

/// One address.
fn one_address(fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
    let text: String = fields.optional(name)?;
    address::read(&text).map_err(|expected| fields.refuse(name, format!("expected {expected}"))).ok()
}

/// `headers`, and `extra_headers` as Django's mails name them.
fn headers(fields: &mut Fields<'_>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for field in ["headers", "extra_headers"] {
        for (header, value) in fields.texts(field) {
            if let Err(expected) = check_header(&header, &value) {
                fields.refuse(&format!("{field}/{}", segment(&header)), format!("expected {expected}"));
            }
            headers.push((header, value));
        }
    }
    headers
}

fn check_header(name: &str, value: &str) -> Result<(), &'static str> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return Err("a header's name of visible ASCII characters without a colon");
    }
    if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("no header that a field of the payload or the service sets");
    }
    if value.is_empty() || value.chars().any(char::is_control) {
        return Err("a header's value of printable characters");
    }
    mime::header(name, value).map(drop)
}

/// `tags` as an object, or as SES has it: `[{"name", "value"}]`.
fn tags(fields: &mut Fields<'_>) -> Vec<(String, String)> {
    let tags: Vec<(String, String)> = if fields.raw("tags").is_some_and(|raw| raw.get().starts_with('[')) {
        fields.objects("tags", |tag| {
            let (name, value) = (tag.required("name"), tag.required("value"));
            Some((name?, value?))
        })
    } else {
        fields.texts("tags").into_iter().collect()
    };
    if tags.iter().any(|(tag, value)| name(tag).is_err() || name(value).is_err()) {
        fields.refuse("tags", "expected names and values of 1 to 256 of the characters A-Z a-z 0-9 _ -");
    }
    tags
}

/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html>
fn name(text: &str) -> Result<(), &'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if (1..=256).contains(&text.len()) && text.bytes().all(allowed) { Ok(()) } else { Err("1 to 256 of the characters A-Z a-z 0-9 _ -") }
}

fn attachments(fields: &mut Fields<'_>) -> Vec<Attachment> {
    let tuples = fields.raw("attachments").is_some_and(|raw| raw.get()[1..].trim_start().starts_with('['));
    if !tuples {
        return fields.objects("attachments", |file| {
            file.aliases(ATTACHMENT_ALIASES);
            let (filename, content) = (file.required_text("filename", file_name), file.required::<String>("content"));
            let (mimetype, content_id) = (file.text("mimetype", media_type), file.text("content_id", content_id));
            let bytes = content.and_then(|content| {
                from_base64(&content).or_else(|| {
                    file.refuse("content", "expected base64");
                    None
                })
            });
            Some(attachment(filename?, bytes?, mimetype, content_id))
        });
    }
    let list = fields.list::<Value>("attachments").into_iter().enumerate();
    let mut refuse = |place, expected| fields.refuse(&format!("attachments/{place}"), format!("expected {expected}"));
    list.filter_map(|(place, file)| tuple(&file).map_err(|expected| refuse(place, expected)).ok()).collect()
}

/// Django's `(filename, content, mimetype)`, of which the last may be left out.
fn tuple(file: &Value) -> Result<Attachment, &'static str> {
    let (filename, content, mimetype) = match file.as_array().map(Vec::as_slice) {
        Some([Value::String(filename), Value::String(content)] | [Value::String(filename), Value::String(content), Value::Null]) => {
            (filename, content, None)
        }
        Some([Value::String(filename), Value::String(content), Value::String(mimetype)]) => (filename, content, Some(mimetype)),
        _ => return Err("[filename, content, mimetype]"),
    };
    file_name(filename)?;
    mimetype.map_or(Ok(()), |mimetype| media_type(mimetype))?;
    let bytes = from_base64(content).ok_or("the content in base64")?;
    Ok(attachment(filename.clone(), bytes, mimetype.cloned(), None))
}

fn attachment(filename: String, content: Vec<u8>, mimetype: Option<String>, content_id: Option<String>) -> Attachment {
    Attachment { filename, content, mimetype: mimetype.unwrap_or_else(|| "application/octet-stream".to_owned()), content_id }
}

/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Attachment.html>
fn file_name(text: &str) -> Result<(), &'static str> {
    let sized = !text.is_empty() && text.chars().count() <= 255;
    if sized && !text.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
        Ok(())
    } else {
        Err("a file's name of 1 to 255 characters, without a folder")
    }
}

fn media_type(text: &str) -> Result<(), &'static str> {
    let sized = (1..=78).contains(&text.len()) && text.contains('/');
    if sized && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') { Ok(()) } else { Err("a media type, such as image/png") }
}

fn content_id(text: &str) -> Result<(), &'static str> {
    let allowed = |b: u8| b.is_ascii_graphic() && b != b'<' && b != b'>';
    if (1..=78).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(())
    } else {
        Err("1 to 78 visible ASCII characters without < and >")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(json: &str) -> String {
        SES.read(json).err().map(|problems| problems.to_string()).unwrap_or_default()
    }

    #[test]
    fn mails_of_django_notifs_are_read() {
        let mail = Email::from_json(r#"{"subject":"Hello","body":"Plain text body","to":["a@example.com"]}"#).unwrap();
        assert_eq!((mail.body.as_deref(), mail.html), (Some("Plain text body"), None));
        let mail = Email::from_json(
            r#"{"subject":"Html","body":"<b>hi</b>","to":["a@example.com"],"content_subtype":"html","extra_headers":{"X-Order":"42"}}"#,
        )
        .unwrap();
        assert_eq!((mail.body, mail.html.as_deref()), (None, Some("<b>hi</b>")));
        assert_eq!(mail.headers, [("X-Order".to_owned(), "42".to_owned())]);
    }

    #[test]
    fn the_body_is_of_the_kind_that_the_mail_says() {
        let kind = |mail: Value, path: &[&str]| {
            let mail = mail.as_object().unwrap();
            Email::text(&Place { payload: mail, parent: mail, path })
        };
        let cases = [
            (json!({}), Text::Plain),
            (json!({ "content_subtype": null }), Text::Plain),
            (json!({ "content_subtype": "plain" }), Text::Plain),
            (json!({ "content_subtype": "html" }), Text::Html),
            (json!({ "content_subtype": "html", "html": null }), Text::Html),
            (json!({ "content_subtype": "html", "html": "<b>x</b>" }), Text::Plain),
            // What becomes of it nobody knows before it is rendered.
            (json!({ "content_subtype": "{{ subtype }}" }), Text::Html),
        ];
        for (mail, wanted) in cases {
            assert_eq!(kind(mail.clone(), &["body"]), wanted, "{mail}");
        }
        for (path, wanted) in [
            (&["html"] as &[&str], Text::Html),
            (&["subject"], Text::Line),
            (&["to"], Text::Line),
            (&["headers", "X-A"], Text::Line),
            (&["attachments", "filename"], Text::Line),
            (&["attachments", "content"], Text::Plain),
        ] {
            assert_eq!(kind(json!({}), path), wanted, "{path:?}");
        }
    }

    #[test]
    fn one_address_may_stand_for_a_list() {
        let mail = Email::from_json(r#"{"subject":"s","body":"b","bcc":"a@example.com"}"#).unwrap();
        assert_eq!((mail.to.len(), mail.bcc.as_slice()), (0, ["a@example.com".to_owned()].as_slice()));
    }

    #[test]
    fn attachments_come_as_objects_and_as_djangos_tuples() {
        let mail = Email::from_json(r#"{"subject":"s","body":"b","to":"a@b.c","attachments":[{"filename":"a.txt","content":"aGk=","mimetype":"text/plain","content_id":"x"}]}"#).unwrap();
        assert_eq!((mail.attachments[0].content.as_slice(), mail.attachments[0].content_id.as_deref()), (b"hi".as_slice(), Some("x")));
        let mail =
            Email::from_json(r#"{"subject":"s","body":"b","to":"a@b.c","attachments":[ ["a.txt","aGk=",null],["b.txt","aGk="]]}"#).unwrap();
        assert!(mail.attachments.len() == 2 && mail.attachments.iter().all(|file| file.mimetype == "application/octet-stream"));
        for wrong in [r#"["a.txt"]"#, r#"["a.txt",null]"#, r#"["a.txt","aGk=",null,1]"#, r#"["../x","aGk="]"#, r#"["a.txt","%"]"#] {
            let told = problems(&format!(r#"{{"subject":"s","body":"b","to":"a@b.c","attachments":[{wrong}]}}"#));
            assert!(told.starts_with("/attachments/0: expected "), "{wrong}: {told}");
        }
    }

    #[test]
    fn attachments_may_be_base64_in_lines() {
        let mail = Email::from_json(
            r#"{"subject":"s","body":"b","to":"a@b.c","attachments":[{"filename":"a.txt","content":"aGVsbG8g\r\nd29ybGQ=\r\n"}]}"#,
        )
        .unwrap();
        assert_eq!(mail.attachments[0].content, b"hello world");
        let mail = Email::from_json(r#"{"subject":"s","body":"b","to":"a@b.c","attachments":[["a.txt","aGVsbG8g\nd29ybGQ=\n"]]}"#).unwrap();
        assert_eq!(mail.attachments[0].content, b"hello world");
    }

    #[test]
    fn international_domains_are_punycode_wherever_an_address_stands() {
        let mail = Email::from_json(
            r#"{"subject":"s","body":"b","from_email":"Ä <a@exämple.de>","to":["b@exämple.de"],"cc":"c@exämple.de","bcc":["d@exämple.de"],"reply_to":"e@exämple.de"}"#,
        )
        .unwrap();
        assert_eq!(mail.from_email.as_deref(), Some("Ä <a@xn--exmple-cua.de>"));
        for (list, local) in [(&mail.to, "b"), (&mail.cc, "c"), (&mail.bcc, "d"), (&mail.reply_to, "e")] {
            assert_eq!(*list, [format!("{local}@xn--exmple-cua.de")]);
        }
    }

    #[test]
    fn a_header_may_have_any_printable_characters_and_counts_as_it_is_encoded() {
        let with = |name: &str, value: &str| {
            let value = serde_json::to_string(value).unwrap();
            problems(&format!(r#"{{"subject":"s","body":"b","to":"a@b.c","headers":{{"{name}":{value}}}}}"#))
        };
        assert_eq!(with("X-A", "Grüße 🚀"), "");
        assert_eq!(with("X-A", &"x".repeat(870)), "");
        for wrong in ["", "a\nB: c", "ü\r\nBcc: x@y.z", "ü\u{85}"] {
            assert!(with("X-A", wrong).starts_with("/headers/X-A: expected a header's value"), "{wrong:?}");
        }
        for (name, value) in [("X-A", &*"x".repeat(871)), ("X-A", &"ü".repeat(300)), (&"X".repeat(127), "x")] {
            let told = with(name, value);
            assert!(told.starts_with(&format!("/headers/{name}: expected a header's name of at most 126")), "{told}");
        }
        assert!(with("List-Unsubscribe", "<https://exämple.de").starts_with("/headers/List-Unsubscribe: expected "));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let told = problems(
            r#"{"subject":5,"to":[5,"nobody"],"cc":"a@b@c","from_email":"x","headers":{"From":"x","X-A":"a\nb"},"tags":{"a b":"c"},"attachments":[{"filename":"../x","content":"%"}],"configuration_set":"a b"}"#,
        );
        for pointer in [
            "/subject",
            "/body",
            "/to/0",
            "/to/1",
            "/cc",
            "/from_email",
            "/headers/From",
            "/headers/X-A",
            "/tags",
            "/attachments/0/filename",
            "/attachments/0/content",
            "/configuration_set",
        ] {
            assert!(told.contains(&format!("{pointer}: ")), "{pointer} in {told}");
        }
        assert!(!told.contains("nobody"));
    }

    #[test]
    fn a_mail_has_one_to_fifty_recipients() {
        let told = problems(r#"{"subject":"s","body":"b","cc":"nobody"}"#);
        assert!(told.starts_with("/cc: expected an e-mail address") && !told.contains("/to"), "{told}");
        assert_eq!(problems(r#"{"subject":"s","body":"b"}"#), "/to: is required: at least one address, here or in cc or bcc");
        for none in ["[]", "[ ]", "null"] {
            let told = problems(&format!(r#"{{"subject":"s","body":"b","to":{none}}}"#));
            assert_eq!(told, "/to: is required: at least one address, here or in cc or bcc");
        }
        let many =
            |count| format!(r#"{{"subject":"s","body":"b","to":{}}}"#, serde_json::to_string(&vec!["a@example.com"; count]).unwrap());
        assert_eq!(problems(&many(50)), "");
        assert!(problems(&many(51)).contains("at most 50 recipients"));
    }

    #[test]
    fn the_tag_that_joins_events_with_tasks_is_not_the_callers() {
        let told = problems(r#"{"subject":"s","body":"b","to":"a@b.c","tags":{"errand-id":"x"}}"#);
        assert!(told.starts_with("/tags: "), "{told}");
    }
}
